import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { freemem } from "node:os";
import { fileURLToPath } from "node:url";
import { UserError } from "../../errors.js";
import type { StudyConfig } from "../config.js";
import type { StageRunner } from "../graph.js";
import { type Stage, stageIdentity } from "../stage.js";
import type { FromWorker, StudyJob, ToWorker } from "./messages.js";

/** Processes that run stages side by side. */
export interface WorkerPool {
  readonly runner: StageRunner;
  /** Ends the processes. */
  close(): void;
}

const WORKER = fileURLToPath(new URL("./stageWorker.js", import.meta.url));

/** A worker without a model: Node, ONNX Runtime and this program. */
const WORKER_BYTES = 200 * 2 ** 20;

/**
 * How many stages to run at once where nobody says: on the CPU one for each thread, as long as the largest of them fit into the free memory
 * together; on other devices one. One as well where there is no worker to fork: from the sources, as in tests.
 */
export function workersFor(
  { device, threads }: Pick<StudyConfig, "device" | "threads">,
  stages: readonly Stage[],
): number {
  if (device !== "cpu" || !existsSync(WORKER)) return 1;
  const largest = WORKER_BYTES + Math.max(0, ...stages.map((stage) => stage.estimateBytes ?? 0));
  const free = Math.min(freemem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  return Math.max(1, Math.min(threads, stages.length, Math.floor(free / largest)));
}

/**
 * A pool for one study or several. A process is forked when a stage finds none idle; `threads` are shared out among the stages that run at
 * once, which changes no result.
 * @throws (its runner) UserError when a process ends in the middle of a stage.
 */
export function workerPool(jobOf: (stage: Stage) => StudyJob, { threads }: { readonly threads: number }): WorkerPool {
  const idle: ChildProcess[] = [];
  const all = new Set<ChildProcess>();

  const hire = (): ChildProcess => {
    const known = idle.pop();
    if (known !== undefined) return known;
    const child = fork(WORKER, [], { stdio: ["ignore", "ignore", "inherit", "ipc"], execArgv: [] });
    all.add(child);
    child.on("exit", () => {
      all.delete(child);
      if (idle.includes(child)) idle.splice(idle.indexOf(child), 1);
    });
    return child;
  };

  const runner: StageRunner = (stage, { signal, onProgress, onNews, sharing }) =>
    new Promise((resolve, reject) => {
      const child = hire();
      const say = (message: ToWorker) => child.connected && child.send(message);
      const stop = () => say({ type: "stop" });
      const onMessage = (message: FromWorker) => {
        if (message.type === "progress") return onProgress(message.progress);
        if (message.type === "news") return onNews(message.news);
        leave();
        idle.push(child);
        if (message.type === "end") resolve(message.end);
        else reject(faultOf(message));
      };
      const onExit = (code: number | null, by: NodeJS.Signals | null) => {
        leave();
        reject(endedError(stage, by ?? `exit code ${code}`));
      };
      const onError = (error: Error) => {
        leave();
        reject(endedError(stage, error.message));
      };
      const leave = () => {
        child.off("message", onMessage).off("exit", onExit).off("error", onError);
        signal.removeEventListener("abort", stop);
      };
      child.on("message", onMessage).on("exit", onExit).on("error", onError);
      signal.addEventListener("abort", stop);
      const share = Math.max(1, Math.floor(threads / sharing));
      say({ type: "run", job: jobOf(stage), identity: stageIdentity(stage), threads: share });
      if (signal.aborted) stop();
    });

  return {
    runner,
    close: () => {
      for (const child of all) child.disconnect();
    },
  };
}

function faultOf({ user, message, stack }: Extract<FromWorker, { type: "error" }>): Error {
  if (user) return new UserError(message);
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

const endedError = (stage: Stage, how: string) =>
  new UserError(
    `The process that ran the stage "${stage.name}" ended (${how}); where memory is short, use --workers 1. Run the same command again to go on.`,
  );
