import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Checkpoint } from "../../analysis/index.js";
import { readDelta, writeDelta } from "../../checkpoint/delta.js";
import { freshState, rowsOfStep, scoredPositions, sharedPromptTokens } from "../../train/index.js";
import type { World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { JsonValue } from "../canonicalJson.js";
import type { StudyConfig } from "../config.js";
import { deviceIdentity, type EngineSource } from "../engines.js";
import { estimateTraining } from "../estimate.js";
import type { Stage } from "../stage.js";
import { gptOf, loadCheckpoint, saveCheckpoint } from "./checkpoints.js";
import { saveStepsOf, trainResumably } from "./resumableTraining.js";
import { trainingLog } from "./trainingLog.js";
import { checkpointName, dynamicsSteps, type Tuning, tuningBatchesOf, tuningObjective } from "./tunings.js";

/** Tuning from W_IT with one method (or control) at one rate: writes the checkpoint W_ST, and the steps of `tune.dynamics` before it. */
export function tuneStage(
  config: StudyConfig,
  world: World,
  pretrained: Stage,
  tuning: Tuning,
  engine: EngineSource,
): Stage {
  const { methods: _m, options: _o, controls: _c, dynamics: _d, rates, ...settings } = config.tune;
  const { steps, batch, warmup, finalLearningRate, betas, epsilon, weightDecay, clip } = settings;
  const { method, rate, seed } = tuning;
  const checkpoint = checkpointName(tuning);
  const learningRate = rates[rate]!;
  const { objective, options } = tuningObjective(config, tuning);
  const kept = dynamicsSteps(config, tuning).filter((step) => step < steps);
  // Forward and backward of the policy, and the forward pass of the reference, a third of that.
  const rows = rowsOfStep({ objective, batch }) * (objective.needs.includes("reference") ? 4 / 3 : 1);
  const estimate = estimateTraining(gptOf(config.model, world), { steps, batch: rows, time: world.time - 1 });
  return {
    kind: "tune",
    name: `tune ${checkpoint} seed ${seed}`,
    version: 2,
    config: {
      tune: {
        ...settings,
        method,
        learningRate,
        options: options as Record<string, JsonValue>,
        ...(kept.length > 0 && { kept }),
      },
      checkpoint,
      seed,
      ...deviceIdentity(config),
    },
    inputs: [pretrained],
    steps,
    ...estimate,
    run: async (context) => {
      const { model, parameters: before } = await loadCheckpoint(context.input(pretrained));
      const log = trainingLog(context, checkpoint, { seed, steps, tuning: true });
      const options = {
        model,
        objective,
        reference: before,
        adamw: { betas, epsilon, weightDecay },
        clip,
        schedule: { peak: learningRate, final: finalLearningRate, warmup, steps },
        batch,
        time: world.time - 1,
        scored: scoredPositions(world),
        sharedPrefix: sharedPromptTokens(world),
        pad: world.vocabulary.pad,
        batchAt: tuningBatchesOf(config, world, tuning),
        batchName: `tune ${checkpoint}, seed ${seed}`,
        checkpointsAt: kept,
        onCheckpoint: async (step: number, weights: Float32Array) => {
          const path = stepFile(context.folder, step);
          await mkdir(dirname(path), { recursive: true });
          await writeDelta(path, before, weights);
        },
        saveSteps: saveStepsOf(config, { steps, parameters: before.length, ...estimate }),
      };
      const { parameters } = await trainResumably(context, await engine(), freshState(before), options, log);
      await saveCheckpoint(context.folder, { model, parameters }, { checkpoint, seed, world });
      await writeRows(context, log.rows);
    },
  };
}

const stepFile = (folder: string, step: number) => join(folder, "steps", `${step}.safetensors`);

/**
 * A tuning's model after `step` steps, from the folders of its stage and of the pretrained model it began with. `steps`: of the whole tuning.
 * @throws UserError when that step was not kept.
 */
export async function loadTuningStep(
  { tuned, pretrained, steps }: { readonly tuned: string; readonly pretrained: string; readonly steps: number },
  step: number,
): Promise<Checkpoint> {
  if (step === steps) return loadCheckpoint(tuned);
  const before = await loadCheckpoint(pretrained);
  if (step === 0) return before;
  return { model: before.model, parameters: await readDelta(stepFile(tuned, step), before.parameters) };
}
