import { add, gelu, layerNorm, slice, type Tensor } from "../tensor/index.js";
import {
  asHeads,
  type BlockContext,
  type BlockParameters,
  conv1d,
  groupedQueryAttention,
  lastRows,
} from "./decoderParts.js";

/**
 * A block of GPT-2 (Radford et al. 2019): x = x + attn(layerNorm(x)); x = x + mlp(layerNorm(x)), biases everywhere, an MLP without a gate, positions
 * added to the embeddings. Queries, keys and values are one product. x [batch, time, width] -> [batch, asked, width]
 */
export function gpt2Block(x: Tensor, p: BlockParameters, { config, bias, record, last }: BlockContext): Tensor {
  const { heads, width, epsilon } = config;
  const normalized = layerNorm(x, p("ln_1.weight"), p("ln_1.bias"), epsilon);
  const joined = conv1d(normalized, p, "attn.c_attn"); // [batch, time, 3 width]
  const part = (index: number) => asHeads(slice(joined, 2, index * width, (index + 1) * width), heads);
  const asked = (heads: Tensor) => lastRows(heads, 2, last(x).shape[1]!);
  const z = record("attn.z", groupedQueryAttention(asked(part(0)), part(1), part(2), bias));
  const middle = record("resid_mid", add(last(x), conv1d(z, p, "attn.c_proj")));
  const input = record("mlp.in", layerNorm(middle, p("ln_2.weight"), p("ln_2.bias"), epsilon));
  const activation = record("mlp.post", gelu(conv1d(input, p, "mlp.c_fc"))); // [batch, time, mlp]
  return add(middle, conv1d(activation, p, "mlp.c_proj"));
}
