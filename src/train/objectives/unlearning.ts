import { mul, sub } from "../../tensor/index.js";
import { batchNll, likelihoodOption, rejectedCapOption, weightOption } from "../likelihood.js";
import { recipe } from "../recipe.js";

/**
 * Unlearning by gradient ascent on the rejected answer: l(y_p) - gamma l(y_l), l the negative log-likelihood of an answer. Without
 * `rejectedCap` it has no lower bound. With gamma 0 it is plain fine-tuning, and no rejected answer is looked at.
 * Jain et al. 2024, §2. 0-d, nats.
 */
export const unlearning = recipe({
  name: "unlearning",
  options: { gamma: weightOption.default(0.1), likelihood: likelihoodOption, rejectedCap: rejectedCapOption },
  needs: ({ gamma }) => (gamma === 0 ? [] : ["rejected"]),
  loss: ({ policy, preferred, rejected }, { gamma, likelihood, rejectedCap: cap }) => {
    const learned = batchNll(policy, preferred, { likelihood });
    if (rejected === undefined || gamma === 0) return learned;
    return sub(learned, mul(batchNll(policy, rejected, { likelihood, cap }), gamma));
  },
});
