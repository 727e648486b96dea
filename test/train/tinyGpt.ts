import { type GptConfig, gptParameters, initializeParameters } from "../../src/model/index.js";
import { gptLayout } from "../../src/train/step.js";

/** Small enough for a step in a moment, with more than one block and head. Id 0 is padding. */
export const TINY: GptConfig = {
  vocabulary: 13,
  context: 12,
  width: 8,
  blocks: 2,
  heads: 2,
  mlp: 16,
  residual: "pre-ln",
  epsilon: 1e-5,
};
export const TINY_LAYOUT = gptLayout(TINY);

/** Fresh weights of it, all but the norms' `factor` times as large: a fresh model's logits hardly differ. */
export const tinyWeights = (seed: number, factor: number): Float64Array =>
  Float64Array.from(initializeParameters(gptParameters(TINY), TINY_LAYOUT, seed), (w) => (w === 1 ? 1 : factor * w));
