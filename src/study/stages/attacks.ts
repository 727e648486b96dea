import type { World } from "../../world/index.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import type { Stage } from "../stage.js";
import { type AttackOn, attackStage } from "./attack.js";
import { attackedClustersStage } from "./attackedClusters.js";
import { behaviourStage, type TrainedModel } from "./behaviour.js";

/** What the study attacks by itself: the tuned checkpoints of `attacks.rates`, with each attack of `attacks.run`. */
export function attackStages(config: StudyConfig, world: World, model: TrainedModel, engine: EngineSource): Stage[] {
  const { run, rates } = config.attacks;
  const tuned = config.tune.methods.some((method) => rates.some((rate) => model.checkpoint === `${method}-${rate}`));
  if (!tuned) return [];
  return run.flatMap((attack) =>
    stagesOfAttack(config, world, model, { attack, settings: config.attacks[attack] }, engine),
  );
}

/** One attack on one checkpoint, and the measure of the activations that it keeps. */
export function stagesOfAttack(
  config: StudyConfig,
  world: World,
  model: TrainedModel,
  on: AttackOn,
  engine: EngineSource,
  suffix = "",
): Stage[] {
  const attacked = attackStage(config, world, model, on, engine, suffix);
  const { strengths } = on.settings;
  const kept = "activations" in on.settings && on.settings.activations.some((strength) => strengths.includes(strength));
  if (!kept || !config.measures.includes("clusters")) return [attacked];
  const behaviour = behaviourStage(config, world, model, engine);
  return [attacked, attackedClustersStage(config, world, { model, behaviour, attacked }, on, engine)];
}
