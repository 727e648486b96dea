import { cast, concat, greater, mean, reshape, stopGradient, sub, type Tensor } from "../tensor/index.js";
import { crossEntropy, type Objective, type ObjectiveInput } from "./objective.js";

/**
 * What a step measures beside its loss, before the update. Likelihoods are in nats per scored token; rewards are TRL's, means over the
 * batch: of the chosen answers, of the rejected ones, the share of pairs in which the chosen one has the larger, and their difference.
 */
export const STEP_METRICS = [
  "nllPreferred",
  "nllRejected",
  "rewardsChosen",
  "rewardsRejected",
  "rewardsAccuracies",
  "rewardsMargins",
] as const;
export type StepMetric = (typeof STEP_METRICS)[number];

/** Those of STEP_METRICS that an objective has, in their order. */
export function stepMetricsOf({ needs, rewards }: Pick<Objective, "needs" | "rewards">): readonly StepMetric[] {
  return STEP_METRICS.slice(0, !needs.includes("rejected") ? 1 : rewards === undefined ? 2 : 6);
}

/** The metrics of `stepMetricsOf` as one vector. [metrics] */
export function stepMetrics(objective: Objective, input: ObjectiveInput): Tensor {
  const values = [crossEntropy(input.policy, input.preferred)];
  if (input.rejected !== undefined) {
    values.push(crossEntropy(input.policy, input.rejected));
    const rewards = objective.rewards?.(input);
    if (rewards !== undefined) {
      const { chosen, rejected } = rewards;
      const won = cast(greater(chosen, rejected), chosen.dtype);
      values.push(...[chosen, rejected, won, sub(chosen, rejected)].map((one) => mean(one)));
    }
  }
  return stopGradient(
    concat(
      values.map((value) => reshape(value, [1])),
      0,
    ),
  );
}
