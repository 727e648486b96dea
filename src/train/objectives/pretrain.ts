import { crossEntropy, type Objective } from "../objective.js";

/** Pretraining and instruction tuning in one: CE of the tokens that the curriculum scores (a sample's text, or its output). Jain 2024, §2. */
export const pretrain: Objective = {
  name: "pretrain",
  needs: [],
  loss: ({ policy, preferred }) => crossEntropy(policy, preferred),
};
