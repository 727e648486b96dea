import { add, rmsNorm, type Tensor } from "../tensor/index.js";
import { type BlockContext, type BlockParameters, gatedMlp, rotaryAttention } from "./decoderParts.js";

/**
 * A block of Qwen2 (Yang et al. 2024): Llama's, with biases on queries, keys and values and on nothing else, which the parameters bring along; its upper
 * blocks may attend to a window. x [batch, time, width] -> [batch, asked, width]
 */
export function qwen2Block(x: Tensor, p: BlockParameters, context: BlockContext): Tensor {
  const { config, record, last } = context;
  const normalized = rmsNorm(x, p("input_layernorm.weight"), config.epsilon);
  const middle = record("resid_mid", add(last(x), rotaryAttention(normalized, p, context)));
  const input = record("mlp.in", rmsNorm(middle, p("post_attention_layernorm.weight"), config.epsilon));
  return add(middle, gatedMlp(input, p, record));
}
