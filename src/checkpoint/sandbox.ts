import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";

/** What went wrong with foreign work: it ran past its deadline, past its memory, or failed by itself. */
export class SandboxError extends Error {
  override readonly name: string = "SandboxError";
  constructor(
    message: string,
    readonly reason: "time" | "memory" | "failed",
  ) {
    super(message);
  }
}

/**
 * The tasks of a sandbox, made inside its thread. It is handed over as source text, so it may use nothing but its own parameters:
 * `load` (Node's require, for packages of ours by their resolved path) and `data`.
 */
// biome-ignore lint/suspicious/noExplicitAny: what crosses to another thread is checked by the callers, task by task
export type SandboxTasks = (load: (path: string) => any, data: any) => Record<string, (payload: any) => unknown>;

export interface SandboxLimits {
  /** Heap of the thread, in MiB. */
  readonly memoryMiB: number;
  /** Seconds to set the tasks up. */
  readonly startSeconds: number;
}

/** A thread of its own for work whose time and memory a foreign file decides: templates, patterns, tokenizers. */
export interface Sandbox {
  /**
   * Runs one task. After a failure by time or memory the thread is gone and the next call begins with a fresh one.
   * @throws SandboxError
   */
  call(task: string, payload: unknown, seconds: number): Promise<unknown>;
  /** Ends the thread. */
  close(): Promise<void>;
}

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

const require = createRequire(import.meta.url);

/** Path of an installed package for `load` inside a sandbox. */
export const packagePath = (name: string): string => require.resolve(name);

// Runs in the thread. The first reply, number 0, says that the tasks are set up.
const bootstrap = (tasks: SandboxTasks) => `
const { parentPort, workerData } = require("node:worker_threads");
const reply = (id, work) => {
  try {
    const result = work();
    parentPort.postMessage({ id, result });
  } catch (error) {
    parentPort.postMessage({ id, error: String((error && error.message) || error).slice(0, 2000) });
  }
};
let tasks;
reply(0, () => { tasks = (${tasks.toString()})(require, workerData); });
parentPort.on("message", ({ id, task, payload }) => reply(id, () => tasks[task](payload)));
`;

/**
 * Opens a sandbox. Its thread starts with the first call, gets no environment variables and no terminal, and holds no process open while idle.
 * A deadline ends the thread from outside, so it holds for any loop and any regular expression.
 */
export function openSandbox(tasks: SandboxTasks, data: unknown, { memoryMiB, startSeconds }: SandboxLimits): Sandbox {
  let worker: Worker | undefined;
  let calls = 0;
  let turn: Promise<unknown> = Promise.resolve();

  const stop = async () => {
    const ended = worker;
    worker = undefined;
    await ended?.terminate();
  };

  /** Waits for reply `id`, after `begin`; whatever ends the wait otherwise ends the thread too. */
  const answer = (thread: Worker, id: number, seconds: number, begin: () => void): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        thread.off("message", onMessage).off("error", onError).off("exit", onExit);
        thread.unref();
        finish();
      };
      const fail = (error: SandboxError) =>
        settle(() => {
          void stop().then(() => reject(error));
        });
      const onMessage = (reply: Reply) => {
        if (reply.id !== id) return;
        settle(() =>
          reply.error === undefined ? resolve(reply.result) : reject(new SandboxError(reply.error, "failed")),
        );
      };
      const onError = (error: NodeJS.ErrnoException) =>
        fail(
          error.code === "ERR_WORKER_OUT_OF_MEMORY"
            ? new SandboxError(`it needs more than ${memoryMiB} MiB of memory`, "memory")
            : new SandboxError(error.message, "failed"),
        );
      const onExit = () => fail(new SandboxError("its thread ended", "failed"));
      const timer = setTimeout(
        () => fail(new SandboxError(`it takes longer than ${seconds} s`, "time")),
        seconds * 1000,
      );
      thread.on("message", onMessage).on("error", onError).on("exit", onExit);
      thread.ref();
      begin();
    });

  const start = async (): Promise<Worker> => {
    const thread = new Worker(bootstrap(tasks), {
      eval: true,
      workerData: data,
      env: {},
      execArgv: [],
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: memoryMiB, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    });
    worker = thread;
    // Unread, a library's warnings would pile up; unheard, a late error would end the process.
    thread.stdout.resume();
    thread.stderr.resume();
    thread.on("error", () => {});
    try {
      await answer(thread, 0, startSeconds, () => {});
    } catch (error) {
      await stop();
      throw error;
    }
    return thread;
  };

  return {
    call(task, payload, seconds) {
      const mine = turn.then(async () => {
        const thread = worker ?? (await start());
        const id = ++calls;
        return await answer(thread, id, seconds, () => thread.postMessage({ id, task, payload }));
      });
      turn = mine.catch(() => {}); // one after another; a failed call does not fail the next
      return mine;
    },
    async close() {
      await turn;
      await stop();
    },
  };
}
