import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeGreedily, meanActivations } from "../analysis/index.js";
import { gptParameters, initializeParameters } from "../model/index.js";
import { createEngine, type Engine, matmul, onnxRuntime, program } from "../tensor/index.js";
import {
  freshState,
  gptLayout,
  pretrain,
  pretrainBatches,
  scoredPositions,
  sharedPromptTokens,
  train,
} from "../train/index.js";
import { testSet, type World } from "../world/index.js";
import type { StudyConfig } from "./config.js";
import { type ProfileEvent, type ProfileTables, profileTables } from "./profileTables.js";
import { type ProgramStage, tuningOfMethod } from "./programs.js";
import { gptOf } from "./stages/checkpoints.js";
import { POSITIONS } from "./stages/clusters.js";
import { tuningBatchesOf, tuningObjective } from "./stages/tunings.js";

/** Where a stage's time goes, and the least that its matrix products could take on this machine. */
export interface StageProfile extends ProfileTables {
  readonly stage: ProgramStage;
  /** Floating-point operations a second of a large matrix product on this machine, with the study's threads. */
  readonly matrixRate: number;
  /** matrixFlops / matrixRate, in milliseconds. */
  readonly floorMilliseconds: number;
  /** Floor over measured: 1 would be nothing but matrix products at full rate. */
  readonly floorShare: number;
}

/** Runs that warm up and are not counted. */
const WARM = 2;
const RATE_SIZE = 1024;
const RATE_RUNS = 5;

/** Runs a few steps of a stage on fresh weights with the runtime's profiling on. On the CPU. Writes nothing but a temporary folder, and removes it. */
export async function profileStage(
  config: StudyConfig,
  world: World,
  stage: ProgramStage,
  { steps, method }: { readonly steps: number; readonly method?: string | undefined },
): Promise<StageProfile> {
  const { threads } = config;
  const tables = profileTables(
    await profiled(threads, (engine) => run(engine, config, world, { stage, method, count: WARM + steps })),
    WARM,
  );
  const rate = profileTables(await profiled(threads, multiplyMatrices), WARM);
  const matrixRate = (1000 * rate.matrixFlops) / rate.milliseconds;
  const floorMilliseconds = (1000 * tables.matrixFlops) / matrixRate;
  return { stage, ...tables, matrixRate, floorMilliseconds, floorShare: floorMilliseconds / tables.milliseconds };
}

/** The profiles of all sessions that `work` opens. */
async function profiled(threads: number, work: (engine: Engine) => Promise<void>): Promise<ProfileEvent[][]> {
  const folder = await mkdtemp(join(tmpdir(), "nullscope-profile-"));
  try {
    const ort = await import("onnxruntime-node");
    const engine = createEngine(onnxRuntime(ort, { threads, profilePrefix: join(folder, "session") }));
    try {
      await work(engine);
    } finally {
      await engine.release();
    }
    const files = (await readdir(folder)).sort();
    return await Promise.all(
      files.map(async (file) => JSON.parse(await readFile(join(folder, file), "utf8")) as ProfileEvent[]),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The stage's work on fresh weights, `count` runs of its program. */
async function run(
  engine: Engine,
  config: StudyConfig,
  world: World,
  {
    stage,
    method,
    count,
  }: { readonly stage: ProgramStage; readonly method: string | undefined; readonly count: number },
) {
  const model = gptOf(config.model, world);
  const seed = config.seeds[0]!;
  const parameters = initializeParameters(gptParameters(model), gptLayout(model), seed);
  if (stage === "pretrain" || stage === "tune") {
    const settings = config[stage];
    const { batch, steps, clip } = settings;
    const tuning = tuningOfMethod(config, method);
    await train(engine, freshState(parameters), {
      model,
      objective: stage === "pretrain" ? pretrain : tuningObjective(config, tuning).objective,
      reference: parameters,
      adamw: settings,
      clip,
      // A rate so small that any setting stays finite; how long a step takes does not depend on it.
      schedule: { peak: 1e-6, final: 1e-6, warmup: 0, steps: count },
      batch,
      time: world.time - 1,
      scored: scoredPositions(world),
      sharedPrefix: sharedPromptTokens(world),
      pad: world.vocabulary.pad,
      batchAt:
        stage === "pretrain"
          ? pretrainBatches(world, { seed, batch, steps, textShare: config.pretrain.curriculum.textShare })
          : tuningBatchesOf(config, world, tuning),
      batchName: `profile of ${stage}`,
    });
    return;
  }
  const { batch } = config.evaluate;
  const samples = testSet(world, "safe", { seed, step: 0, count: count * batch });
  const checkpoint = { model, parameters };
  if (stage === "behaviour") await decodeGreedily(engine, checkpoint, samples, { world, batch });
  else await meanActivations(engine, checkpoint, samples, { world, batch, positions: POSITIONS });
}

/** A few large float32 products: what the machine's matrix kernels reach when nothing is in their way. */
async function multiplyMatrices(engine: Engine): Promise<void> {
  const square = { shape: [RATE_SIZE, RATE_SIZE], dtype: "float32" } as const;
  const executable = await engine.compile(
    program("matrix-rate", { a: square, b: square }, ({ a, b }) => ({ product: matmul(a, b) })),
  );
  const feeds = { a: new Float32Array(RATE_SIZE ** 2).fill(0.5), b: new Float32Array(RATE_SIZE ** 2).fill(0.25) };
  for (let index = 0; index < WARM + RATE_RUNS; index++) await executable.run(feeds);
}
