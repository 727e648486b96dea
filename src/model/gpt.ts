import {
  add,
  and,
  attention,
  cast,
  concat,
  constant,
  equal,
  type FloatDType,
  formatShape,
  gather,
  gelu,
  label,
  layerNorm,
  lessEqual,
  linear,
  matmul,
  not,
  reshape,
  ShapeError,
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

/**
 * Replaces activations on their way: gets each one's name and value as it is recorded, and what it returns, of the same shape, is what the
 * model goes on with and records. Directions ablated or added, activations patched: causal interventions without a second forward pass.
 */
export type Edit = (name: string, x: Tensor) => Tensor;

export interface Forward {
  /** [batch, time or asked, vocabulary] */
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
  /**
   * The positions whose logits are asked for, int32 [batch, asked]; all by default. The last block then computes only these, from its queries
   * on, and what it records has `asked` positions.
   */
  readonly askedPositions?: Tensor;
  readonly edit?: Edit | undefined;
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

/** [batch, time, parts * width] -> each part as heads, [batch, heads, time, width / heads] */
export function splitHeads(x: Tensor, parts: number, heads: number): Tensor[] {
  const [batch, time, total] = x.shape as [number, number, number];
  const width = total / parts;
  return Array.from({ length: parts }, (_, index) =>
    transpose(
      reshape(slice(x, 2, index * width, (index + 1) * width), [batch, time, heads, width / heads]),
      [0, 2, 1, 3],
    ),
  );
}

/** Which rows of a sequence are asked for. */
export interface Asked {
  /** 1 at [b, i, t] where t is the i-th asked position of row b. [batch, asked, time] */
  readonly selection: Tensor;
  /** As attentionBias, for these queries. [batch, 1, asked, time] */
  readonly bias: Tensor;
}

/** positions int32 [batch, asked]. The selection is a product with 0s and 1s, exact, and its gradient another. */
export function askedRows(positions: Tensor, tokens: Tensor, pad: number, dtype: FloatDType): Asked {
  const [batch, time] = tokens.shape as [number, number];
  const column = reshape(positions, [batch, positions.shape[1]!, 1]);
  const every = constant(
    Array.from({ length: time }, (_, t) => t),
    [time],
    positions.dtype,
  );
  const keep = and(reshape(not(equal(tokens, pad)), [batch, 1, time]), lessEqual(every, column));
  const bias = where(keep, scalar(0, dtype), scalar(MASKED, dtype));
  return {
    selection: cast(equal(column, every), dtype),
    bias: reshape(bias, [batch, 1, positions.shape[1]!, time]),
  };
}

/** [batch, heads, time, headWidth] -> [batch, time, heads * headWidth] */
export function joinHeads(z: Tensor): Tensor {
  const [batch, heads, time, headWidth] = z.shape as [number, number, number, number];
  return reshape(transpose(z, [0, 2, 1, 3]), [batch, time, heads * headWidth]);
}

/**
 * Collects activations under their names, edited where there is an edit, and labels them for graph viewers.
 * Throws ShapeError when an edit changes a shape.
 */
export function recorder(edit?: Edit): {
  readonly activations: Map<string, Tensor>;
  record(name: string, value: Tensor): Tensor;
} {
  const activations = new Map<string, Tensor>();
  return {
    activations,
    record(name, value) {
      const edited = edit === undefined ? value : edit(name, value);
      if (edited.shape.join() !== value.shape.join())
        throw new ShapeError(`edit of ${name}`, `${formatShape(value.shape)} became ${formatShape(edited.shape)}`);
      activations.set(name, edited);
      return label(edited, name);
    },
  };
}

/** Keys and values of the tokens so far, each [batch, heads, time, headWidth]. */
export interface KeysAndValues {
  readonly keys: Tensor;
  readonly values: Tensor;
}

type Record = (name: string, value: Tensor) => Tensor;

interface BlockOptions {
  /** Earlier keys and values, which queries look at too (decoding). */
  readonly past?: KeysAndValues;
  /** Queries of these rows only: all that follows attention's keys and values has their number of positions. */
  readonly asked?: Asked;
}

/**
 * One block. x [batch, time, width]; bias broadcasts to [batch, heads, time, past + time]. Returns the new residual stream,
 * [batch, time or asked, width], and all keys and values, past ones first.
 */
export function gptBlock(
  config: GptConfig,
  parameters: Parameters,
  index: number,
  x: Tensor,
  bias: Tensor,
  record: Record,
  { past, asked }: BlockOptions = {},
): KeysAndValues & { readonly x: Tensor } {
  const block = `blocks.${index}`;
  const p = (name: string) => parameter(parameters, `${block}.${name}`);
  const { width, heads, epsilon, residual } = config;
  const incoming = record(`${block}.resid_pre`, x);
  const normalized = record(`${block}.ln1`, layerNorm(incoming, p("ln1.weight"), p("ln1.bias"), epsilon));
  const [queries, newKeys, newValues] = queriesKeysValues(
    normalized,
    p("attn.qkv.weight"),
    p("attn.qkv.bias"),
    heads,
    asked,
  );
  const q = record(`${block}.attn.q`, queries);
  const k = record(`${block}.attn.k`, newKeys);
  const v = record(`${block}.attn.v`, newValues);
  const keys = past === undefined ? k : concat([past.keys, k], 2);
  const values = past === undefined ? v : concat([past.values, v], 2);
  const scale = 1 / Math.sqrt(width / heads);
  const { pattern, output } = attention({ queries: q, keys, values, bias: asked?.bias ?? bias, scale });
  const seen = record(`${block}.attn.pattern`, pattern); // [batch, heads, time, past + time]
  const z = record(`${block}.attn.z`, joinHeads(seen === pattern ? output : matmul(seen, values)));
  const attended = record(`${block}.attn_out`, linear(z, p("attn.proj.weight"), p("attn.proj.bias")));
  const before = residual === "released" ? normalized : incoming;
  const stream = asked === undefined ? before : matmul(asked.selection, before);
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

/** Queries (of the asked rows only, where they are named), keys and values. x [batch, time, width] -> each [batch, heads, time, headWidth] */
function queriesKeysValues(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  heads: number,
  asked: Asked | undefined,
): readonly [Tensor, Tensor, Tensor] {
  if (asked === undefined) return splitHeads(linear(x, weight, bias), 3, heads) as [Tensor, Tensor, Tensor];
  const width = x.shape.at(-1)!;
  const rows = matmul(asked.selection, x);
  const [queries] = splitHeads(linear(rows, slice(weight, 0, 0, width), slice(bias, 0, 0, width)), 1, heads);
  const [keys, values] = splitHeads(linear(x, slice(weight, 0, width), slice(bias, 0, width)), 2, heads);
  return [queries!, keys!, values!];
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
  { tokens, pad, embeddings, positions, askedPositions, edit }: ForwardInput,
): Forward {
  const { activations, record } = recorder(edit);
  const table = parameter(parameters, "embed.weight");
  const dtype = table.dtype as FloatDType;
  const embedded = record("embed", embeddings ?? gather(table, tokens)); // [batch, time, width]
  const bias = attentionBias(tokens, pad, dtype);
  let x = add(embedded, slice(positions ?? positionTable(config, dtype), 0, 0, tokens.shape[1]!));
  const asked = askedPositions && askedRows(askedPositions, tokens, pad, dtype);
  const cache: KeysAndValues[] = [];
  for (let index = 0; index < config.blocks; index++) {
    const last = index === config.blocks - 1;
    const options = last && asked !== undefined ? { asked } : {};
    const { keys, values, x: next } = gptBlock(config, parameters, index, x, bias, record, options);
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
