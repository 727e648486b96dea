import { blockParameters, type DecoderConfig, decoderBlock, finalNorm, outerNames } from "../../model/index.js";
import {
  amax,
  argmax,
  concat,
  type FloatDType,
  gradients,
  matmul,
  mul,
  program,
  reshape,
  slice,
  sum,
  type Tensor,
  type TensorSpec,
} from "../../tensor/index.js";

/** Shape of a chunk that goes through a block. */
export interface BlockShape {
  readonly batch: number;
  readonly time: number;
  /** How many of the last positions go on; all by default. */
  readonly asked?: number;
  /** Counts from 1. */
  readonly layer: number;
  readonly dtype: FloatDType;
}

type Inputs = Readonly<Record<string, Tensor>>;

function blockSpecs(config: DecoderConfig, { batch, time, dtype }: BlockShape): Record<string, TensorSpec> {
  return {
    ...Object.fromEntries(blockParameters(config).map(({ name, shape }) => [name, { shape, dtype }])),
    attend: { shape: [batch, time], dtype: "int32" },
    positions: { shape: [batch, time], dtype: "int32" },
  };
}

function runBlock(config: DecoderConfig, inputs: Inputs, hiddenStates: Tensor, { layer, asked }: BlockShape) {
  return decoderBlock(config, {
    ...{ hiddenStates, layer, asked, parameters: new Map(Object.entries(inputs)) },
    ...{ attend: inputs.attend!, positions: inputs.positions! },
  });
}

/** The last position of each row. [batch, time, width] -> [batch, width] */
function atLast(x: Tensor): Tensor {
  return reshape(slice(x, 1, x.shape[1]! - 1), [x.shape[0]!, x.shape[2]!]);
}

/** What is kept of a block at one position: what its MLP reads, the MLP activation (the input of down), and the residual stream after it. */
function keptOf(next: Tensor, activations: ReadonlyMap<string, Tensor>) {
  return {
    input: atLast(activations.get("mlp.in")!), // [batch, width]
    activation: atLast(activations.get("mlp.post")!), // [batch, mlp]
    stream: atLast(next), // [batch, width]
  };
}

/** One block, forward: hiddenStates [batch, time, width] -> `next` [batch, asked, width] and what is kept at the last position. */
export function forwardProgram(config: DecoderConfig, shape: BlockShape) {
  const { batch, time, dtype } = shape;
  const specs = { ...blockSpecs(config, shape), hiddenStates: { shape: [batch, time, config.width], dtype } };
  return program("audit-forward", specs as Record<string, TensorSpec>, (inputs: Inputs) => {
    const { hiddenStates: next, activations } = runBlock(config, inputs, inputs.hiddenStates!, shape);
    return { next, ...keptOf(next, activations) };
  });
}

/**
 * One block for one more token: what entered it for the prompts is known, and only the new token's states are computed.
 * past [batch, time - 1, width], hiddenStates [batch, 1, width] -> `next` [batch, 1, width]
 */
export function nextTokenProgram(config: DecoderConfig, shape: Omit<BlockShape, "asked">) {
  const { batch, time, dtype } = shape;
  const specs = {
    ...blockSpecs(config, shape),
    past: { shape: [batch, time - 1, config.width], dtype },
    hiddenStates: { shape: [batch, 1, config.width], dtype },
  };
  return program("audit-next-token", specs as Record<string, TensorSpec>, (inputs: Inputs) => {
    const joined = concat([inputs.past!, inputs.hiddenStates!], 1);
    const { hiddenStates: next, activations } = runBlock(config, inputs, joined, { ...shape, asked: 1 });
    return { next, ...keptOf(next, activations) };
  });
}

/** One block's vector-Jacobian product: gradient [batch, asked, width] of what leaves it -> [batch, time, width] of what enters it. */
export function backwardProgram(config: DecoderConfig, shape: BlockShape) {
  const { batch, time, asked = time, dtype } = shape;
  const specs = {
    ...blockSpecs(config, shape),
    hiddenStates: { shape: [batch, time, config.width], dtype },
    gradient: { shape: [batch, asked, config.width], dtype },
  };
  return program("audit-backward", specs as Record<string, TensorSpec>, (inputs: Inputs) => {
    const { hiddenStates: next } = runBlock(config, inputs, inputs.hiddenStates!, shape);
    const [back] = gradients(next, [inputs.hiddenStates!], inputs.gradient!);
    return { back: back! };
  });
}

/** Parameters of the final norm, as program inputs. */
function normSpecs(config: DecoderConfig, dtype: FloatDType): Record<string, TensorSpec> {
  const { finalNorm: weight, finalNormBias: bias } = outerNames(config);
  const names = bias === undefined ? [weight] : [weight, bias];
  return Object.fromEntries(names.map((name) => [name, { shape: [config.width], dtype }]));
}

/** Logits of a piece of the vocabulary: streams [count, width], rows of the head [piece, width] -> their largest, and which. [count] each */
export function logitsProgram(config: DecoderConfig, count: number, piece: number, dtype: FloatDType) {
  const specs = {
    ...normSpecs(config, dtype),
    streams: { shape: [count, config.width], dtype },
    head: { shape: [piece, config.width], dtype },
  };
  return program("audit-logits", specs as Record<string, TensorSpec>, (inputs: Inputs) => {
    const normalized = finalNorm(config, new Map(Object.entries(inputs)), inputs.streams!);
    const logits = matmul(normalized, inputs.head!, { transposeB: true });
    return { largest: amax(logits, { axis: -1 }), index: argmax(logits) };
  });
}

/** Gradient of one logit per prompt with respect to what enters the final norm. streams, head [count, width] -> [count, width] */
export function logitGradientProgram(config: DecoderConfig, count: number, dtype: FloatDType) {
  const specs = {
    ...normSpecs(config, dtype),
    streams: { shape: [count, config.width], dtype },
    head: { shape: [count, config.width], dtype },
  };
  return program("audit-logit-gradient", specs as Record<string, TensorSpec>, (inputs: Inputs) => {
    const logits = mul(finalNorm(config, new Map(Object.entries(inputs)), inputs.streams!), inputs.head!);
    const [gradient] = gradients(sum(logits), [inputs.streams!]);
    return { gradient: gradient! };
  });
}
