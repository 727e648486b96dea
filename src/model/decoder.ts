import { add, type FloatDType, gather, layerNorm, linear, rmsNorm, type Tensor } from "../tensor/index.js";
import { blockPrefix, type DecoderConfig, type Family, outerNames } from "./decoderConfig.js";
import { type BlockContext, type BlockParameters, blockParametersOf, decoderBias, lastRows } from "./decoderParts.js";
import { type Activations, type Edit, type Parameters, parameter, recorder } from "./gpt.js";
import { gpt2Block } from "./gpt2.js";
import { llamaBlock } from "./llama.js";
import { mistralBlock } from "./mistral.js";
import { qwen2Block } from "./qwen2.js";
import { rotations } from "./rope.js";

/** One file per family. Hidden states in, hidden states out; `mlp.in` and `mlp.post` are recorded on the way. */
const BLOCKS: Record<Family, (x: Tensor, p: BlockParameters, context: BlockContext) => Tensor> = {
  llama: llamaBlock,
  mistral: mistralBlock,
  qwen2: qwen2Block,
  gpt2: gpt2Block,
};

/** Which tokens there are, and where each stands. */
export interface TokenLayout {
  /** 1 at tokens, 0 at padding, int32. [batch, time] */
  readonly attend: Tensor;
  /** Position of each token in its own text, int32, below `time`; any at padding. [batch, time] */
  readonly positions: Tensor;
}

export interface BlockInput extends TokenLayout {
  /** What enters the block. [batch, time, width] */
  readonly hiddenStates: Tensor;
  /** The block's own, named as in `blockParameters`. */
  readonly parameters: Parameters;
  /** Counts from 1. */
  readonly layer: number;
  /** How many of the last positions are asked for; all by default. The others serve as keys and values only. */
  readonly asked?: number | undefined;
  readonly edit?: Edit | undefined;
}

/**
 * One block alone: all that is needed of a model while its other blocks are on disk. Activations: `mlp.in`, `mlp.post`, `attn.z`, `resid_mid`.
 * hiddenStates [batch, time, width] -> [batch, asked, width]
 */
export function decoderBlock(
  config: DecoderConfig,
  { hiddenStates, parameters, layer, attend, positions, asked, edit }: BlockInput,
): { readonly hiddenStates: Tensor; readonly activations: Activations } {
  const { activations, record } = recorder(edit);
  const dtype = hiddenStates.dtype as FloatDType;
  const context = { ...blockContext(config, layer, { attend, positions }, dtype, asked), record };
  return { hiddenStates: BLOCKS[config.family](hiddenStates, blockParametersOf(parameters), context), activations };
}

function blockContext(
  config: DecoderConfig,
  layer: number,
  { attend, positions }: TokenLayout,
  dtype: FloatDType,
  asked = attend.shape[1]!,
) {
  const { rope, headWidth, slidingWindows } = config;
  return {
    config,
    bias: lastRows(decoderBias(attend, slidingWindows[layer - 1] ?? null, dtype), 2, asked),
    last: (x: Tensor) => lastRows(x, 1, asked),
    rotation: rope === null ? undefined : rotations(rope, headWidth, positions, positions.shape[1]!, dtype),
  };
}

/** The final norm and the head. x [..., width] -> logits [..., vocabulary] */
export function decoderHead(config: DecoderConfig, parameters: Parameters, x: Tensor): Tensor {
  return linear(finalNorm(config, parameters, x), parameter(parameters, outerNames(config).head));
}

/** The norm before the head. x [..., width] -> the same */
export function finalNorm(config: DecoderConfig, parameters: Parameters, x: Tensor): Tensor {
  const { finalNorm: weight, finalNormBias: bias } = outerNames(config);
  const scale = parameter(parameters, weight);
  return bias === undefined
    ? rmsNorm(x, scale, config.epsilon)
    : layerNorm(x, scale, parameter(parameters, bias), config.epsilon);
}

/** What enters the first block: token embeddings, and positions where they are a learned table. [batch, time, width] */
export function decoderEmbedding(
  config: DecoderConfig,
  parameters: Parameters,
  embeddings: Tensor,
  positions: Tensor,
): Tensor {
  const table = outerNames(config).positions;
  return table === undefined ? embeddings : add(embeddings, gather(parameter(parameters, table), positions));
}

export interface DecoderInput extends TokenLayout {
  /** Token ids, int32. [batch, time] */
  readonly tokens: Tensor;
  /** Replaces the looked-up token embeddings. [batch, time, width] */
  readonly embeddings?: Tensor;
  readonly edit?: Edit | undefined;
}

/**
 * The whole model. Parameters by their names in `decoderParameters`. tokens [batch, time] -> logits [batch, time, vocabulary]; activations are named
 * `blocks.0.mlp.post` and so on, blocks counting from 0 as elsewhere in this room, with `blocks.0.resid_pre` and `blocks.0.resid_post`.
 */
export function decoderForward(
  config: DecoderConfig,
  parameters: Parameters,
  { tokens, attend, positions, embeddings, edit }: DecoderInput,
): { readonly logits: Tensor; readonly activations: Activations } {
  const { activations, record } = recorder(edit);
  const table = parameter(parameters, outerNames(config).embedding);
  const looked = record("embed", embeddings ?? gather(table, tokens));
  let x = decoderEmbedding(config, parameters, looked, positions);
  for (let index = 0; index < config.blocks; index++) {
    const name = `blocks.${index}`;
    const p = blockParametersOf(parameters, blockPrefix(config, index + 1));
    const context = blockContext(config, index + 1, { attend, positions }, table.dtype as FloatDType);
    x = record(`${name}.resid_pre`, x);
    x = BLOCKS[config.family](x, p, { ...context, record: (part, value) => record(`${name}.${part}`, value) });
    x = record(`${name}.resid_post`, x);
  }
  return { logits: record("logits", decoderHead(config, parameters, x)), activations };
}
