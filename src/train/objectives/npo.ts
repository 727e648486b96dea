import { z } from "zod";
import { add, logSigmoid, mean, mul, neg, sub } from "../../tensor/index.js";
import { answerNll, batchNll, likelihoodOption, rejectedCapOption, weightOption } from "../likelihood.js";
import { recipe } from "../recipe.js";
import { dpoRewards } from "./dpo.js";

/**
 * Negative preference optimization with a term that retains the preferred answer:
 * -(2/beta) log sigmoid(beta (l(y_l) - l_IT(y_l))) + retain l(y_p), l the negative log-likelihood of an answer. As beta -> 0 its gradient is
 * that of ascent on y_l; larger beta forgets ever more slowly what is already less likely than it was. Zhang et al. 2024. 0-d, nats.
 */
export const npo = recipe({
  name: "npo",
  options: {
    beta: z.number().gt(0).max(1e6).default(0.1),
    retain: weightOption.default(1),
    likelihood: likelihoodOption,
    rejectedCap: rejectedCapOption,
  },
  needs: ["reference", "rejected"],
  loss: ({ policy, reference, preferred, rejected }, { beta, retain, likelihood, rejectedCap: cap }) => {
    const forgotten = sub(
      answerNll(policy, rejected, { likelihood, cap }),
      answerNll(reference, rejected, { likelihood, cap }),
    ); // [batch]
    const forget = mul(mean(neg(logSigmoid(mul(forgotten, beta)))), 2 / beta);
    return retain === 0 ? forget : add(forget, mul(batchNll(policy, preferred, { likelihood }), retain));
  },
  rewards: (input, options) => dpoRewards(input, { ...options, gamma: options.beta }),
});
