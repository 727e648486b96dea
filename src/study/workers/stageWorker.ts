import { UserError } from "../../errors.js";
import { createEngine, type Engine, onnxRuntime } from "../../tensor/index.js";
import { buildStudy } from "../build.js";
import { nodeFileSystem } from "../fileSystem.js";
import { inDependencyOrder } from "../graph.js";
import { loadWorld } from "../loadWorld.js";
import { systemClock } from "../progressMeter.js";
import { requestedStages } from "../requests.js";
import { runStage } from "../runStage.js";
import { type Stage, stageIdentity } from "../stage.js";
import type { FromWorker, StudyJob, ToWorker } from "./messages.js";

// A process that runs stages, one at a time, for the study that forked it (workerPool.ts). What it makes goes through the store; messages carry
// nothing but orders and news. It ends with its study: whoever holds the run has no worker it does not know of.

/** A terminal's Ctrl-C goes to all its processes; what it means is the study's to say. */
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
process.on("disconnect", () => process.exit(0));

let stop = new AbortController();
const stages = new Map<string, Promise<ReadonlyMap<string, Stage>>>();
let engine: { readonly key: string; readonly open: Promise<Engine> } | undefined;

process.on("message", (message: ToWorker) => {
  if (message.type === "stop") return stop.abort(new UserError("The study was stopped."));
  void run(message).then(send, (error: unknown) => send(asMessage(error)));
});

async function run({ job, identity, threads }: Extract<ToWorker, { type: "run" }>): Promise<FromWorker> {
  stop = new AbortController();
  useThreads = threads;
  const stage = (await stagesOf(job)).get(identity);
  if (stage === undefined)
    throw new UserError("The world or the program changed while the study ran; run the same command again.");
  const end = await runStage(stage, {
    runFolder: job.runFolder,
    files: nodeFileSystem,
    clock: systemClock,
    signal: stop.signal,
    onProgress: newest,
    onNews: (news) => send({ type: "news", news }),
  });
  return { type: "end", end };
}

/** The stages of a study by identity; built once. */
function stagesOf(job: StudyJob): Promise<ReadonlyMap<string, Stage>> {
  const key = JSON.stringify(job);
  const known = stages.get(key);
  if (known !== undefined) return known;
  const built = (async () => {
    const { config, requests } = job;
    const world = await loadWorld(config.world);
    const source = () => engineOn(config.device);
    const own = buildStudy(config, world, source);
    const all = inDependencyOrder([...own, ...requestedStages(config, world, own, requests, source)]);
    return new Map(all.map((stage) => [stageIdentity(stage), stage]));
  })();
  stages.set(key, built);
  return built;
}

let useThreads = 1;

/** The engine of the stage in hand. Of another number of threads it is another one, and the old one is given up with its sessions. */
function engineOn(device: StudyJob["config"]["device"]): Promise<Engine> {
  if (device === "auto") throw new Error("the device must be resolved before stages run");
  const key = `${device} ${useThreads}`;
  if (engine?.key === key) return engine.open;
  const [threads, before] = [useThreads, engine];
  const open = (async () => {
    await (await before?.open)?.release();
    return createEngine(onnxRuntime(await import("onnxruntime-node"), { device, threads }));
  })();
  engine = { key, open };
  return open;
}

/** Progress is news, not a record: of many steps in a moment the study hears of the last. */
const NEWS_MS = 50;
let told = Number.NEGATIVE_INFINITY;
function newest(progress: Extract<FromWorker, { type: "progress" }>["progress"]): void {
  const now = performance.now();
  if (now - told < NEWS_MS && progress.step < progress.total) return;
  told = now;
  send({ type: "progress", progress });
}

/** Without the callback a study that was killed at this moment would show as an error of this process. */
function send(message: FromWorker): void {
  if (process.connected) process.send!(message, (error: Error | null) => error && process.exit(0));
}

function asMessage(error: unknown): FromWorker {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { type: "error", user: error instanceof UserError, message, ...(stack !== undefined && { stack }) };
}
