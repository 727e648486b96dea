import { join } from "node:path";
import { type Command, Option } from "commander";
import { UserError } from "../errors.js";
import { assembleResults } from "../study/assembleResults.js";
import { buildStudy } from "../study/build.js";
import {
  loadClaims,
  readClaims,
  readRecordedClaims,
  readStoredClaims,
  recordedClaims,
  storeClaims,
  writeClaims,
} from "../study/claims/index.js";
import { resolveDevice } from "../study/devices.js";
import { engineSource } from "../study/engines.js";
import { nodeFileSystem } from "../study/fileSystem.js";
import { planStages, type StudySummary } from "../study/graph.js";
import { type DiskUse, diskUse, KEEP, type Keep, removeSpare } from "../study/keep.js";
import { loadWorld } from "../study/loadWorld.js";
import type { StudyObserver } from "../study/observer.js";
import { openRun } from "../study/openRun.js";
import { PRESETS } from "../study/presets.js";
import { mendRequests, readRequests, requestedStages } from "../study/requests.js";
import { type ConfigSource, resolveConfig } from "../study/resolveConfig.js";
import { runConfigText } from "../study/runConfig.js";
import { runStudy } from "../study/runStudy.js";
import type { Stage } from "../study/stage.js";
import type { StudyJob } from "../study/workers/messages.js";
import { workerPool, workersFor } from "../study/workers/workerPool.js";
import { claimsTable } from "./claims.js";
import { clean, formatBytes, formatCount, INTERRUPT_EXIT, type Interrupt, type Io, jsonText } from "./io.js";
import { type EngineOptions, gather, threadsOption, wholeNumber, workersOption } from "./options.js";
import { formatPlan, jsonView, linesView, planJson } from "./progress.js";

interface StudyOptions extends Omit<ConfigSource, "source">, EngineOptions {
  readonly runs: string;
  readonly json?: true;
  readonly plan?: true;
  readonly keep?: Keep;
}

/** Exit code of a study that went on to its end although the numbers of a stage went wrong. */
const DIVERGED_EXIT = 3;
/** Smaller studies say nothing of the disk. */
const WORTH_SAYING = 2 ** 20;
/** A study that is under way rewrites its report after a stage, at most this often. */
const REPORT_EVERY_MS = 10_000;
/** And so seldom that no more than one part in this many goes into it. */
const REPORT_SHARE = 40;
/** Adds `nullscope study`. */
export function registerStudy(program: Command, io: Io): void {
  program
    .command("study")
    .description(
      "Run a study to its report. What is finished is never done again: killed or stopped, the same command goes on.",
    )
    .argument("[preset|file]", `a preset (${Object.keys(PRESETS).join(", ")}) or a YAML file; default: quick`)
    .option("--preset <name>", "the same, as an option")
    .option("--name <run>", "the run's name: its folder below --runs")
    .option("--set <key=value>", "change a setting, as in tune.steps=200; may be repeated", gather)
    .option("--seeds <n>", "repeat with this many seeds", wholeNumber("--seeds", 1, 1000))
    .option("--seed <s>", "the first seed", wholeNumber("--seed", 0, 0xffffffff))
    .option("--runs <dir>", "folder of the runs", "runs")
    .addOption(threadsOption)
    .addOption(workersOption)
    .option("--device <device>", "cpu, webgpu, cuda, or auto: webgpu where there is a graphics adapter, else cpu")
    .option("--claims <file>", "decide these claims, not the configuration's; may be repeated", gather)
    .addOption(
      new Option(
        "--keep <which>",
        "checkpoints that stay when the study is done: all, last (each model as it ended), none; what a later command needs is made again",
      ).choices(KEEP),
    )
    .option("--json", "print events for machines, one JSON object a line")
    .option("--plan", "print the plan and stop: nothing is run, nothing is written")
    .addHelpText(
      "after",
      `
Examples:
  nullscope study                                     the preset quick
  nullscope study smoke                               the whole study in under a minute, to see that it works
  nullscope study quick --seeds 3 --name three-seeds
  nullscope study quick --set tune.rates.medium=2e-3 --name faster
  nullscope study my-study.yaml --plan`,
    )
    .action(async (source: string | undefined, { preset, ...options }: StudyOptions & { readonly preset?: string }) => {
      if (source !== undefined && preset !== undefined)
        throw new UserError(`Give ${JSON.stringify(source)} or --preset ${preset}, not both.`);
      await study(source ?? preset ?? "quick", options, io);
    });
}

async function study(source: string, options: StudyOptions, io: Io): Promise<void> {
  // Everything that can be wrong with what the user gave is found here, before anything is written.
  const resolved = await resolveConfig({ ...options, source });
  // Stages are identified by the device that runs them, so it is known, and known to work, before anything else.
  const config = { ...resolved, device: await resolveDevice(resolved.device) };
  const runFolder = join(options.runs, config.name);
  const world = await loadWorld(config.world);
  const claims = await loadClaims(config.claims);
  const engine = engineSource(config);
  const own = buildStudy(config, world, engine);
  const requests = await readRequests(runFolder);
  const stages = [...own, ...requestedStages(config, world, own, requests, engine)];
  const workers = options.workers ?? workersFor(config, stages);

  if (options.plan) {
    const plan = await planStages(stages, runFolder, nodeFileSystem, workers, options.keep === "all");
    io.out(options.json ? `${jsonText({ event: "plan", ...planJson(plan) })}\n` : formatPlan(plan));
    return;
  }

  const recorded = recordedClaims(claims);
  const before = await readRecordedClaims(runFolder);
  await runToEnd(stages, runFolder, runConfigText(config, recorded), options.json === true, io, {
    workers: { count: workers, job: { config, requests, runFolder } },
    ...(options.keep !== undefined && { keep: options.keep }),
    begin: async () => {
      await storeClaims(runFolder, claims);
      if (before.length > 0 && JSON.stringify(before) !== JSON.stringify(recorded))
        io.err(
          "nullscope: the claims are not those that this run began with; verdicts on them are after the fact unless the run starts anew under another --name.\n",
        );
    },
  });
}

/** What a command does in its own way before, during and at the end of its stages. */
export interface EndOfRun {
  /** Processes that run the stages of this job; this process runs them, one after another, where there is one or none. */
  readonly workers?: { readonly count: number; readonly job: StudyJob };
  /** Which checkpoints stay at the end; those that are there, by default. `all` makes again what was removed. */
  readonly keep?: Keep;
  /** Runs before the first stage, while the run is held. */
  readonly begin?: () => Promise<void>;
  /** Runs while the run is held, before the results are gathered; not after an interruption. */
  readonly finished?: () => Promise<void>;
  /** Prints the first answer for people; the behaviour of every checkpoint by default. */
  readonly answer?: (runFolder: string, io: Io) => Promise<void>;
}

/** Runs the stages in `runFolder` in front of `io`, gathers the results, and sets the exit code. */
export async function runToEnd(
  stages: readonly Stage[],
  runFolder: string,
  configText: string,
  json: boolean,
  io: Io,
  { workers, keep, begin, finished, answer = printAnswers }: EndOfRun = {},
): Promise<void> {
  const view = json ? jsonView(io) : linesView(io);
  const pool =
    workers !== undefined && workers.count > 1
      ? workerPool(() => workers.job, { threads: workers.job.config.threads })
      : undefined;
  const stop = stopWhenAsked(io);
  let summary: StudySummary;
  let report: string | undefined;
  let freed = 0;
  let reportedAt = performance.now();
  let reportTook = 0;
  try {
    summary = await runStudy(stages, {
      runFolder,
      configText,
      begin: async () => {
        await mendRequests(runFolder);
        await begin?.();
      },
      observer: view.observer,
      signal: stop.signal,
      atOnce: pool && workers?.count,
      runner: pool?.runner,
      restore: keep === "all",
      afterStage: async () => {
        // What is known so far, for whoever cannot wait; not so often that short stages wait for it.
        const begun = performance.now();
        if (begun - reportedAt < Math.max(REPORT_EVERY_MS, REPORT_SHARE * reportTook)) return;
        await gatherResults(stages, runFolder, view.observer);
        await reportOf(runFolder, view.observer);
        reportedAt = performance.now();
        reportTook = reportedAt - begun;
      },
      finish: async () => {
        await finished?.();
        await gatherResults(stages, runFolder, view.observer);
        report = await reportOf(runFolder, view.observer);
        if (keep !== undefined) freed = await removeSpare(stages, runFolder, keep);
      },
    });
  } finally {
    pool?.close();
    view.close();
    stop.release();
  }
  const disk = await diskUse(stages, runFolder);
  if (json) {
    const end = { event: "end", ...summaryJson(summary), disk: { ...disk, freed } };
    io.out(`${jsonText({ ...end, ...(report !== undefined && { report }) })}\n`);
  }
  if (!json && !summary.interrupted) {
    await answer(runFolder, io);
    io.out(diskText(disk, freed));
  }
  conclude(summary, json ? undefined : (report ?? join(runFolder, "results")), stop.by(), io);
}

/** Where a run is large enough to matter to a disk: what it takes, and what of that could go. */
function diskText({ stages, bytes, checkpoints, states }: DiskUse, freed: number): string {
  if (bytes < WORTH_SAYING && freed === 0) return "";
  const [spare, what, keep] = states > 0 ? [states, "states", "none"] : [checkpoints, "checkpoints", "last or none"];
  const of = spare > 0 || freed === 0 ? `, ${formatBytes(spare)} of it ${what}` : "";
  const rest = spare > 0 && freed === 0 ? `; --keep ${keep} removes them` : "";
  const gone = freed > 0 ? `; ${formatBytes(freed)} removed` : "";
  return `Disk: ${formatBytes(bytes)} in ${formatCount(stages)} stages${of}${rest}${gone}.\n`;
}

/** The results of the stages, and the verdicts that follow from them. */
async function gatherResults(stages: readonly Stage[], runFolder: string, observer: StudyObserver): Promise<void> {
  for (const path of await assembleResults(stages, runFolder))
    observer({ type: "rejected", folder: join(runFolder, path), reason: `${path} was not that of the rows beside it` });
  await writeClaims(runFolder, await readStoredClaims(runFolder));
}

/** The first answers of a study: behaviour, then the verdicts on its claims. */
async function printAnswers(runFolder: string, io: Io): Promise<void> {
  await printBehaviour(runFolder, io);
  const claims = await readClaims(runFolder);
  if (claims !== undefined) io.out(`${claimsTable(claims, io.terminal ? io.columns : undefined)}\n`);
}

/** The behaviour of every checkpoint on every set and the order of the attacks, as the first answer of a study. */
async function printBehaviour(runFolder: string, io: Io): Promise<void> {
  const run = await openRun(runFolder);
  if (!run.measures.includes("behaviour")) return;
  const { attackOrderLines, summaryLines } = await import("../report/terminal.js");
  const rows = await run.results("behaviour").rows();
  const order = attackOrderLines(rows);
  io.out(`\n${[...summaryLines(rows), ...(order.length > 0 ? ["", ...order] : [])].join("\n")}\n\n`);
}

/** Writes the report where there is anything to report, and where it is not there already as it would be; its path. */
async function reportOf(runFolder: string, observer: StudyObserver): Promise<string | undefined> {
  if ((await openRun(runFolder)).measures.length === 0) return undefined;
  const { checkReport, digestOfRun, readRun, REPORT_MANIFEST } = await import("../report/reportFiles.js");
  const { present, damaged, from } = await checkReport(runFolder);
  for (const { path, reason } of damaged) {
    // Without its manifest a report was not finished, which is no damage.
    const unfinished = path === REPORT_MANIFEST && (await nodeFileSystem.kind(join(runFolder, path))) === "absent";
    if (!unfinished) observer({ type: "rejected", folder: join(runFolder, path), reason });
  }
  if (present && damaged.length === 0 && from === digestOfRun(await readRun(runFolder)))
    return join(runFolder, "report.html");
  // Loaded when needed: figures and fonts would slow every other command down.
  const { writeReport } = await import("../report/report.js");
  return (await writeReport(runFolder)).html;
}

/**
 * The first Ctrl-C, SIGTERM, closed terminal or closed pipe asks the stages in hand to stop after the step in hand and to save it; Ctrl-C after
 * any of these ends the process.
 */
export function stopWhenAsked(io: Io): { signal: AbortSignal; by: () => Interrupt | undefined; release: () => void } {
  const controller = new AbortController();
  let asked: Interrupt | undefined;
  const release = io.onInterrupt((by) => {
    if (asked !== undefined) {
      if (by === "SIGINT") io.quit(INTERRUPT_EXIT[by]);
      return; // a scheduler says it twice, and a terminal that is closed breaks its pipes as well
    }
    asked = by;
    controller.abort(new UserError("The study was stopped."));
    io.err(
      by === "SIGINT"
        ? "\nnullscope: stopping after the step in hand; press Ctrl-C again to stop now.\n"
        : `nullscope: ${STOPPED_BY[by]}, stopping after the step in hand.\n`,
    );
  });
  return { signal: controller.signal, by: () => asked, release };
}

const STOPPED_BY: Readonly<Record<Exclude<Interrupt, "SIGINT">, string>> = {
  SIGTERM: "SIGTERM came",
  SIGHUP: "the terminal was closed",
  SIGPIPE: "nobody reads the output any more",
};

/** The last words, and the exit code. @param product the path to look at, for people. */
function conclude(summary: StudySummary, product: string | undefined, by: Interrupt | undefined, io: Io): void {
  if (summary.interrupted) {
    io.err(
      "nullscope: stopped; finished stages are kept, and training goes on after its last step. Run the same command to go on.\n",
    );
    io.exitCode = INTERRUPT_EXIT[by ?? "SIGINT"];
    return;
  }
  if (summary.diverged.length > 0) {
    const names = (stages: StudySummary["diverged"]) => stages.map((stage) => `"${clean(stage.name)}"`).join(", ");
    const skipped = summary.skipped.length > 0 ? ` and ${names(summary.skipped)} could not be run` : "";
    io.err(
      `nullscope: ${names(summary.diverged)} diverged${skipped}; lower its learning rate with --set, see diverged.json in its stage folder.\n`,
    );
    io.exitCode = DIVERGED_EXIT;
  }
  if (product !== undefined)
    io.out(`${product.endsWith(".html") ? "Report" : "Results"}: ${clean(product)}
`);
}

function summaryJson({ interrupted, ...lists }: StudySummary): object {
  const names = Object.entries(lists).map(([key, stages]) => [key, stages.map((stage) => stage.name)]);
  return { ...Object.fromEntries(names), interrupted };
}
