import { logSigmoid, mean, mul, neg, sub } from "../../tensor/index.js";
import { answerNll, rejectedCapOption, weightOption } from "../likelihood.js";
import type { Rewards } from "../objective.js";
import { type RecipeInput, recipe } from "../recipe.js";

interface SimpoOptions {
  readonly beta: number;
  readonly rejectedCap?: number | undefined;
}

/** SimPO's rewards, -beta l(y) / |y|: no reference. [batch] each, nats per token times beta */
function simpoRewards(
  { policy, preferred, rejected }: RecipeInput<"rejected">,
  { beta, rejectedCap: cap }: SimpoOptions,
): Rewards {
  return {
    chosen: mul(answerNll(policy, preferred, { likelihood: "mean" }), -beta),
    rejected: mul(answerNll(policy, rejected, { likelihood: "mean", cap }), -beta),
  };
}

/**
 * SimPO, a preference loss without a reference: -log sigmoid(beta l(y_l) / |y_l| - beta l(y_p) / |y_p| - gamma), l the summed negative
 * log-likelihood, |y| the answer's scored tokens, gamma the margin that the preferred answer should have (TRL's `simpo_gamma`).
 * Meng et al. 2024. 0-d, nats.
 */
export const simpo = recipe({
  name: "simpo",
  options: { beta: weightOption.default(2), gamma: weightOption.default(1), rejectedCap: rejectedCapOption },
  needs: ["rejected"],
  loss: (input, options) => {
    const { chosen, rejected } = simpoRewards(input, options);
    return mean(neg(logSigmoid(sub(sub(chosen, rejected), options.gamma))));
  },
  rewards: simpoRewards,
});
