/** What the families of pretrained decoders share: masks, grouped-query attention, the gated MLP. */
import {
  add,
  attention,
  broadcastTo,
  constant,
  equal,
  type FloatDType,
  linear,
  matmul,
  mul,
  not,
  reshape,
  scalar,
  silu,
  slice,
  type Tensor,
  transpose,
  where,
} from "../tensor/index.js";
import type { DecoderConfig } from "./decoderConfig.js";
import { joinHeads, MASKED, type Parameters, parameter } from "./gpt.js";
import { type Rotation, rotate } from "./rope.js";

/** Records an activation under its name and returns it, edited where there is an edit. */
export type Recorder = (name: string, value: Tensor) => Tensor;

/** What a block computes with besides its parameters and the hidden states. */
export interface BlockContext {
  readonly config: DecoderConfig;
  /** Added to the attention scores. [batch, 1, asked, time] */
  readonly bias: Tensor;
  /** Absent where positions were added to the embeddings. */
  readonly rotation: Rotation | undefined;
  /** What is gone on with after the keys and values: all of an input, or its last positions only. [batch, time, ...] -> [batch, asked, ...] */
  readonly last: (x: Tensor) => Tensor;
  readonly record: Recorder;
}

/** Looks up a block's own parameter; the second form gives undefined where the model has none (a bias). */
export interface BlockParameters {
  (name: string): Tensor;
  readonly optional: (name: string) => Tensor | undefined;
}

/** @param prefix of the block in `parameters`, empty where they are the block's alone. */
export function blockParametersOf(parameters: Parameters, prefix = ""): BlockParameters {
  const required = (name: string) => parameter(parameters, prefix + name);
  return Object.assign(required, { optional: (name: string) => parameters.get(prefix + name) });
}

/** x Wᵀ (+ b), with the layer's bias where it has one. x [..., in] -> [..., out] */
export function linearLayer(x: Tensor, p: BlockParameters, name: string): Tensor {
  return linear(x, p(`${name}.weight`), p.optional(`${name}.bias`));
}

/**
 * 0 where query i may look at key j, a large negative number elsewhere: j <= i, i - window < j where there is a window, and j is no padding.
 * @param attend int32 [batch, time], 0 at padding. [batch, 1, time, time]
 */
export function decoderBias(attend: Tensor, window: number | null, dtype: FloatDType): Tensor {
  const [batch, time] = attend.shape as [number, number];
  const causal = constant(
    Array.from({ length: time * time }, (_, at) => {
      const [i, j] = [Math.floor(at / time), at % time];
      return j <= i && (window === null || i - window < j) ? 0 : MASKED;
    }),
    [1, 1, time, time],
    dtype,
  );
  return where(not(reshape(equal(attend, 0), [batch, 1, 1, time])), causal, scalar(MASKED, dtype));
}

/** The last `count` along an axis. */
export function lastRows(x: Tensor, axis: number, count: number): Tensor {
  return slice(x, axis, x.shape[axis]! - count);
}

/** [batch, time, heads * headWidth] -> [batch, heads, time, headWidth] */
export function asHeads(x: Tensor, heads: number): Tensor {
  const [batch, time, width] = x.shape as [number, number, number];
  return transpose(reshape(x, [batch, time, heads, width / heads]), [0, 2, 1, 3]);
}

/**
 * Softmax attention in which each head of keys and values serves a group of neighbouring query heads (Ainslie et al. 2023); one query head per
 * group is ordinary attention. The group's queries are stacked along time, so no key is copied.
 * queries [batch, heads, asked, headWidth], keys and values [batch, keyValueHeads, time, headWidth], bias [batch, 1, asked, time]
 * -> [batch, asked, heads * headWidth]
 */
export function groupedQueryAttention(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor): Tensor {
  const [batch, heads, time, headWidth] = queries.shape as [number, number, number, number];
  const [, keyValueHeads, seen] = keys.shape as [number, number, number];
  const group = heads / keyValueHeads;
  const repeated = reshape(broadcastTo(reshape(bias, [batch, 1, 1, time, seen]), [batch, 1, group, time, seen]), [
    batch,
    1,
    group * time,
    seen,
  ]);
  const { output } = attention({
    queries: reshape(queries, [batch, keyValueHeads, group * time, headWidth]),
    keys,
    values,
    bias: repeated,
    scale: 1 / Math.sqrt(headWidth),
  });
  return joinHeads(reshape(output, [batch, heads, time, headWidth]));
}

/**
 * Attention with rotary positions on queries and keys, in Llama's names. x: the normalized hidden states, [batch, time, width] ->
 * [batch, asked, width]. Records what enters the last product as `attn.z`, [batch, time, heads * headWidth].
 */
export function rotaryAttention(
  x: Tensor,
  p: BlockParameters,
  { config, bias, rotation, record, last }: BlockContext,
): Tensor {
  const { heads, keyValueHeads } = config;
  const { cos, sin } = rotation!;
  const queries = rotate(asHeads(linearLayer(last(x), p, "self_attn.q_proj"), heads), {
    cos: lastRows(cos, 2, last(x).shape[1]!),
    sin: lastRows(sin, 2, last(x).shape[1]!),
  });
  const keys = rotate(asHeads(linearLayer(x, p, "self_attn.k_proj"), keyValueHeads), rotation!);
  const values = asHeads(linearLayer(x, p, "self_attn.v_proj"), keyValueHeads);
  const z = record("attn.z", groupedQueryAttention(queries, keys, values, bias));
  return linearLayer(z, p, "self_attn.o_proj");
}

/**
 * The gated MLP, down(silu(gate(x)) * up(x)), Shazeer 2020 (SwiGLU). What enters `down` is the MLP activation of method §6, recorded as
 * `mlp.post`. x [batch, time, width] -> the same
 */
export function gatedMlp(x: Tensor, p: BlockParameters, record: Recorder): Tensor {
  const gate = silu(linearLayer(x, p, "mlp.gate_proj"));
  const activation = record("mlp.post", mul(gate, linearLayer(x, p, "mlp.up_proj"))); // [batch, time, mlp]
  return linearLayer(activation, p, "mlp.down_proj");
}

/** x W + b with a weight stored as [in, out], GPT-2's Conv1D. x [batch, time, in] -> [batch, time, out] */
export function conv1d(x: Tensor, p: BlockParameters, name: string): Tensor {
  const [batch, time, width] = x.shape as [number, number, number];
  const product = add(matmul(reshape(x, [batch * time, width]), p(`${name}.weight`)), p(`${name}.bias`));
  return reshape(product, [batch, time, product.shape[1]!]);
}
