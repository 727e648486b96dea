import { add, rmsNorm, type Tensor } from "../tensor/index.js";
import { type BlockContext, type BlockParameters, gatedMlp, rotaryAttention } from "./decoderParts.js";

/**
 * A block of Llama 2 and 3 (Touvron et al. 2023; Llama team 2024): x = x + attn(rmsNorm(x)); x = x + mlp(rmsNorm(x)). Rotary positions, grouped heads
 * of keys and values, a gated MLP. No biases but where the configuration asks for them. x [batch, time, width] -> [batch, asked, width]
 */
export function llamaBlock(x: Tensor, p: BlockParameters, context: BlockContext): Tensor {
  const { config, record, last } = context;
  const normalized = rmsNorm(x, p("input_layernorm.weight"), config.epsilon);
  const middle = record("resid_mid", add(last(x), rotaryAttention(normalized, p, context)));
  const input = record("mlp.in", rmsNorm(middle, p("post_attention_layernorm.weight"), config.epsilon));
  return add(middle, gatedMlp(input, p, record));
}
