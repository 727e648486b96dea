import type { StageNews } from "../attemptState.js";
import type { StudyConfig } from "../config.js";
import type { StudyRequest } from "../requests.js";
import type { StageOutcome, StageProgress } from "../runStage.js";

/** A study as a worker needs it to build the same stages again. */
export interface StudyJob {
  /** Resolved, its device too. */
  readonly config: StudyConfig;
  readonly requests: readonly StudyRequest[];
  /** Where its stages lie. */
  readonly runFolder: string;
}

/** What the study says to a worker: one stage at a time, and to stop it after the step in hand. */
export type ToWorker =
  | { readonly type: "run"; readonly job: StudyJob; readonly identity: string; readonly threads: number }
  | { readonly type: "stop" };

/** What a worker says: how far it is, then exactly one end. */
export type FromWorker =
  | { readonly type: "progress"; readonly progress: StageProgress }
  | { readonly type: "news"; readonly news: StageNews }
  | { readonly type: "end"; readonly end: StageOutcome }
  /** `user`: the text is for people and is the user's to mend; else it is a fault of ours, with its stack. */
  | { readonly type: "error"; readonly user: boolean; readonly message: string; readonly stack?: string };
