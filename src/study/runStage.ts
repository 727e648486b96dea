import { join } from "node:path";
import { DivergedError } from "../errors.js";
import { asUserError, type FileSystem, orUserError } from "./fileSystem.js";
import { openMetrics } from "./metrics.js";
import { type Clock, progressMeter } from "./progressMeter.js";
import type { Stage } from "./stage.js";
import { abandonAttempt, beginAttempt, commitAttempt, stageFolder } from "./store.js";

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
}

/**
 * Runs one stage in a fresh attempt and commits what it wrote. Its inputs must be finished, and the run's lock held.
 * @throws what the stage throws, its attempt thrown away; UserError for faults of the file system.
 */
export async function runStage(
  stage: Stage,
  { runFolder, files, clock, signal, onProgress }: RunStageOptions,
): Promise<StageOutcome> {
  const folder = stageFolder(runFolder, stage);
  const started = clock.date();
  const attempt = await orUserError("begin a stage in", runFolder, () => beginAttempt(files, folder));
  const metrics = openMetrics(files, join(attempt.folder, "metrics.jsonl"));
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
      });
    } catch (error) {
      if (!(error instanceof DivergedError)) throw error;
      diverged = error;
      await files.write(join(attempt.folder, DIVERGED), new TextEncoder().encode(divergedText(stage, error)));
    }
    await metrics.close();
    const finished = clock.date();
    const outcome = diverged === undefined ? "done" : "diverged";
    const manifest = await commitAttempt(files, stage, folder, attempt, { outcome, started, finished });
    return diverged === undefined
      ? { outcome: "done", seconds: manifest.durationSeconds }
      : { outcome: "diverged", message: diverged.message };
  } catch (error) {
    await metrics.close().catch(() => {}); // the first error is the one to tell
    await abandonAttempt(files, attempt).catch(() => {});
    if (signal.aborted && isAbort(error, signal)) return { outcome: "interrupted" };
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

/** Why a finished stage diverged, from its record. */
export async function divergedMessage(files: FileSystem, folder: string): Promise<string> {
  const record = JSON.parse(new TextDecoder().decode(await files.read(join(folder, DIVERGED)))) as { message: string };
  return record.message;
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}
