import { add, rmsNorm, type Tensor } from "../tensor/index.js";
import { type BlockContext, type BlockParameters, gatedMlp, rotaryAttention } from "./decoderParts.js";

/**
 * A block of Mistral 7B (Jiang et al. 2023): Llama's, with attention to the last `window` tokens only, which is in the bias. The width of a head is
 * a setting of its own: heads * headWidth need not be the model's width. x [batch, time, width] -> [batch, asked, width]
 */
export function mistralBlock(x: Tensor, p: BlockParameters, context: BlockContext): Tensor {
  const { config, record, last } = context;
  const normalized = rmsNorm(x, p("input_layernorm.weight"), config.epsilon);
  const middle = record("resid_mid", add(last(x), rotaryAttention(normalized, p, context)));
  const input = record("mlp.in", rmsNorm(middle, p("post_attention_layernorm.weight"), config.epsilon));
  return add(middle, gatedMlp(input, p, record));
}
