import type { World } from "../world/index.js";
import type { StudyConfig } from "./config.js";
import { type EngineSource, engineSource } from "./engines.js";
import type { Stage } from "./stage.js";
import { attackStages } from "./stages/attacks.js";
import { behaviourStage, type TrainedModel } from "./stages/behaviour.js";
import { clustersStage } from "./stages/clusters.js";
import { INSTRUCT, pretrainStage } from "./stages/pretrain.js";
import { checkpointName, tuneStage } from "./stages/tune.js";
import { worldStage } from "./stages/world.js";

/**
 * The stages of a study, every one after its inputs. A seed's behaviour comes right after each of its models, so that the first numbers
 * are seen early.
 */
export function buildStudy(config: StudyConfig, world: World, engine: EngineSource = engineSource(config)): Stage[] {
  const theWorld = worldStage(world);
  const stages: Stage[] = [theWorld];
  for (const seed of config.seeds) {
    const pretrained = pretrainStage(config, world, theWorld, seed, engine);
    const models: TrainedModel[] = [{ stage: pretrained, checkpoint: INSTRUCT, seed }];
    for (const rate of Object.keys(config.tune.rates))
      for (const method of config.tune.methods) {
        const tuning = { method, rate, seed };
        models.push({
          stage: tuneStage(config, world, pretrained, tuning, engine),
          checkpoint: checkpointName(tuning),
          seed,
        });
      }
    for (const model of models) {
      stages.push(model.stage);
      const behaviour = behaviourStage(config, world, model, engine);
      if (config.measures.includes("behaviour")) stages.push(behaviour);
      if (config.measures.includes("clusters")) stages.push(clustersStage(config, world, model, behaviour, engine));
      stages.push(...attackStages(config, world, model, engine));
    }
  }
  return stages;
}
