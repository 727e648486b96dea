import { add, concat, type FloatDType, gather, slice, type Tensor } from "../tensor/index.js";
import type { GptConfig } from "./config.js";
import {
  askedRows,
  attentionBias,
  gptBlock,
  gptForward,
  type Parameters,
  parameter,
  positionTable,
  recorder,
  unembed,
} from "./gpt.js";

export interface SharedPrefixInput {
  /** Sequences in pairs: row i of the first half and row i of the second begin with the same `shared` tokens. int32 [2 pairs, time] */
  readonly tokens: Tensor;
  readonly pad: number;
  /** How many leading tokens a pair shares, 1 .. time - 1. */
  readonly shared: number;
  /** The positions whose logits are asked for, all after the shared ones. int32 [2 pairs, asked] */
  readonly askedPositions: Tensor;
}

/**
 * Logits of pairs of sequences that begin alike, as prompts with two answers do: the shared tokens pass through the model once for each pair,
 * and what follows looks at their keys and values. The same numbers as from `gptForward`. [2 pairs, asked, vocabulary]
 */
export function sharedPrefixLogits(
  config: GptConfig,
  parameters: Parameters,
  { tokens, pad, shared, askedPositions }: SharedPrefixInput,
): Tensor {
  const [rows, time] = tokens.shape as [number, number];
  const table = parameter(parameters, "embed.weight");
  const dtype = table.dtype as FloatDType;
  const { record } = recorder();
  const prefix = slice(slice(tokens, 0, 0, rows / 2), 1, 0, shared);
  const { cache } = gptForward(config, parameters, { tokens: prefix, pad });
  const twice = (x: Tensor) => concat([x, x], 0);

  const bias = slice(attentionBias(tokens, pad, dtype), 2, shared, time);
  const { selection, bias: askedBias } = askedRows(askedPositions, tokens, pad, dtype);
  const asked = { selection: slice(selection, 2, shared), bias: askedBias };
  const positions = slice(positionTable(config, dtype), 0, shared, time);
  let x = add(record("embed", gather(table, slice(tokens, 1, shared))), positions);
  for (const [index, { keys, values }] of cache.entries()) {
    const past = { keys: twice(keys), values: twice(values) };
    const options = index === config.blocks - 1 ? { past, asked } : { past };
    x = gptBlock(config, parameters, index, x, bias, record, options).x;
  }
  return unembed(config, parameters, x, record);
}
