import { join } from "node:path";
import type { FileSystem } from "./fileSystem.js";
import type { MetricsFile } from "./metrics.js";
import type { StudyObserver } from "./observer.js";
import { versions } from "./runConfig.js";
import { type MetricsRow, type Stage, type StageState, stageIdentity } from "./stage.js";
import { loadState, saveState } from "./stageState.js";
import { type Attempt, refuseLateWriter } from "./store.js";

/** The attempt whose stage may save states. */
export interface StateOfAttempt {
  readonly stage: Stage;
  /** Where the stage will lie when it is finished. */
  readonly folder: string;
  readonly attempt: Attempt;
  /** The attempt's `metrics.jsonl`, which is a part of every state. */
  readonly metrics: MetricsFile;
  readonly observer: StudyObserver;
}

export const METRICS = "metrics.jsonl";

/** What a stage is given to save its way and to go on from it. */
export function attemptState(
  files: FileSystem,
  { stage, folder, attempt, metrics, observer }: StateOfAttempt,
): StageState {
  const owner = {
    stageFolder: folder,
    identity: stageIdentity(stage),
    attempt: attempt.number,
    attemptFolder: attempt.folder,
    versions: versions(),
  };
  return {
    async load(refuse = () => undefined) {
      const content = await loadState(files, owner, refuse, (rejected, reason) =>
        observer({ type: "rejected", folder: rejected, reason }),
      );
      if (content === undefined) return undefined;
      observer({ type: "resumed", stage, step: content.step });
      return { ...content, metrics: await readMetrics(files, join(attempt.folder, METRICS)) };
    },
    async save(content) {
      await metrics.flush();
      await saveState(files, owner, content, () => refuseLateWriter(files, stage, folder, attempt));
    },
  };
}

async function readMetrics(files: FileSystem, path: string): Promise<MetricsRow[]> {
  if ((await files.kind(path)) === "absent") return [];
  const lines = new TextDecoder()
    .decode(await files.read(path))
    .split("\n")
    .slice(0, -1);
  return lines.map((line) => JSON.parse(line) as MetricsRow);
}
