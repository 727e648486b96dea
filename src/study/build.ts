import type { World } from "../world/index.js";
import type { StudyConfig } from "./config.js";
import { type EngineSource, engineSource } from "./engines.js";
import type { Stage } from "./stage.js";
import { attackStages } from "./stages/attacks.js";
import { behaviourStage, type TrainedModel } from "./stages/behaviour.js";
import { clustersStage } from "./stages/clusters.js";
import { dynamicsStage } from "./stages/dynamics.js";
import { stagesOfInterventions, studyInterventions } from "./stages/interventions.js";
import { INSTRUCT, pretrainStage } from "./stages/pretrain.js";
import { tuneStage } from "./stages/tune.js";
import { checkpointName, dynamicsSteps, type Tuning, tuningsOf } from "./stages/tunings.js";
import { worldStage } from "./stages/world.js";

/** A model of a study, and how it came about: the pretraining it began with, and its tuning unless it is W_IT itself. */
export interface StudyModel extends TrainedModel {
  readonly pretrained: Stage;
  readonly tuning?: Tuning;
}

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
 * The stages of a study, every one after its inputs. A seed's behaviour comes right after each of its models, so that the first numbers
 * are seen early.
 */
export function buildStudy(config: StudyConfig, world: World, engine: EngineSource = engineSource(config)): Stage[] {
  const models = studyModels(config, world, engine);
  const curves = { curves: studyInterventions(config, world), samples: config.interventions.samples };
  return [
    worldStage(world),
    ...models.flatMap((model) => {
      const { stage, tuning } = model;
      const behaviour = behaviourStage(config, world, model, engine);
      return [
        stage,
        ...(config.measures.includes("behaviour") ? [behaviour] : []),
        ...(config.measures.includes("clusters") ? [clustersStage(config, world, model, behaviour, engine)] : []),
        ...(tuning !== undefined && dynamicsSteps(config, tuning).length > 0
          ? [dynamicsStage(config, world, { ...model, tuning }, engine)]
          : []),
        ...attackStages(config, world, model, engine),
      ];
    }),
    // Between models, so after them all.
    ...config.seeds.flatMap((seed) => {
      const ofSeed = models.filter((model) => model.seed === seed);
      return stagesOfInterventions(config, world, ofSeed, curves, engine);
    }),
  ];
}
