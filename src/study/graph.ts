import { join } from "node:path";
import { DivergedError } from "../errors.js";
import { attemptState, METRICS } from "./attemptState.js";
import { asUserError, type FileSystem, orUserError } from "./fileSystem.js";
import { checkStage } from "./manifest.js";
import { openMetrics } from "./metrics.js";
import type { PlannedStage, StudyObserver, StudyPlan } from "./observer.js";
import { type Clock, progressMeter } from "./progressMeter.js";
import { type Stage, stageIdentity } from "./stage.js";
import { abandonAttempt, beginAttempt, commitAttempt, stageFolder } from "./store.js";

export interface RunStagesOptions {
  readonly runFolder: string;
  readonly files: FileSystem;
  readonly observer: StudyObserver;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Runs after each stage that was committed in this call, before the next one begins: to show what is known so far. */
  readonly afterStage?: ((stage: Stage) => Promise<void>) | undefined;
}

/** How a study went. Every stage is in exactly one of the first four lists, unless the study was interrupted. */
export interface StudySummary {
  /** Finished in this run. */
  readonly ran: readonly Stage[];
  /** Finished before. */
  readonly already: readonly Stage[];
  readonly diverged: readonly Stage[];
  /** Not run, because an input diverged. */
  readonly skipped: readonly Stage[];
  readonly interrupted: boolean;
}

/**
 * The stages and all their inputs, each once, every input before its users; otherwise in the given order.
 * @throws Error when two different stages have one name.
 */
export function inDependencyOrder(stages: readonly Stage[]): Stage[] {
  const ordered: Stage[] = [];
  const identities = new Set<string>();
  const names = new Map<string, string>();
  const visit = (stage: Stage) => {
    const identity = stageIdentity(stage);
    if (identities.has(identity)) return;
    for (const input of stage.inputs) visit(input);
    if (names.has(stage.name)) throw new Error(`two different stages are named "${stage.name}"`);
    names.set(stage.name, identity);
    identities.add(identity);
    ordered.push(stage);
  };
  for (const stage of stages) visit(stage);
  return ordered;
}

/** A stage's place in the store, and what is to be done about it. */
interface Found extends PlannedStage {
  readonly outcome: "done" | "diverged" | undefined;
  readonly damage: string | undefined;
}

async function findStages(stages: readonly Stage[], runFolder: string, files: FileSystem): Promise<Found[]> {
  const found: Found[] = [];
  for (const stage of inDependencyOrder(stages)) {
    const identity = stageIdentity(stage);
    const folder = stageFolder(runFolder, stage);
    const check = await checkStage(files, folder, identity);
    const outcome = check.state === "whole" ? check.manifest.outcome : undefined;
    const damage = check.state === "damaged" ? check.reason : undefined;
    found.push({ stage, identity, folder, done: outcome !== undefined, outcome, damage });
  }
  return found;
}

function planOf(found: readonly Found[], runFolder: string): StudyPlan {
  const open = found.filter((one) => !one.done).map((one) => one.stage);
  const sum = (value: (stage: Stage) => number | undefined) =>
    open.reduce((total, stage) => total + (value(stage) ?? 0), 0);
  return {
    runFolder,
    stages: found.map(({ stage, identity, folder, done }) => ({ stage, identity, folder, done })),
    steps: sum((stage) => stage.steps),
    estimateSeconds: sum((stage) => stage.estimateSeconds),
    estimateBytes: Math.max(0, ...open.map((stage) => stage.estimateBytes ?? 0)),
  };
}

/** What running `stages` in `runFolder` would do. Reads and verifies what is there; writes nothing. */
export async function planStages(stages: readonly Stage[], runFolder: string, files: FileSystem): Promise<StudyPlan> {
  return orUserError("read the run", runFolder, async () =>
    planOf(await findStages(stages, runFolder, files), runFolder),
  );
}

/**
 * Runs what is not done, one stage after another, inputs first. A diverged stage is recorded and its dependents are
 * skipped; the rest goes on. The run's lock must be held.
 * @throws what a stage throws, its attempt thrown away; UserError for faults of the file system.
 */
export async function runStages(stages: readonly Stage[], options: RunStagesOptions): Promise<StudySummary> {
  const { runFolder, files, observer, signal } = options;
  const found = await orUserError("read the run", runFolder, () => findStages(stages, runFolder, files));
  for (const { folder, damage } of found)
    if (damage !== undefined) observer({ type: "rejected", folder, reason: damage });
  observer({ type: "plan", plan: planOf(found, runFolder) });

  const lists = { ran: [] as Stage[], already: [] as Stage[], diverged: [] as Stage[], skipped: [] as Stage[] };
  const unusable = new Map<string, Stage>(); // identity of a stage without result -> the stage that diverged
  const open = found.filter((one) => !one.done).length;
  let index = 0;
  for (const one of found) {
    const { stage, identity } = one;
    const lost = stage.inputs.map((input) => unusable.get(stageIdentity(input))).find((cause) => cause !== undefined);
    if (lost !== undefined) {
      unusable.set(identity, lost);
      lists.skipped.push(stage);
      observer({ type: "skipped", stage, because: lost });
      continue;
    }
    if (signal.aborted && !one.done) {
      observer({ type: "interrupted", stage });
      return { ...lists, interrupted: true };
    }
    if (!one.done) observer({ type: "started", stage, identity, index: ++index, of: open });
    const outcome = one.outcome ?? (await runOne(one, options));
    if (outcome === "interrupted") {
      observer({ type: "interrupted", stage });
      return { ...lists, interrupted: true };
    }
    if (outcome === "diverged") {
      unusable.set(identity, stage);
      lists.diverged.push(stage);
      observer({ type: "diverged", stage, identity, message: await divergedMessage(files, one.folder) });
    } else (one.done ? lists.already : lists.ran).push(stage);
    if (!one.done) await options.afterStage?.(stage);
  }
  return { ...lists, interrupted: false };
}

/** Runs one stage in a fresh attempt and commits what it wrote. */
async function runOne(
  { stage, identity, folder }: Found,
  options: RunStagesOptions,
): Promise<"done" | "diverged" | "interrupted"> {
  const { runFolder, files, observer, signal, clock } = options;
  const started = clock.date();
  const attempt = await orUserError("begin a stage in", runFolder, () => beginAttempt(files, folder));
  const metrics = openMetrics(files, join(attempt.folder, METRICS));
  const meter = progressMeter(clock);
  try {
    let outcome: "done" | "diverged" = "done";
    try {
      await stage.run({
        folder: attempt.folder,
        input: (input) => stageFolder(runFolder, input),
        metrics: metrics.write,
        progress: (step, total, note) =>
          observer({
            type: "progress",
            stage,
            step,
            total,
            ...meter(step, total),
            ...(note !== undefined && { note }),
          }),
        signal,
        state: attemptState(files, { stage, folder, attempt, metrics, observer }),
      });
    } catch (error) {
      if (!(error instanceof DivergedError)) throw error;
      outcome = "diverged";
      await files.write(join(attempt.folder, DIVERGED), new TextEncoder().encode(divergedText(stage, error)));
    }
    await metrics.flush();
    const finished = clock.date();
    const manifest = await commitAttempt(files, stage, folder, attempt, { outcome, started, finished });
    if (outcome === "done") observer({ type: "finished", stage, identity, seconds: manifest.durationSeconds });
    return outcome;
  } catch (error) {
    await metrics.flush().catch(() => {}); // the first error is the one to tell
    await abandonAttempt(files, attempt).catch(() => {});
    if (signal.aborted && isAbort(error, signal)) return "interrupted";
    throw asUserError(error, `finish the stage "${stage.name}" in`, runFolder);
  }
}

/** A diverged stage's record of where the numbers went wrong. */
const DIVERGED = "diverged.json";

function divergedText(stage: Stage, { message, step, batch, loss }: DivergedError): string {
  // JSON has no NaN and no infinity; as text they survive.
  const written = Number.isFinite(loss) ? loss : String(loss);
  return `${JSON.stringify({ stage: stage.name, message, step, batch, loss: written }, null, 2)}\n`;
}

async function divergedMessage(files: FileSystem, folder: string): Promise<string> {
  const record = JSON.parse(new TextDecoder().decode(await files.read(join(folder, DIVERGED)))) as { message: string };
  return record.message;
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}
