import { crossEntropy } from "../objective.js";
import { recipe } from "../recipe.js";

/**
 * Supervised safety fine-tuning: the mean of -log p over the tokens of the preferred answers, CE(y_p). Prompts are not scored.
 * Jain et al. 2024, §2. 0-d, nats per token.
 */
export const ssft = recipe({
  name: "ssft",
  options: {},
  needs: [],
  loss: ({ policy, preferred }) => crossEntropy(policy, preferred),
});
