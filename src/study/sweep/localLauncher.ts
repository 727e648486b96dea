import { UserError } from "../../errors.js";
import type { StageRunner } from "../graph.js";
import type { StageOutcome, StageProgress } from "../runStage.js";
import type { Stage } from "../stage.js";
import type { JobState, Launcher, LaunchJob } from "./launcher.js";

interface Entry {
  readonly job: LaunchJob;
  state: JobState;
  stop: AbortController;
  end: Promise<StageOutcome>;
}

/** Jobs as processes of this machine. */
export interface LocalLauncherOptions {
  /** Runs a stage in a process of its own: a worker pool's. */
  readonly runner: StageRunner;
  readonly stageOf: (job: LaunchJob) => Stage;
  /** Processes at once, who share the machine's threads. */
  readonly parallel: number;
  readonly onProgress: (stage: Stage, progress: StageProgress) => void;
}

/** A launcher of processes; at most `parallel` at a time, first come, first served. */
export function localLauncher({ runner, stageOf, parallel, onProgress }: LocalLauncherOptions): Launcher {
  const entries = new Map<string, Entry>();
  const waiting: (() => void)[] = [];
  let running = 0;

  const slot = async (signal: AbortSignal) => {
    if (running >= parallel) await new Promise<void>((go) => waiting.push(go));
    else running++;
    if (signal.aborted) {
      leave();
      throw new UserError("The job was cancelled before it began.");
    }
  };
  // A slot is handed to the next in line, so that nobody comes in between.
  const leave = () => {
    const next = waiting.shift();
    if (next !== undefined) next();
    else running--;
  };
  const start = (job: LaunchJob): Entry => {
    const stop = new AbortController();
    const entry: Entry = { job, state: "queued", stop, end: Promise.resolve({ outcome: "interrupted" }) };
    const work = async (): Promise<StageOutcome> => {
      await slot(stop.signal);
      try {
        entry.state = "running";
        const stage = stageOf(job);
        return await runner(stage, {
          signal: stop.signal,
          onProgress: (progress) => onProgress(stage, progress),
          onNews: () => {},
          sharing: parallel,
        });
      } finally {
        leave();
      }
    };
    entry.end = work().then(
      (end) => {
        entry.state = end.outcome === "interrupted" ? "cancelled" : "done";
        return end;
      },
      (error: unknown) => {
        entry.state = stop.signal.aborted ? "cancelled" : "failed";
        throw error;
      },
    );
    entry.end.catch(() => {}); // thrown where it is collected
    return entry;
  };
  const known = (id: string): Entry => {
    const entry = entries.get(id);
    if (entry === undefined) throw new Error(`no job ${id} was submitted`);
    return entry;
  };

  return {
    submit: async (job) => {
      const before = entries.get(job.id)?.state;
      if (before === "queued" || before === "running") return;
      entries.set(job.id, start(job));
    },
    status: async (id) => entries.get(id)?.state ?? "unknown",
    cancel: async (id) => known(id).stop.abort(new UserError("The sweep was stopped.")),
    requeue: async (id) => {
      const { job, state } = known(id);
      if (state === "failed" || state === "cancelled") entries.set(id, start(job));
    },
    collect: (id) => known(id).end,
  };
}
