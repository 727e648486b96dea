import {
  add,
  attention,
  concat,
  constant,
  equal,
  type FloatDType,
  gather,
  gelu,
  label,
  layerNorm,
  linear,
  not,
  reshape,
  scalar,
  slice,
  type Tensor,
  transpose,
  where,
} from "../tensor/index.js";
import { type GptConfig, sinusoidalPositions } from "./config.js";

/** Parameters by name, as `unflatten` gives them. */
export type Parameters = ReadonlyMap<string, Tensor>;

/** Every tensor of a forward pass by name (`blocks.3.mlp.post`); names are TransformerLens's where it has one. Blocks count from 0. */
export type Activations = ReadonlyMap<string, Tensor>;

export interface Forward {
  /** [batch, time, vocabulary] */
  readonly logits: Tensor;
  readonly activations: Activations;
  /** Keys and values of each block. */
  readonly cache: readonly KeysAndValues[];
}

export interface ForwardInput {
  /** Token ids, int32. [batch, time] */
  readonly tokens: Tensor;
  /** The id that is never attended to. */
  readonly pad: number;
  /** Replaces the looked-up token embeddings (positions are still added): soft prompts, sensitivity. [batch, time, width] */
  readonly embeddings?: Tensor;
  /** Positions table; sinusoidal by default. [context, width] */
  readonly positions?: Tensor;
}

/** Large enough that exp of it is 0, small enough that no sum overflows float32. */
export const MASKED = -1e9;

/** Looks a parameter up by name. Throws a RangeError when the model has none. */
export function parameter(parameters: Parameters, name: string): Tensor {
  const value = parameters.get(name);
  if (value === undefined) throw new RangeError(`no parameter "${name}" among ${[...parameters.keys()].join(", ")}`);
  return value;
}

/** 0 where query t may look at key s (s <= t and s is no padding), a large negative number elsewhere. [batch, 1, time, time] */
export function attentionBias(tokens: Tensor, pad: number, dtype: FloatDType): Tensor {
  const [batch, time] = tokens.shape as [number, number];
  const causal = constant(
    Array.from({ length: time * time }, (_, i) => (i % time <= Math.floor(i / time) ? 0 : MASKED)),
    [1, 1, time, time],
    dtype,
  );
  const keep = reshape(not(equal(tokens, pad)), [batch, 1, 1, time]);
  return where(keep, causal, scalar(MASKED, dtype));
}

/** [batch, time, 3 width] -> queries, keys, values, each [batch, heads, time, width / heads] */
export function splitHeads(qkv: Tensor, heads: number): readonly [Tensor, Tensor, Tensor] {
  const [batch, time, triple] = qkv.shape as [number, number, number];
  const width = triple / 3;
  const part = (index: number) =>
    transpose(
      reshape(slice(qkv, 2, index * width, (index + 1) * width), [batch, time, heads, width / heads]),
      [0, 2, 1, 3],
    );
  return [part(0), part(1), part(2)];
}

/** [batch, heads, time, headWidth] -> [batch, time, heads * headWidth] */
export function joinHeads(z: Tensor): Tensor {
  const [batch, heads, time, headWidth] = z.shape as [number, number, number, number];
  return reshape(transpose(z, [0, 2, 1, 3]), [batch, time, heads * headWidth]);
}

/** Collects activations under their names and labels them for graph viewers. */
export function recorder(): { readonly activations: Map<string, Tensor>; record(name: string, value: Tensor): Tensor } {
  const activations = new Map<string, Tensor>();
  return {
    activations,
    record(name, value) {
      activations.set(name, value);
      return label(value, name);
    },
  };
}

/** Keys and values of the tokens so far, each [batch, heads, time, headWidth]. */
export interface KeysAndValues {
  readonly keys: Tensor;
  readonly values: Tensor;
}

type Record = (name: string, value: Tensor) => Tensor;

/**
 * One block. x [batch, time, width]; bias broadcasts to [batch, heads, time, past + time]. With `past`, queries look at its keys
 * too (decoding). Returns the new residual stream and all keys and values, past ones first.
 */
export function gptBlock(
  config: GptConfig,
  parameters: Parameters,
  index: number,
  x: Tensor,
  bias: Tensor,
  record: Record,
  past?: KeysAndValues,
): KeysAndValues & { readonly x: Tensor } {
  const block = `blocks.${index}`;
  const p = (name: string) => parameter(parameters, `${block}.${name}`);
  const { width, heads, epsilon, residual } = config;
  record(`${block}.resid_pre`, x);
  const normalized = record(`${block}.ln1`, layerNorm(x, p("ln1.weight"), p("ln1.bias"), epsilon));
  const stream = residual === "released" ? normalized : x;
  const [q, k, v] = splitHeads(linear(normalized, p("attn.qkv.weight"), p("attn.qkv.bias")), heads);
  record(`${block}.attn.q`, q);
  record(`${block}.attn.k`, k);
  record(`${block}.attn.v`, v);
  const keys = past === undefined ? k : concat([past.keys, k], 2);
  const values = past === undefined ? v : concat([past.values, v], 2);
  const scale = 1 / Math.sqrt(width / heads);
  const { pattern, output } = attention({ queries: q, keys, values, bias, scale });
  record(`${block}.attn.pattern`, pattern); // [batch, heads, time, past + time]
  const z = record(`${block}.attn.z`, joinHeads(output));
  const attended = record(`${block}.attn_out`, linear(z, p("attn.proj.weight"), p("attn.proj.bias")));
  const middle = record(`${block}.resid_mid`, add(stream, attended));

  const input = record(
    `${block}.mlp.in`,
    residual === "pre-ln" ? layerNorm(middle, p("ln2.weight"), p("ln2.bias"), epsilon) : middle,
  );
  const pre = record(`${block}.mlp.pre`, linear(input, p("mlp.fc.weight"), p("mlp.fc.bias")));
  const post = record(`${block}.mlp.post`, gelu(pre)); // [batch, time, mlp]
  const out = record(`${block}.mlp_out`, linear(post, p("mlp.proj.weight"), p("mlp.proj.bias")));
  return { x: record(`${block}.resid_post`, add(middle, out)), keys, values };
}

/** The positions table of a model: sinusoidal, fixed. [context, width] */
export function positionTable(config: GptConfig, dtype: FloatDType): Tensor {
  return constant(sinusoidalPositions(config.context, config.width), [config.context, config.width], dtype);
}

/**
 * A decoder-only transformer, method §2. tokens [batch, time] -> logits [batch, time, vocabulary].
 * Padding is never attended to; what stands at padded positions is to be ignored. Throws ShapeError when time exceeds the context.
 */
export function gptForward(
  config: GptConfig,
  parameters: Parameters,
  { tokens, pad, embeddings, positions }: ForwardInput,
): Forward {
  const { activations, record } = recorder();
  const table = parameter(parameters, "embed.weight");
  const dtype = table.dtype as FloatDType;
  const embedded = record("embed", embeddings ?? gather(table, tokens)); // [batch, time, width]
  const bias = attentionBias(tokens, pad, dtype);
  let x = add(embedded, slice(positions ?? positionTable(config, dtype), 0, 0, tokens.shape[1]!));
  const cache: KeysAndValues[] = [];
  for (let index = 0; index < config.blocks; index++) {
    const { keys, values, x: next } = gptBlock(config, parameters, index, x, bias, record);
    cache.push({ keys, values });
    x = next;
  }
  return { logits: unembed(config, parameters, x, record), activations, cache };
}

/** Final norm and head. x [..., width] -> logits [..., vocabulary] */
export function unembed(config: GptConfig, parameters: Parameters, x: Tensor, record: Record): Tensor {
  const final = record(
    "ln_final",
    layerNorm(x, parameter(parameters, "ln_final.weight"), parameter(parameters, "ln_final.bias"), config.epsilon),
  );
  return record("logits", linear(final, parameter(parameters, "unembed.weight")));
}

/** Rows of x at one index per sample. x [batch, time, width], index [batch] -> [batch, width] */
export function atIndex(x: Tensor, index: Tensor): Tensor {
  const [batch, time, width] = x.shape as [number, number, number];
  const rows = constant(
    Array.from({ length: batch }, (_, row) => row * time),
    [batch],
    index.dtype,
  );
  return gather(reshape(x, [batch * time, width]), add(rows, index));
}
