import type { StageOutcome } from "../runStage.js";
import type { StudyJob } from "../workers/messages.js";

/** A stage to be computed somewhere: whoever has the job and the store can do it. */
export interface LaunchJob {
  /** The stage's identity: a job is the same wherever it runs. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** From which a worker builds the stage again. */
  readonly study: StudyJob;
}

/** Where a job stands. `failed`: its process ended or threw; it may be queued again. */
export type JobState = "unknown" | "queued" | "running" | "done" | "failed" | "cancelled";

/**
 * Where jobs run. Five calls, so that a cluster's queue can stand in for the processes of one machine. What a launcher says is news; the truth is
 * the store, which holds a stage whole or not at all, and the ledger beside it.
 */
export interface Launcher {
  /** Queues a job; one that is queued or runs already stays as it is. */
  submit(job: LaunchJob): Promise<void>;
  status(id: string): Promise<JobState>;
  /** Stops a job after its step in hand; what it saved stays. */
  cancel(id: string): Promise<void>;
  /** Queues a job again that failed or was cancelled. */
  requeue(id: string): Promise<void>;
  /** Waits for a job's end. @throws what ended it, when that is no outcome. */
  collect(id: string): Promise<StageOutcome>;
}
