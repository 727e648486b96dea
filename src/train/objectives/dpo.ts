import { logSigmoid, mean, mul, neg, sub } from "../../tensor/index.js";
import { answerNll, likelihoodOption, rejectedCapOption, weightOption } from "../likelihood.js";
import type { Rewards } from "../objective.js";
import { type RecipeInput, recipe } from "../recipe.js";

interface DpoWeights {
  /** On the preferred answer. */
  readonly beta: number;
  /** On the rejected answer; standard DPO has gamma = beta. */
  readonly gamma: number;
  readonly likelihood: "sum" | "mean";
  readonly rejectedCap?: number | undefined;
}

/**
 * What DPO rewards: chosen beta (l_IT(y_p) - l(y_p)), rejected gamma (l_IT(y_l) - l(y_l)), in nats; their difference is the margin. With
 * `rejectedCap` both likelihoods of y_l are capped, so that the margin of the untuned model stays 0. [batch] each
 */
export function dpoRewards(
  { policy, reference, preferred, rejected }: RecipeInput<"reference" | "rejected">,
  { beta, gamma, likelihood, rejectedCap: cap }: DpoWeights,
): Rewards {
  const gained = sub(answerNll(reference, preferred, { likelihood }), answerNll(policy, preferred, { likelihood }));
  const lost = sub(
    answerNll(reference, rejected, { likelihood, cap }),
    answerNll(policy, rejected, { likelihood, cap }),
  );
  return { chosen: mul(gained, beta), rejected: mul(lost, gamma) };
}

/** mean of -log sigmoid(chosen - rejected), 0-d, nats. */
export function dpoLoss({ chosen, rejected }: Rewards): ReturnType<typeof mean> {
  return mean(neg(logSigmoid(sub(chosen, rejected))));
}

/**
 * Direct preference optimization with two weights: -log sigmoid(beta (l_IT(y_p) - l(y_p)) - gamma (l_IT(y_l) - l(y_l))), l the negative
 * log-likelihood of an answer, summed or per token. Rafailov et al. 2023; two weights: Jain et al. 2024, §2. 0-d, nats.
 */
export const dpo = recipe({
  name: "dpo",
  options: {
    beta: weightOption.default(0.1),
    gamma: weightOption.default(0.01),
    likelihood: likelihoodOption,
    rejectedCap: rejectedCapOption,
  },
  needs: ["reference", "rejected"],
  loss: (input, options) => dpoLoss(dpoRewards(input, options)),
  rewards: dpoRewards,
});
