import { likelihoodOption, rejectedCapOption, weightOption } from "../likelihood.js";
import { recipe } from "../recipe.js";
import { dpoLoss, dpoRewards } from "./dpo.js";

/** Standard DPO, beta = gamma: -log sigmoid(beta ((l_IT(y_p) - l(y_p)) - (l_IT(y_l) - l(y_l)))). Rafailov et al. 2023. 0-d, nats. */
export const dpoStandard = recipe({
  name: "dpo-standard",
  options: { beta: weightOption.default(0.1), likelihood: likelihoodOption, rejectedCap: rejectedCapOption },
  needs: ["reference", "rejected"],
  loss: (input, options) => dpoLoss(dpoRewards(input, { ...options, gamma: options.beta })),
  rewards: (input, options) => dpoRewards(input, { ...options, gamma: options.beta }),
});
