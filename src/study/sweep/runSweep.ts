import { join } from "node:path";
import { stringify } from "yaml";
import { UserError } from "../../errors.js";
import { assembleResults } from "../assembleResults.js";
import { buildStudy } from "../build.js";
import { loadClaims, recordedClaims, storeClaims, writeClaims } from "../claims/index.js";
import type { StudyConfig } from "../config.js";
import { resolveDevice } from "../devices.js";
import { engineSource } from "../engines.js";
import { nodeFileSystem } from "../fileSystem.js";
import type { StageRunner, StudySummary } from "../graph.js";
import { loadWorld } from "../loadWorld.js";
import { checkStage } from "../manifest.js";
import type { StudyObserver } from "../observer.js";
import { openRun } from "../openRun.js";
import { resolveConfig } from "../resolveConfig.js";
import type { ResultRow } from "../results.js";
import { writeResults } from "../resultsFiles.js";
import { runConfigText } from "../runConfig.js";
import { divergedMessage, type StageOutcome, type StageProgress } from "../runStage.js";
import { runStudy, writeIfChanged } from "../runStudy.js";
import { sealYaml } from "../seal.js";
import { type Stage, stageIdentity } from "../stage.js";
import { stageFolder } from "../store.js";
import { workerPool } from "../workers/workerPool.js";
import type { Launcher, LaunchJob } from "./launcher.js";
import { openLedger } from "./ledger.js";
import { localLauncher } from "./localLauncher.js";
import type { Sweep, SweepPoint } from "./sweepFile.js";

/** What becomes of the others when a stage fails: all stop, or they go on; before that it is tried again so many times. */
export interface OnFailure {
  readonly policy: "stop" | "continue";
  readonly retries: number;
}

/** A study of a sweep, ready to run. */
export interface PlannedStudy {
  readonly point: SweepPoint;
  readonly config: StudyConfig;
  readonly stages: readonly Stage[];
}

/** A sweep as one graph: what two studies share is one stage. */
export interface PlannedSweep {
  readonly studies: readonly PlannedStudy[];
  /** Their stages, each once, each named after the first study that has it. */
  readonly union: readonly Stage[];
}

/** Resolves every study of a sweep, before anything is written. @throws UserError that names the study. */
export async function planSweep(sweep: Sweep, threads: number | undefined): Promise<PlannedSweep> {
  const studies: PlannedStudy[] = [];
  for (const point of sweep.points) {
    try {
      const resolved = await resolveConfig({
        source: sweep.study,
        set: point.set,
        name: `${sweep.name}-${point.id}`.slice(-64),
        ...(sweep.seeds !== undefined && { seeds: sweep.seeds }),
        ...(threads !== undefined && { threads }),
      });
      const config = { ...resolved, device: await resolveDevice(resolved.device) };
      studies.push({ point, config, stages: buildStudy(config, await loadWorld(config.world), engineSource(config)) });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`Study ${point.id} of the sweep: ${error.message}`);
    }
  }
  const named = new Map<string, Stage>();
  const rename = (stage: Stage, id: string): Stage => {
    const identity = stageIdentity(stage);
    const known = named.get(identity);
    if (known !== undefined) return known;
    const inputs = stage.inputs.map((input) => rename(input, id));
    const renamed = { ...stage, name: `${id} ${stage.name}`, inputs };
    named.set(identity, renamed);
    return renamed;
  };
  return { studies, union: studies.flatMap(({ point, stages }) => stages.map((stage) => rename(stage, point.id))) };
}

export interface SweepOptions {
  readonly folder: string;
  readonly parallel: number;
  readonly onFailure: OnFailure;
  readonly observer: StudyObserver;
  readonly signal: AbortSignal;
}

/** How a sweep went: of each study its stages, and of each stage that failed why. */
export interface SweepEnd {
  readonly summary: StudySummary;
  readonly failed: ReadonlyMap<string, string>;
}

/**
 * Runs every stage that is not done, `parallel` at a time, in one store that all studies share. Killed anywhere, the same call goes on: what is
 * whole in the store is never computed again.
 * @throws UserError when the folder cannot be used, another process holds it, or a stage failed and `onFailure` stops.
 */
export async function runSweep(
  { studies, union }: PlannedSweep,
  sweep: Sweep,
  options: SweepOptions,
): Promise<SweepEnd> {
  const { folder, parallel, onFailure, observer, signal } = options;
  const studyOf = new Map<string, PlannedStudy>();
  for (const study of studies)
    for (const stage of withInputs(study.stages))
      if (!studyOf.has(stageIdentity(stage))) studyOf.set(stageIdentity(stage), study);
  const jobOf = (stage: Stage): LaunchJob => {
    const { config } = studyOf.get(stageIdentity(stage))!;
    return { id: stageIdentity(stage), name: stage.name, study: { config, requests: [], runFolder: folder } };
  };
  const byId = new Map([...withInputs(union)].map((stage) => [stageIdentity(stage), stage]));
  const progressOf = new Map<string, (progress: StageProgress) => void>();
  const threads = Math.max(...studies.map(({ config }) => config.threads));
  const pool = workerPool((stage) => jobOf(stage).study, { threads });
  const launcher = localLauncher({
    runner: pool.runner,
    stageOf: (job) => byId.get(job.id)!,
    parallel,
    onProgress: (stage, progress) => progressOf.get(stageIdentity(stage))?.(progress),
  });
  const failed = new Map<string, string>();
  let ledger: Awaited<ReturnType<typeof openLedger>> | undefined;
  const write = (event: "submit" | "end" | "fail" | "requeue" | "give-up", job: LaunchJob, why?: string) =>
    ledger!({ event, time: new Date().toISOString(), job: job.id, name: job.name, ...(why !== undefined && { why }) });

  const runner: StageRunner = async (stage, context) => {
    const job = jobOf(stage);
    progressOf.set(job.id, context.onProgress);
    const stored = () => inStore(stage, folder);
    const { retries } = onFailure;
    const end = await throughLauncher(launcher, job, { signal: context.signal, retries, write, stored });
    if (!("error" in end)) return end;
    if (context.signal.aborted) return { outcome: "interrupted" };
    if (onFailure.policy === "stop") throw end.error;
    const why = end.error instanceof Error ? end.error.message : String(end.error);
    await write("give-up", job, why);
    failed.set(stage.name, why);
    // Nothing is committed, so that the next call tries again; what needs it is skipped.
    return { outcome: "diverged", message: why };
  };
  try {
    const summary = await runStudy(union, {
      runFolder: folder,
      configText: sweepText(sweep),
      begin: async () => {
        ledger = await openLedger(folder);
        await ledger({ event: "begin", time: new Date().toISOString() });
      },
      observer,
      signal,
      atOnce: parallel,
      runner,
      finish: () => gatherSweep(studies, sweep, folder),
    });
    return { summary, failed };
  } finally {
    pool.close();
  }
}

/** One job to its end, tried again as often as it may. */
export async function throughLauncher(
  launcher: Launcher,
  job: LaunchJob,
  {
    signal,
    retries,
    write,
    stored,
  }: {
    readonly signal: AbortSignal;
    readonly retries: number;
    readonly write: (event: "submit" | "end" | "fail" | "requeue", job: LaunchJob, why?: string) => Promise<void>;
    readonly stored: () => Promise<StageOutcome | undefined>;
  },
) {
  // A worker of a parent that was killed may have finished it a moment ago.
  const before = await stored();
  if (before !== undefined) return before;
  const cancel = () => void launcher.cancel(job.id);
  await write("submit", job);
  await launcher.submit(job);
  signal.addEventListener("abort", cancel);
  if (signal.aborted) cancel();
  try {
    for (let tries = 0; ; tries++) {
      try {
        const end = await launcher.collect(job.id);
        if (end.outcome !== "interrupted") await write("end", job);
        return end;
      } catch (error) {
        // A process may end between its commit and its word of it: the store is the truth.
        const there = await stored();
        if (there !== undefined) {
          await write("end", job);
          return there;
        }
        await write("fail", job, error instanceof Error ? error.message : String(error));
        if (tries >= retries || signal.aborted) return { error };
        await write("requeue", job);
        await launcher.requeue(job.id);
      }
    }
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** How a stage ended, by what is in the store; undefined where it is not there whole. */
async function inStore(stage: Stage, folder: string): Promise<StageOutcome | undefined> {
  const own = stageFolder(folder, stage);
  const check = await checkStage(nodeFileSystem, own, stageIdentity(stage));
  if (check.state !== "whole" || check.removed.length > 0) return undefined;
  if (check.manifest.outcome === "done") return { outcome: "done", seconds: check.manifest.durationSeconds };
  return { outcome: "diverged", message: await divergedMessage(nodeFileSystem, own) };
}

function withInputs(stages: readonly Stage[]): Set<Stage> {
  const all = new Set<Stage>();
  const visit = (stage: Stage) => {
    if (all.has(stage)) return;
    all.add(stage);
    stage.inputs.forEach(visit);
  };
  stages.forEach(visit);
  return all;
}

/** Where a study of a sweep has its configuration, results and report; its stages are in the sweep's store. */
export const studyFolder = (folder: string, { id }: SweepPoint): string => join(folder, "studies", id);
/** Where the results of all studies stand together. */
export const combinedFolder = (folder: string): string => join(folder, "combined");

/** Each study's results in a folder of its own, and all together with the study before the checkpoint's name. */
async function gatherSweep(studies: readonly PlannedStudy[], sweep: Sweep, folder: string): Promise<void> {
  const combined = new Map<string, ResultRow[]>();
  for (const { point, config, stages } of studies) {
    const own = studyFolder(folder, point);
    await nodeFileSystem.ensureFolder(own);
    const claims = await loadClaims(config.claims);
    await writeIfChanged(nodeFileSystem, join(own, "config.yaml"), runConfigText(config, recordedClaims(claims)));
    await storeClaims(own, claims);
    await assembleResults(stages, own, nodeFileSystem, folder);
    await writeClaims(own, claims);
    const run = await openRun(own);
    for (const measure of run.measures) {
      const rows = combined.get(measure) ?? [];
      combined.set(measure, rows);
      for (const row of await run.results(measure).rows())
        rows.push(row.checkpoint === undefined ? row : { ...row, checkpoint: `${point.id}:${row.checkpoint}` });
    }
  }
  const all = combinedFolder(folder);
  await nodeFileSystem.ensureFolder(all);
  await writeIfChanged(nodeFileSystem, join(all, "config.yaml"), sweepText(sweep));
  await writeResults(
    all,
    [...combined].sort().map(([measure, rows]) => ({ measure, stages: [], rows: distinctRows(rows) })),
  );
}

/** What studies share, such as the world's rows, stands once. */
function distinctRows(rows: readonly ResultRow[]): ResultRow[] {
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}

function sweepText({ name, study, seeds, points }: Sweep): string {
  const plain = points.map(({ id, settings }) => ({ id, settings }));
  const content = { name, study, ...(seeds !== undefined && { seeds }), studies: plain };
  return sealYaml(`# The studies of this sweep.\n${stringify({ sweep: content }, { aliasDuplicateObjects: false })}`);
}
