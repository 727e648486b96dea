import { join } from "node:path";
import { DivergedError, UserError } from "../errors.js";
import { attemptState, METRICS, type StageNews } from "./attemptState.js";
import { asUserError, type FileSystem, orUserError } from "./fileSystem.js";
import { checkStage, readManifest, readOutput } from "./manifest.js";
import { openMetrics } from "./metrics.js";
import { type Clock, progressMeter } from "./progressMeter.js";
import { type Stage, stageIdentity } from "./stage.js";
import { abandonAttempt, beginAttempt, commitAttempt, stageFolder } from "./store.js";
import { forgetVerified } from "./verified.js";

/** How a stage ended, when no fault ended it. */
export type StageOutcome =
  | { readonly outcome: "done"; readonly seconds: number }
  | { readonly outcome: "diverged"; readonly message: string }
  | { readonly outcome: "interrupted" };

/** How far a running stage is. */
export interface StageProgress {
  readonly step: number;
  readonly total: number;
  readonly note?: string;
  /** Steps per second, over the last seconds. */
  readonly rate?: number;
  readonly secondsLeft?: number;
}

export interface RunStageOptions {
  readonly runFolder: string;
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: StageProgress) => void;
  readonly onNews: (news: StageNews) => void;
}

/**
 * Runs one stage in a fresh attempt and commits what it wrote. Its inputs must be finished, and the run's lock held.
 * @throws what the stage throws, its attempt thrown away; UserError for faults of the file system.
 */
export async function runStage(
  stage: Stage,
  { runFolder, files, clock, signal, onProgress, onNews }: RunStageOptions,
): Promise<StageOutcome> {
  const folder = stageFolder(runFolder, stage);
  const started = clock.date();
  await orUserError("read what a stage needs in", runFolder, () => refuseDamagedInputs(stage, runFolder, files));
  const attempt = await orUserError("begin a stage in", runFolder, () => beginAttempt(files, folder));
  const metrics = openMetrics(files, join(attempt.folder, METRICS));
  const meter = progressMeter(clock);
  try {
    let diverged: DivergedError | undefined;
    try {
      await stage.run({
        folder: attempt.folder,
        input: (input) => stageFolder(runFolder, input),
        metrics: metrics.write,
        progress: (step, total, note) =>
          onProgress({ step, total, ...meter(step, total), ...(note !== undefined && { note }) }),
        signal,
        state: attemptState(files, { stage, folder, attempt, metrics, onNews }),
      });
    } catch (error) {
      if (!(error instanceof DivergedError)) throw error;
      diverged = error;
      await files.write(join(attempt.folder, DIVERGED), new TextEncoder().encode(divergedText(stage, error)));
    }
    await metrics.flush();
    const finished = clock.date();
    const outcome = diverged === undefined ? "done" : "diverged";
    const manifest = await commitAttempt(files, stage, folder, attempt, { outcome, started, finished });
    return diverged === undefined
      ? { outcome: "done", seconds: manifest.durationSeconds }
      : { outcome: "diverged", message: diverged.message };
  } catch (error) {
    await metrics.flush().catch(() => {}); // the first error is the one to tell
    await abandonAttempt(files, attempt).catch(() => {});
    if (signal.aborted && isAbort(error, signal)) return { outcome: "interrupted" };
    throw asUserError(error, `finish the stage "${stage.name}" in`, runFolder);
  }
}

/** What a stage is about to read is hashed once more: it may have been verified long ago, or by its stamps alone. */
async function refuseDamagedInputs(stage: Stage, runFolder: string, files: FileSystem): Promise<void> {
  for (const input of stage.inputs) {
    const check = await checkStage(files, stageFolder(runFolder, input), stageIdentity(input));
    if (check.state === "whole" && check.removed.length === 0) continue;
    await forgetVerified(runFolder, files);
    const reason = check.state === "damaged" ? check.reason : "it is gone";
    throw new UserError(
      `The stage "${input.name}" of ${runFolder}, which "${stage.name}" needs, was damaged after it was verified (${reason}); run the same command again, it is made again.`,
    );
  }
}

/** A diverged stage's record of where the numbers went wrong. */
const DIVERGED = "diverged.json";

function divergedText(stage: Stage, { message, step, batch, loss, lastGoodStep }: DivergedError): string {
  // JSON has no NaN and no infinity; as text they survive.
  const written = Number.isFinite(loss) ? loss : String(loss);
  return `${JSON.stringify({ stage: stage.name, message, step, batch, loss: written, lastGoodStep }, null, 2)}\n`;
}

/** Why a finished stage diverged, from its record. */
export async function divergedMessage(files: FileSystem, folder: string): Promise<string> {
  const check = await readManifest(files, folder);
  if (check.state !== "whole") return "its record cannot be read";
  const bytes = await readOutput(files, folder, check.manifest, DIVERGED);
  return (JSON.parse(new TextDecoder().decode(bytes)) as { message: string }).message;
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}
