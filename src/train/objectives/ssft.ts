import { crossEntropy, type Objective } from "../objective.js";

/** Supervised safety fine-tuning: CE(preferred), the true output for safe samples and NULLs for unsafe ones. Jain 2024, §2. */
export const ssft: Objective = {
  name: "ssft",
  loss: ({ policy, preferred }) => crossEntropy(policy, preferred),
};
