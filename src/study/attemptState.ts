import type { FileSystem } from "./fileSystem.js";
import type { MetricsFile } from "./metrics.js";
import { versions } from "./runConfig.js";
import { type MetricsRow, type Stage, type StageState, stageIdentity } from "./stage.js";
import { loadState, saveState } from "./stageState.js";
import { type Attempt, refuseLateWriter } from "./store.js";

/** What a stage that was begun before finds: a state that it goes on from, or one that is damaged. */
export type StageNews =
  | { readonly type: "resumed"; readonly step: number }
  | { readonly type: "rejected"; readonly folder: string; readonly reason: string };

/** The attempt whose stage may save states. */
export interface StateOfAttempt {
  readonly stage: Stage;
  /** Where the stage will lie when it is finished. */
  readonly folder: string;
  readonly attempt: Attempt;
  /** The attempt's `metrics.jsonl`, which is a part of every state. */
  readonly metrics: MetricsFile;
  readonly onNews: (news: StageNews) => void;
}

export const METRICS = "metrics.jsonl";

/** What a stage is given to save its way and to go on from it. */
export function attemptState(
  files: FileSystem,
  { stage, folder, attempt, metrics, onNews }: StateOfAttempt,
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
        onNews({ type: "rejected", folder: rejected, reason }),
      );
      if (content === undefined) return undefined;
      onNews({ type: "resumed", step: content.step });
      return { ...content, metrics: metricsRows(content.outputs.get(METRICS)) };
    },
    async save(content) {
      await metrics.flush();
      await saveState(files, owner, content, () => refuseLateWriter(files, stage, folder, attempt));
    },
  };
}

function metricsRows(lines: Uint8Array = new Uint8Array()): MetricsRow[] {
  return new TextDecoder()
    .decode(lines)
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as MetricsRow);
}
