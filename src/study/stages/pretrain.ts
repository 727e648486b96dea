import { gptParameters, initializeParameters } from "../../model/index.js";
import {
  freshState,
  gptLayout,
  linearSchedule,
  pretrain,
  pretrainBatches,
  scoredPositions,
} from "../../train/index.js";
import type { World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import { deviceIdentity, type EngineSource } from "../engines.js";
import { estimateTraining } from "../estimate.js";
import type { Stage } from "../stage.js";
import { gptOf, saveCheckpoint } from "./checkpoints.js";
import { saveStepsOf, trainResumably } from "./resumableTraining.js";
import { trainingLog } from "./trainingLog.js";

/** The name of what pretraining and instruction tuning give, W_IT. */
export const INSTRUCT = "instruct";

/** Pretraining and instruction tuning in one run: writes the checkpoint W_IT of one seed. */
export function pretrainStage(
  config: StudyConfig,
  world: World,
  worldStage: Stage,
  seed: number,
  engine: EngineSource,
): Stage {
  const { steps, batch, warmup, learningRate, finalLearningRate, betas, epsilon, weightDecay, clip, curriculum } =
    config.pretrain;
  const model = gptOf(config.model, world);
  const estimate = estimateTraining(model, { steps, batch, time: world.time - 1 });
  return {
    kind: "pretrain",
    name: `pretrain seed ${seed}`,
    version: 1,
    config: { model: config.model, pretrain: config.pretrain, seed, ...deviceIdentity(config) },
    inputs: [worldStage],
    steps,
    ...estimate,
    run: async (context) => {
      const specs = gptParameters(model);
      const start = freshState(initializeParameters(specs, gptLayout(model), seed));
      const log = trainingLog(context, INSTRUCT, { seed, steps });
      const options = {
        model,
        objective: pretrain,
        adamw: { betas, epsilon, weightDecay },
        clip,
        schedule: { peak: learningRate, final: finalLearningRate, warmup, steps },
        batch,
        time: world.time - 1,
        scored: scoredPositions(world),
        pad: world.vocabulary.pad,
        batchAt: pretrainBatches(world, { seed, batch, steps, textShare: curriculum.textShare }),
        batchName: `pretrain, seed ${seed}`,
        saveSteps: saveStepsOf(config, { steps, parameters: start.parameters.length, ...estimate }),
      };
      const { parameters } = await trainResumably(context, await engine(), start, options, log);
      await saveCheckpoint(context.folder, { model, parameters }, { checkpoint: INSTRUCT, seed, world });
      await writeRows(
        context,
        log.rows.flatMap((row) => [
          row,
          ...(row.metric === "loss"
            ? [{ ...row, metric: "text-share", value: linearSchedule(row.step! - 1, steps, ...curriculum.textShare) }]
            : []),
        ]),
      );
    },
  };
}
