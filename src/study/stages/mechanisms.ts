import type { World } from "../../world/index.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import type { Stage } from "../stage.js";
import { behaviourStage, type TrainedModel } from "./behaviour.js";
import { patchingStage } from "./patching.js";
import { INSTRUCT } from "./pretrain.js";
import { probesStage } from "./probes.js";
import { refusalDirectionStage } from "./refusalDirection.js";
import { sensitivityStage } from "./sensitivity.js";

/** The measures of how a model decides, as far as the study has them. */
export function mechanismStages(
  config: StudyConfig,
  world: World,
  model: TrainedModel & { readonly pretrained: Stage },
  engine: EngineSource,
): Stage[] {
  const { measures } = config;
  const behaviour = behaviourStage(config, world, model, engine);
  const before: TrainedModel = { stage: model.pretrained, checkpoint: INSTRUCT, seed: model.seed };
  const reference =
    model.checkpoint === INSTRUCT
      ? undefined
      : sensitivityStage(
          config,
          world,
          { model: before, behaviour: behaviourStage(config, world, before, engine) },
          engine,
        );
  return [
    ...(measures.includes("sensitivity")
      ? [sensitivityStage(config, world, { model, behaviour, reference }, engine)]
      : []),
    ...(measures.includes("refusal-direction") ? [refusalDirectionStage(config, world, model, engine)] : []),
    ...(measures.includes("probes") ? [probesStage(config, world, model, behaviour, engine)] : []),
    ...(measures.includes("patching") ? [patchingStage(config, world, model, engine)] : []),
  ];
}
