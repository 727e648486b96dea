import type { World } from "../world/index.js";
import type { StudyConfig } from "./config.js";
import { type EngineSource, engineSource } from "./engines.js";
import type { Stage } from "./stage.js";
import { activationMeasures, activationsStage } from "./stages/activations.js";
import { attackStages } from "./stages/attacks.js";
import { behaviourStage } from "./stages/behaviour.js";

import { columnSpaceStage } from "./stages/columnSpace.js";
import { dynamicsStage } from "./stages/dynamics.js";
import { stagesOfInterventions, studyInterventions } from "./stages/interventions.js";
import { mechanismStages } from "./stages/mechanisms.js";
import { overlapStages } from "./stages/overlap.js";
import { INSTRUCT, pretrainStage } from "./stages/pretrain.js";
import { svdStage } from "./stages/svd.js";
import { tuneStage } from "./stages/tune.js";
import { checkpointName, continueControl, dynamicsSteps, type StudyModel, tuningsOf } from "./stages/tunings.js";
import { worldStage } from "./stages/world.js";

export type { StudyModel } from "./stages/tunings.js";

/** Every model of a study, seed by seed: W_IT, then each tuning. */
export function studyModels(
  config: StudyConfig,
  world: World,
  engine: EngineSource = engineSource(config),
): StudyModel[] {
  const theWorld = worldStage(world);
  return config.seeds.flatMap((seed) => {
    const pretrained = pretrainStage(config, world, theWorld, seed, engine);
    return [
      { stage: pretrained, checkpoint: INSTRUCT, seed, pretrained },
      ...tuningsOf(config, seed).map((tuning) => ({
        stage: tuneStage(config, world, pretrained, tuning, engine),
        checkpoint: checkpointName(tuning),
        seed,
        pretrained,
        tuning,
      })),
    ];
  });
}

/**
 * The stages of a study; who runs them puts inputs first, such as a control that others are compared with. A seed's behaviour comes right
 * after each of its models, so that the first numbers are seen early.
 */
export function buildStudy(config: StudyConfig, world: World, engine: EngineSource = engineSource(config)): Stage[] {
  const models = studyModels(config, world, engine);
  const curves = { curves: studyInterventions(config, world), samples: config.interventions.samples };
  return [
    worldStage(world),
    ...models.flatMap((model) => {
      const { stage, tuning, seed } = model;
      const instruct = models.find((one) => one.seed === seed && one.tuning === undefined)!;
      const compared = { model, instruct, control: continueControl(models, model) };
      const asked = (measure: StudyConfig["measures"][number]) => config.measures.includes(measure);
      const decomposed = tuning !== undefined && (asked("column-space") || asked("row-space") || asked("overlap"));
      return [
        stage,
        ...(asked("behaviour") ? [behaviourStage(config, world, model, engine)] : []),
        ...(decomposed ? [svdStage(config, model)] : []),
        ...(asked("column-space") && tuning ? [columnSpaceStage(config, compared)] : []),
        ...(activationMeasures(config, model).length > 0 ? [activationsStage(config, world, compared, engine)] : []),
        ...mechanismStages(config, world, model, engine),
        ...(tuning !== undefined && dynamicsSteps(config, tuning).length > 0
          ? [dynamicsStage(config, world, { model: { ...model, tuning }, instruct }, engine)]
          : []),
        ...attackStages(config, world, model, engine),
        ...(asked("overlap") ? overlapStages(config, models, model) : []),
      ];
    }),
    // Between models, so after them all.
    ...config.seeds.flatMap((seed) => {
      const ofSeed = models.filter((model) => model.seed === seed);
      return stagesOfInterventions(config, world, ofSeed, curves, engine);
    }),
  ];
}
