import { freshState, scoredPositions, ssft, train, tuningBatches } from "../../train/index.js";
import type { World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import { deviceIdentity, type EngineSource } from "../engines.js";
import { estimateTraining } from "../estimate.js";
import type { Stage } from "../stage.js";
import { gptOf, loadCheckpoint, saveCheckpoint } from "./checkpoints.js";
import { trainingLog } from "./trainingLog.js";

export interface Tuning {
  readonly method: StudyConfig["tune"]["methods"][number];
  /** Name of the rate, as in `medium`. */
  readonly rate: string;
  readonly seed: number;
}

/** What a tuning's checkpoint is called: `ssft-medium`. */
export function checkpointName({ method, rate }: Pick<Tuning, "method" | "rate">): string {
  return `${method}-${rate}`;
}

const OBJECTIVES = { ssft } as const;

/** Safety tuning from W_IT with one method at one rate: writes the checkpoint W_ST. */
export function tuneStage(
  config: StudyConfig,
  world: World,
  pretrained: Stage,
  tuning: Tuning,
  engine: EngineSource,
): Stage {
  const { methods: _methods, rates, ...settings } = config.tune;
  const { steps, batch, warmup, finalLearningRate, betas, epsilon, weightDecay, clip } = settings;
  const { method, rate, seed } = tuning;
  const checkpoint = checkpointName(tuning);
  const learningRate = rates[rate]!;
  return {
    kind: "tune",
    name: `tune ${checkpoint} seed ${seed}`,
    version: 1,
    config: { tune: { ...settings, method, learningRate }, checkpoint, seed, ...deviceIdentity(config) },
    inputs: [pretrained],
    steps,
    ...estimateTraining(gptOf(config.model, world), { steps, batch, time: world.time - 1 }),
    run: async (context) => {
      const { model, parameters: before } = await loadCheckpoint(context.input(pretrained));
      const log = trainingLog(context, checkpoint, seed, steps);
      const { parameters } = await train(await engine(), freshState(before), {
        model,
        objective: OBJECTIVES[method],
        adamw: { betas, epsilon, weightDecay },
        clip,
        schedule: { peak: learningRate, final: finalLearningRate, warmup, steps },
        batch,
        time: world.time - 1,
        scored: scoredPositions(world),
        pad: world.vocabulary.pad,
        batchAt: tuningBatches(world, { seed, batch }),
        batchName: `tune ${checkpoint}, seed ${seed}`,
        onStep: log.onStep,
        signal: context.signal,
      });
      await saveCheckpoint(context.folder, { model, parameters }, { checkpoint, seed, world });
      await writeRows(context, log.rows);
    },
  };
}
