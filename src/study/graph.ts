import { UserError } from "../errors.js";
import type { StageNews } from "./attemptState.js";
import { type FileSystem, orUserError } from "./fileSystem.js";
import type { PlannedStage, StudyObserver, StudyPlan } from "./observer.js";
import type { Clock } from "./progressMeter.js";
import { divergedMessage, runStage, type StageOutcome, type StageProgress } from "./runStage.js";
import { type Stage, stageIdentity } from "./stage.js";
import { stageFolder } from "./store.js";
import { checkStages, rememberVerified } from "./verified.js";

/** Runs one stage to its commit, in this process or in another. @throws what ended it, when that is no outcome. */
export type StageRunner = (
  stage: Stage,
  context: {
    readonly signal: AbortSignal;
    readonly onProgress: (progress: StageProgress) => void;
    readonly onNews: (news: StageNews) => void;
    /** How many stages share the machine now, this one included. */
    readonly sharing: number;
  },
) => Promise<StageOutcome>;

export interface RunStagesOptions {
  readonly runFolder: string;
  readonly files: FileSystem;
  readonly observer: StudyObserver;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** How many stages may run at a time; 1 by default. More needs a runner that uses other processes. */
  readonly atOnce?: number | undefined;
  /** Also makes again what was removed from finished stages to save space. */
  readonly restore?: boolean | undefined;
  /** Who runs a stage; this process by default. */
  readonly runner?: StageRunner | undefined;
  /** Runs after each stage that was committed in this call, one after another: to show what is known so far. */
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

async function findStages(stages: readonly Stage[], runFolder: string, files: FileSystem, restore = false) {
  const ordered = inDependencyOrder(stages);
  // Stages that were built twice are one.
  const canonical = new Map(ordered.map((stage) => [stageIdentity(stage), stage]));
  const checked = await checkStages(ordered, runFolder, files);
  // What was removed to save space is made again where a stage that is still to do needs it, or where it is to be there.
  const again = new Set<Stage>();
  const usable = (stage: Stage) => checked.checks.get(stage)!.state === "whole" && !again.has(stage);
  const lacking = (stage: Stage) => {
    const check = checked.checks.get(stage)!;
    return check.state === "whole" && check.removed.length > 0;
  };
  for (const stage of [...ordered].reverse()) {
    if (restore && lacking(stage)) again.add(stage);
    if (usable(stage)) continue;
    for (const input of stage.inputs.map((one) => canonical.get(stageIdentity(one))!))
      if (lacking(input)) again.add(input);
  }
  const found = ordered.map((stage): Found => {
    const check = checked.checks.get(stage)!;
    const outcome = check.state === "whole" && !again.has(stage) ? check.manifest.outcome : undefined;
    const damage = check.state === "damaged" ? check.reason : undefined;
    const folder = stageFolder(runFolder, stage);
    return { stage, identity: stageIdentity(stage), folder, done: outcome !== undefined, outcome, damage };
  });
  return { found, checked };
}

function planOf(found: readonly Found[], runFolder: string, atOnce: number): StudyPlan {
  const open = found.filter((one) => !one.done).map((one) => one.stage);
  const sum = (value: (stage: Stage) => number | undefined) =>
    open.reduce((total, stage) => total + (value(stage) ?? 0), 0);
  return {
    runFolder,
    stages: found.map(({ stage, identity, folder, done }) => ({ stage, identity, folder, done })),
    steps: sum((stage) => stage.steps),
    estimateSeconds: sum((stage) => stage.estimateSeconds),
    estimateBytes: largest(
      open.map((stage) => stage.estimateBytes ?? 0),
      atOnce,
    ),
  };
}

/** Sum of the `count` largest. */
const largest = (values: number[], count: number) =>
  values
    .sort((a, b) => b - a)
    .slice(0, count)
    .reduce((total, value) => total + value, 0);

/** What running `stages` in `runFolder` would do, `atOnce` at a time. Reads and verifies what is there; writes nothing. */
export async function planStages(
  stages: readonly Stage[],
  runFolder: string,
  files: FileSystem,
  atOnce = 1,
  restore = false,
): Promise<StudyPlan> {
  return orUserError("read the run", runFolder, async () =>
    planOf((await findStages(stages, runFolder, files, restore)).found, runFolder, atOnce),
  );
}

/**
 * Runs what is not done, inputs first, up to `atOnce` stages at a time. A diverged stage is recorded and its dependents are skipped; the rest
 * goes on. A fault ends the others after their step in hand. The run's lock must be held.
 * @throws what a stage throws; UserError for faults of the file system.
 */
export async function runStages(stages: readonly Stage[], options: RunStagesOptions): Promise<StudySummary> {
  const { runFolder, files, observer, signal, atOnce = 1, runner = inThisProcess(options) } = options;
  const { found, checked } = await orUserError("read the run", runFolder, () =>
    findStages(stages, runFolder, files, options.restore),
  );
  await orUserError("write to", runFolder, () => rememberVerified(runFolder, checked, files));
  for (const { folder, damage } of found)
    if (damage !== undefined) observer({ type: "rejected", folder, reason: damage });
  observer({ type: "plan", plan: planOf(found, runFolder, atOnce) });

  const pending = [...found];
  const settled = new Map<string, "ran" | "already" | "diverged" | "skipped">();
  const unusable = new Map<string, Stage>(); // identity of a stage without result -> the stage that diverged
  const running = new Map<string, Promise<void>>();
  const stop = new AbortController(); // a fault of one stage stops the others, as the user does
  const stopped = AbortSignal.any([signal, stop.signal]);
  const open = found.filter((one) => !one.done).length;
  let index = 0;
  let fault: { readonly error: unknown } | undefined;
  const interrupted = new Set<Stage>();
  let shown: Promise<void> = Promise.resolve();

  const settle = (stage: Stage, how: "ran" | "already" | "diverged" | "skipped", because?: Stage) => {
    settled.set(stageIdentity(stage), how);
    if (because !== undefined) unusable.set(stageIdentity(stage), because);
  };
  const divergence = (stage: Stage, identity: string, message: string) => {
    settle(stage, "diverged", stage);
    observer({ type: "diverged", stage, identity, message });
  };
  const show = (stage: Stage) => {
    shown = shown.then(() => options.afterStage?.(stage));
    shown.catch(() => {}); // thrown where it is waited for
    return shown;
  };
  const start = async ({ stage, identity }: Found, sharing: number) => {
    try {
      const onProgress = (progress: StageProgress) => observer({ type: "progress", stage, ...progress });
      const onNews = (news: StageNews) => observer(news.type === "resumed" ? { ...news, stage } : news);
      const end = await runner(stage, { signal: stopped, onProgress, onNews, sharing });
      if (end.outcome === "interrupted") interrupted.add(stage);
      else {
        if (end.outcome === "done") {
          settle(stage, "ran");
          observer({ type: "finished", stage, identity, seconds: end.seconds });
        } else divergence(stage, identity, end.message);
        // Alone, a stage waits until what came before it is shown; beside others, showing waits for nobody.
        if (atOnce === 1) await show(stage);
        else void show(stage);
      }
    } catch (error) {
      fault ??= { error };
      stop.abort(new UserError("Another stage failed."));
    } finally {
      running.delete(identity);
    }
  };

  for (;;) {
    const ready: Found[] = [];
    for (const one of [...pending]) {
      if (ready.length + running.size >= atOnce && atOnce === 1) break; // so that one at a time everything happens in order
      const { stage, identity, outcome } = one;
      const lost = stage.inputs.map((input) => unusable.get(stageIdentity(input))).find((cause) => cause !== undefined);
      const usable = stage.inputs.every((input) => settled.has(stageIdentity(input)));
      if (lost === undefined && !usable) continue;
      if (lost === undefined && outcome === undefined) {
        ready.push(one);
        continue;
      }
      pending.splice(pending.indexOf(one), 1);
      if (lost !== undefined) {
        settle(stage, "skipped", lost);
        observer({ type: "skipped", stage, because: lost });
      } else if (outcome === "done") settle(stage, "already");
      else divergence(stage, identity, await divergedMessage(files, one.folder));
    }
    if (stopped.aborted) {
      if (signal.aborted) for (const { stage } of ready) interrupted.add(stage);
    } else {
      const sharing = Math.min(atOnce, ready.length + running.size);
      for (const one of ready.slice(0, Math.max(0, atOnce - running.size))) {
        pending.splice(pending.indexOf(one), 1);
        const { stage, identity } = one;
        observer({ type: "started", stage, identity, index: ++index, of: open });
        running.set(identity, start(one, sharing));
      }
    }
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
  if (fault !== undefined) {
    await shown.catch(() => {}); // the first error is the one to tell
    throw fault.error;
  }
  await shown;
  const halted = found.find(({ stage }) => interrupted.has(stage))?.stage;
  if (halted !== undefined) observer({ type: "interrupted", stage: halted });
  const list = (how: string) =>
    found.map(({ stage }) => stage).filter((one) => settled.get(stageIdentity(one)) === how);
  return {
    ran: list("ran"),
    already: list("already"),
    diverged: list("diverged"),
    skipped: list("skipped"),
    interrupted: halted !== undefined,
  };
}

function inThisProcess({ runFolder, files, clock }: RunStagesOptions): StageRunner {
  return (stage, { signal, onProgress, onNews }) =>
    runStage(stage, { runFolder, files, clock, signal, onProgress, onNews });
}
