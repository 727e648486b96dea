import {
  add,
  and,
  broadcastTo,
  concat,
  constant,
  equal,
  type FloatDType,
  gather,
  less,
  lessEqual,
  or,
  reshape,
  scalar,
  slice,
  type Tensor,
  where,
} from "../tensor/index.js";
import type { GptConfig } from "./config.js";
import {
  atIndex,
  attentionBias,
  type Edit,
  type Forward,
  gptBlock,
  gptForward,
  type KeysAndValues,
  MASKED,
  type Parameters,
  parameter,
  positionTable,
  recorder,
  unembed,
} from "./gpt.js";

/** Embeddings that no token has, placed directly before a prompt's last token: a soft prompt. */
export interface Inserted {
  /** Positions are added to them. [batch, slots, width] */
  readonly embeddings: Tensor;
  /** How many of its slots each row uses, the first ones; the others do not exist for it. int32 [batch] */
  readonly lengths: Tensor;
  /**
   * Where they stand. `shifted`, the default: each takes a position, and what comes after them stands so much later. `kept`: all stand at the position of
   * the prompt's last token, which keeps its own, as does what follows.
   */
  readonly positions?: InsertedPositions;
}

export const INSERTED_POSITIONS = ["shifted", "kept"] as const;
export type InsertedPositions = (typeof INSERTED_POSITIONS)[number];

/** How many positions later each row's last token stands. int32 [batch] */
export function shiftOf({ lengths, positions = "shifted" }: Inserted): Tensor {
  return positions === "shifted" ? lengths : constant(new Int32Array(lengths.shape[0]!), lengths.shape, "int32");
}

/** Prompts whose last token is still to come. Nothing after it can change what is computed here. */
export interface PromptStart {
  readonly cache: readonly KeysAndValues[];
  /** 0 at tokens before the last one, a large negative number elsewhere. [batch, 1, 1, time - 1] */
  readonly bias: Tensor;
  /** Embedding of each prompt's last token, without its position. [batch, width] */
  readonly last: Tensor;
  /** Index of each prompt's last token, int32. [batch] */
  readonly lastIndex: Tensor;
}

/** Runs the prompts without their last tokens. tokens int32 [batch, time], whatever is no prompt is `pad`; lastIndex int32 [batch]. */
export function promptStart(
  config: GptConfig,
  parameters: Parameters,
  {
    tokens,
    lastIndex,
    pad,
    edit,
  }: {
    readonly tokens: Tensor;
    readonly lastIndex: Tensor;
    readonly pad: number;
    readonly edit?: Edit | undefined;
  },
): PromptStart {
  const [batch, time] = tokens.shape as [number, number];
  const table = parameter(parameters, "embed.weight");
  const dtype = table.dtype as FloatDType;
  const start = slice(tokens, 1, 0, time - 1);
  const isLast = equal(range(time - 1), reshape(lastIndex, [batch, 1]));
  const hidden = or(equal(start, pad), isLast);
  const { cache } = gptForward(config, parameters, { tokens: where(hidden, scalar(pad, "int32"), start), pad, edit });
  return {
    cache,
    bias: reshape(where(hidden, scalar(MASKED, dtype), scalar(0, dtype)), [batch, 1, 1, time - 1]),
    last: gather(table, reshape(atIndex(reshape(tokens, [batch, time, 1]), lastIndex), [batch])),
    lastIndex,
  };
}

/** What follows a `PromptStart`: logits and activations are of the slots, the prompt's last token and `following`, in this order. */
export interface AfterStart extends Forward {
  /** For whatever comes next: 0 at keys that exist. [batch, 1, 1, time - 1 + slots + 1 + following] */
  readonly bias: Tensor;
}

/**
 * Goes on from `promptStart`: inserted embeddings, the prompt's last token, and tokens that follow it (teacher forcing). Index `slots` of what it
 * returns is position k, the one that predicts the first token of the output, whatever a row's length. following int32 [batch, m]; padding at its end is harmless, since nothing before looks at it.
 */
export function afterStart(
  config: GptConfig,
  parameters: Parameters,
  start: PromptStart,
  {
    inserted,
    following,
    edit,
  }: {
    readonly inserted?: Inserted | undefined;
    readonly following?: Tensor | undefined;
    readonly edit?: Edit | undefined;
  },
): AfterStart {
  const [batch, width] = start.last.shape as [number, number];
  const dtype = start.last.dtype as FloatDType;
  const { activations, record } = recorder(edit);
  const slots = inserted?.embeddings.shape[1] ?? 0;
  const embedded = concat(
    [
      ...(inserted === undefined ? [] : [inserted.embeddings]),
      reshape(start.last, [batch, 1, width]),
      ...(following === undefined ? [] : [gather(parameter(parameters, "embed.weight"), following)]),
    ],
    1,
  );
  const time = embedded.shape[1]!;
  const inSlots = less(range(time), slots); // [1, time]
  const none = constant(new Int32Array(batch), [batch], "int32");
  const column = (values: Tensor) => reshape(values, [batch, 1]);

  // A slot that a row does not use is hidden, and takes no position from what follows.
  const unused = and(inSlots, lessEqual(column(inserted?.lengths ?? none), range(time))); // [batch, time]
  const ownSlot = inserted?.positions === "kept" ? 0 : range(time);
  const afterSlots = add(add(range(time), -slots), column(inserted === undefined ? none : shiftOf(inserted)));
  const positions = add(column(start.lastIndex), where(inSlots, ownSlot, afterSlots)); // [batch, time]
  const table = positionTable({ ...config, context: config.context + slots }, dtype);

  const ownKeys = reshape(where(unused, scalar(MASKED, dtype), scalar(0, dtype)), [batch, 1, 1, time]);
  // Token 1 everywhere and padding 0: nothing but the order of the tokens.
  const causal = attentionBias(constant(new Int32Array(time).fill(1), [1, time], "int32"), 0, dtype);
  const ownBias = add(ownKeys, causal);
  const bias = concat([broadcastTo(start.bias, start.bias.shape.with(2, time)), ownBias], 3);
  let x = add(record("embed", embedded), gather(table, positions));
  const cache = start.cache.map((past, index) => {
    const { keys, values, x: out } = gptBlock(config, parameters, index, x, bias, record, { past });
    x = out;
    return { keys, values };
  });
  return {
    logits: unembed(config, parameters, x, record),
    activations,
    cache,
    bias: concat([start.bias, ownKeys], 3),
  };
}

/** 0, 1, ... as int32. [1, size] */
function range(size: number): Tensor {
  return constant(
    Array.from({ length: size }, (_, i) => i),
    [1, size],
    "int32",
  );
}
