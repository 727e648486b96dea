import { type Activations, type GptConfig, gptForward } from "../model/index.js";
import {
  type Engine,
  matmul,
  type Program,
  program,
  reshape,
  slice,
  type Tensor,
  type TensorData,
  unflatten,
} from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import { inBatches, type Samples } from "../world/index.js";
import type { Checkpoint, DecodingOptions } from "./decoding.js";

/** Mean activations, one row a sample: `blocks[b]` is [count, width], row-major, block b from 0. */
export interface MeanActivations {
  readonly count: number;
  readonly width: number;
  readonly blocks: readonly Float32Array[];
}

export interface ActivationsShape {
  readonly batch: number;
  readonly time: number;
  /** How many weighted means over positions are taken of each sample. */
  readonly means: number;
  readonly pad: number;
  /** Also the first mean of the MLP's inputs: outputs `input0`, ... [batch, 1, width]. */
  readonly inputs?: boolean;
}

/** Weighted means over positions of every block's post-GELU MLP activations: outputs `block0`, ... [batch, means, mlp]. */
export function activationsProgram(
  model: GptConfig,
  { batch, time, means, pad, inputs = false }: ActivationsShape,
): Program {
  const layout = gptLayout(model);
  return program<string, string>(
    "activations",
    {
      parameters: { shape: [layout.size], dtype: "float32" },
      tokens: { shape: [batch, time], dtype: "int32" },
      weights: { shape: [batch, means, time], dtype: "float32" },
    },
    ({ parameters, tokens, weights }) => {
      const { activations } = gptForward(model, unflatten(parameters!, layout), { tokens: tokens!, pad });
      return { ...blockMeans(model, activations, weights!), ...(inputs && blockInputs(model, activations, weights!)) };
    },
  );
}

/** Of every block's MLP the input, at the mean over positions that the first of `weights` [batch, means, time] takes: `input0`, ... [batch, 1, width]. */
function blockInputs(model: GptConfig, activations: Activations, weights: Tensor): Record<string, Tensor> {
  const first = slice(weights, 1, 0, 1);
  return Object.fromEntries(
    Array.from({ length: model.blocks }, (_, block) => [
      `input${block}`,
      matmul(first, activations.get(`blocks.${block}.mlp.in`)!),
    ]),
  );
}

/** Of every block the means that `weights` [batch, means, time] take over positions: `block0`, ... [batch, means, mlp]. */
export function blockMeans(model: GptConfig, activations: Activations, weights: Tensor): Record<string, Tensor> {
  const [batch, means] = weights.shape as [number, number];
  const blocks = Array.from({ length: model.blocks }, (_, block): [string, Tensor] => {
    const post = activations.get(`blocks.${block}.mlp.post`)!; // [batch, time, mlp]
    return [`block${block}`, reshape(matmul(weights, post), [batch, means, model.mlp])];
  });
  return Object.fromEntries(blocks);
}

/** Room for the means of `count` samples, one for each q. */
export function emptyMeans(model: GptConfig, count: number, positions: readonly number[]): readonly MeanActivations[] {
  return positions.map(() => ({
    count,
    width: model.mlp,
    blocks: Array.from({ length: model.blocks }, () => new Float32Array(count * model.mlp)),
  }));
}

/** Sets 1/q at the positions k .. k+q-1 of batch row `i`, for each q; an output of `length` tokens ends them early. [batch, means, time] */
export function weighPositions(
  weights: Float32Array,
  {
    i,
    k,
    length,
    time,
    positions,
  }: Readonly<Record<"i" | "k" | "length" | "time", number>> & {
    readonly positions: readonly number[];
  },
): void {
  for (const [which, most] of positions.entries()) {
    const q = Math.min(most, length);
    const from = (i * positions.length + which) * time + k;
    weights.fill(1 / q, from, from + q);
  }
}

/** Copies a batch's `block0`, ... to where its rows belong. */
export function storeMeans(
  means: readonly MeanActivations[],
  out: Readonly<Record<string, TensorData>>,
  rows: Int32Array,
  used: number,
): void {
  for (const [which, { width, blocks }] of means.entries())
    for (const [block, kept] of blocks.entries()) {
      const all = out[`block${block}`] as Float32Array;
      for (let i = 0; i < used; i++) {
        const from = (i * means.length + which) * width;
        kept.set(all.subarray(from, from + width), rows[i]! * width);
      }
    }
}

/** What one forward pass gives the measures. */
export interface ReadActivations {
  /** For each q. */
  readonly means: readonly MeanActivations[];
  /** The input of every block's MLP at position k, one row a sample; none unless asked for. [count, width] each */
  readonly inputs: readonly Float32Array[];
}

/**
 * a_L(x): the mean of the post-GELU MLP activations over the q positions k .. k+q-1, k being the position that predicts the first output
 * token; shorter outputs end it early. For each q, every block. Method §3.1. With `inputs` also the MLP's input at k (method §3.4), for which the first q
 * must be 1. `samples` hold in the answer's place what the model itself wrote. @throws RangeError when it is not.
 */
export async function readActivations(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  {
    world,
    batch,
    positions,
    inputs: asked = false,
  }: DecodingOptions & { readonly positions: readonly number[]; readonly inputs?: boolean },
): Promise<ReadActivations> {
  if (asked && positions[0] !== 1) throw new RangeError("the MLP's input is read at k alone: the first q must be 1");
  const time = samples.time - 1;
  const means = emptyMeans(model, samples.count, positions);
  const inputs = Array.from({ length: asked ? model.blocks : 0 }, () => new Float32Array(samples.count * model.width));
  const { pad } = world.vocabulary;
  const shape = { batch, time, means: positions.length, pad, inputs: asked };
  const executable = await engine.compile(activationsProgram(model, shape));
  await inBatches(samples.count, batch, async (rows, used) => {
    const tokens = new Int32Array(batch * time);
    const weights = new Float32Array(batch * positions.length * time);
    for (const [i, row] of rows.entries()) {
      tokens.set(samples.tokens.subarray(row * samples.time, row * samples.time + time), i * time);
      weighPositions(weights, {
        i,
        k: samples.answerStart[row]! - 1,
        length: samples.textLength[row]!,
        time,
        positions,
      });
    }
    const out = await executable.run({ parameters, tokens, weights });
    storeMeans(means, out, rows, used);
    for (const [block, kept] of inputs.entries()) {
      const read = out[`input${block}`] as Float32Array;
      for (let i = 0; i < used; i++)
        kept.set(read.subarray(i * model.width, (i + 1) * model.width), rows[i]! * model.width);
    }
  });
  return { means, inputs };
}

/** The means of `readActivations` alone. */
export async function meanActivations(
  engine: Engine,
  checkpoint: Checkpoint,
  samples: Samples,
  options: DecodingOptions & { readonly positions: readonly number[] },
): Promise<readonly MeanActivations[]> {
  return (await readActivations(engine, checkpoint, samples, options)).means;
}
