import type { StageProgress } from "./runStage.js";
import type { Stage } from "./stage.js";

/** One line of the plan that is shown before the first step. */
export interface PlannedStage {
  readonly stage: Stage;
  readonly identity: string;
  readonly folder: string;
  /** Already in the store and verified: it will not run. */
  readonly done: boolean;
}

/** What a study is about to do. Sums are over the stages still to do that give an estimate. */
export interface StudyPlan {
  readonly runFolder: string;
  readonly stages: readonly PlannedStage[];
  readonly steps: number;
  readonly estimateSeconds: number;
  /** Of the stages that may run at once, the largest ones together. */
  readonly estimateBytes: number;
}

/** Everything that happens in a study, in order. Terminal lines and `--json` are made from these. */
export type StudyEvent =
  | { readonly type: "plan"; readonly plan: StudyPlan }
  /** An artifact was found but not used: damaged, or of an attempt that was cut off. */
  | { readonly type: "rejected"; readonly folder: string; readonly reason: string }
  | {
      readonly type: "started";
      readonly stage: Stage;
      readonly identity: string;
      readonly index: number;
      readonly of: number;
    }
  /** A stage that was cut off goes on after this step. */
  | { readonly type: "resumed"; readonly stage: Stage; readonly step: number }
  | ({ readonly type: "progress"; readonly stage: Stage } & StageProgress)
  | { readonly type: "finished"; readonly stage: Stage; readonly identity: string; readonly seconds: number }
  | { readonly type: "diverged"; readonly stage: Stage; readonly identity: string; readonly message: string }
  /** Not run, because an input has no usable outcome. */
  | { readonly type: "skipped"; readonly stage: Stage; readonly because: Stage }
  | { readonly type: "interrupted"; readonly stage: Stage | undefined };

export type StudyObserver = (event: StudyEvent) => void;
