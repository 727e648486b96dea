import { freemem } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { UserError } from "../errors.js";
import { nodeFileSystem } from "../study/fileSystem.js";
import { planStages } from "../study/graph.js";
import { openRun } from "../study/openRun.js";
import { type Stage, stageIdentity } from "../study/stage.js";
import {
  combinedFolder,
  type OnFailure,
  type PlannedSweep,
  planSweep,
  runSweep,
  type SweepEnd,
  studyFolder,
} from "../study/sweep/runSweep.js";
import { readSweep } from "../study/sweep/sweepFile.js";
import { workersFor } from "../study/workers/workerPool.js";
import { clean, formatBytes, formatCount, INTERRUPT_EXIT, type Io, jsonText } from "./io.js";
import { threadsOption, wholeNumber } from "./options.js";
import { formatPlan, jsonView, linesView, planJson } from "./progress.js";
import { stopWhenAsked } from "./study.js";

interface SweepCliOptions {
  readonly runs: string;
  readonly name?: string;
  readonly parallel?: number;
  readonly threads?: number;
  readonly onFailure: OnFailure;
  readonly json?: true;
  readonly plan?: true;
}

/** Exit code of a sweep that went on to its end although a stage failed. */
const FAILED_EXIT = 1;
const DIVERGED_EXIT = 3;

/** Adds `nullscope sweep`. */
export function registerSweep(program: Command, io: Io): void {
  program
    .command("sweep")
    .description(
      "Run many studies as one: every combination of the settings in a file, what they share computed once. Killed or stopped, the same command goes on.",
    )
    .argument("<file>", "a YAML file with study, grid, list, seeds")
    .option("--name <name>", "the sweep's name: its folder below --runs")
    .option("--runs <dir>", "folder of the runs", "runs")
    .option(
      "--parallel <n>",
      "stages at once, each in a process of its own with a share of the threads; default: one a thread, as memory allows",
      wholeNumber("--parallel", 1, 1024),
    )
    .addOption(threadsOption)
    .option(
      "--on-failure <what>",
      "when a stage fails: stop; continue with what does not need it; retry:n, tried again n times, then continue",
      onFailure,
      { policy: "stop", retries: 0 },
    )
    .option("--json", "print events for machines, one JSON object a line")
    .option("--plan", "print the plan and stop: nothing is run, nothing is written")
    .addHelpText(
      "after",
      `
Examples:
  nullscope sweep rates.yaml --plan
  nullscope sweep rates.yaml --parallel 4 --on-failure retry:2`,
    )
    .action((file: string, options: SweepCliOptions) => sweep(file, options, io));
}

/** `stop`, `continue`, `retry:3`. @throws UserError for anything else. */
function onFailure(text: string): OnFailure {
  if (text === "stop" || text === "continue") return { policy: text, retries: 0 };
  const retries = /^retry:([1-9][0-9]?)$/.exec(text)?.[1];
  if (retries === undefined)
    throw new UserError(
      `--on-failure must be stop, continue or retry:n with n from 1 to 99, not ${JSON.stringify(text)}.`,
    );
  return { policy: "continue", retries: Number(retries) };
}

async function sweep(file: string, options: SweepCliOptions, io: Io): Promise<void> {
  const read = await readSweep(file);
  const named = { ...read, name: options.name ?? read.name };
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(named.name))
    throw new UserError(
      `The sweep's name ${JSON.stringify(named.name)} must be 1 to 64 letters, digits, dots, _ and -; give --name.`,
    );
  const folder = join(options.runs, named.name);
  const planned = await planSweep(named, options.threads);
  const parallel = await sharesOf(planned, options.parallel, io);
  if (options.plan) {
    const plan = await planStages(planned.union, folder, nodeFileSystem, parallel);
    const studies = planned.studies.map(({ point }) => point);
    io.out(options.json ? `${jsonText({ event: "plan", studies, ...planJson(plan) })}\n` : formatPlan(plan));
    return;
  }
  const view = options.json ? jsonView(io) : linesView(io);
  const stop = stopWhenAsked(io);
  let end: SweepEnd;
  try {
    end = await runSweep(planned, named, {
      folder,
      parallel,
      onFailure: options.onFailure,
      observer: view.observer,
      signal: stop.signal,
    });
  } finally {
    view.close();
    stop.release();
  }
  await conclude(planned, folder, end, { json: options.json === true, stoppedBy: stop.by() }, io);
}

/** As many stages at once as asked for, or fewer where their memory together is more than there is. */
async function sharesOf({ studies, union }: PlannedSweep, asked: number | undefined, io: Io): Promise<number> {
  const config = studies[0]!.config;
  if (asked === undefined) return workersFor(config, union);
  const largest = Math.max(0, ...union.map((stage) => stage.estimateBytes ?? 0));
  const fit = Math.max(1, largest === 0 ? asked : Math.floor(freemem() / largest));
  if (fit >= asked) return asked;
  io.err(
    `nullscope: ${fit} stages at once instead of ${asked}: the largest takes about ${formatBytes(largest)} of memory.\n`,
  );
  return fit;
}

async function conclude(
  { studies }: PlannedSweep,
  folder: string,
  { summary, failed }: SweepEnd,
  { json, stoppedBy }: { readonly json: boolean; readonly stoppedBy: keyof typeof INTERRUPT_EXIT | undefined },
  io: Io,
): Promise<void> {
  const done = new Set([...summary.ran, ...summary.already].map((stage) => stageIdentity(stage)));
  const finished = (stages: readonly Stage[]) => stages.filter((stage) => done.has(stageIdentity(stage))).length;
  const rows = studies.map(({ point, stages }) => ({
    study: point.id,
    settings: point.settings,
    stages: stages.length,
    done: finished(stages),
  }));
  let report: string | undefined;
  if (!summary.interrupted) {
    const { writeReport } = await import("../report/report.js");
    for (const { point } of studies)
      if ((await openRun(studyFolder(folder, point))).measures.length > 0)
        await writeReport(studyFolder(folder, point));
    if ((await openRun(combinedFolder(folder))).measures.length > 0)
      report = (await writeReport(combinedFolder(folder))).html;
  }
  if (json)
    io.out(
      `${jsonText({ event: "end", studies: rows, ran: summary.ran.length, already: summary.already.length, diverged: summary.diverged.map(({ name }) => name).filter((name) => !failed.has(name)), failed: Object.fromEntries(failed), skipped: summary.skipped.map(({ name }) => name), interrupted: summary.interrupted, ...(report !== undefined && { report }) })}\n`,
    );
  else {
    for (const { study, settings, stages, done: ready } of rows) {
      const said = Object.entries(settings).map(([key, value]) => `${clean(key)}=${clean(JSON.stringify(value))}`);
      io.out(
        `  ${study}  ${ready === stages ? "done" : `${ready}/${stages}`}  ${said.join(" ")}`.trimEnd().concat("\n"),
      );
    }
    io.out(
      `${formatCount(rows.filter((row) => row.done === row.stages).length)} of ${formatCount(rows.length)} studies done.\n`,
    );
  }
  if (summary.interrupted) {
    io.err("nullscope: stopped; what is finished is kept. Run the same command to go on.\n");
    io.exitCode = INTERRUPT_EXIT[stoppedBy ?? "SIGINT"];
    return;
  }
  for (const [name, why] of failed) io.err(`nullscope: "${clean(name)}" failed: ${clean(why)}\n`);
  if (failed.size > 0) io.exitCode = FAILED_EXIT;
  else if (summary.diverged.length > 0) io.exitCode = DIVERGED_EXIT;
  if (report !== undefined && !json) io.out(`Report: ${clean(report)}\n`);
}
