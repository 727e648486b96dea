import { type Activations, type GptConfig, gptForward } from "../model/index.js";
import {
  type Engine,
  matmul,
  type Program,
  program,
  reshape,
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
}

/** Weighted means over positions of every block's post-GELU MLP activations: outputs `block0`, ... [batch, means, mlp]. */
export function activationsProgram(model: GptConfig, { batch, time, means, pad }: ActivationsShape): Program {
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
      return blockMeans(model, activations, weights!);
    },
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

/**
 * a_L(x): the mean of the post-GELU MLP activations over the q positions k .. k+q-1, k being the position that predicts the first output
 * token; shorter outputs end it early. For each q, every block. Method §3.1. `samples` hold in the answer's place what the model itself wrote.
 */
export async function meanActivations(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  { world, batch, positions }: DecodingOptions & { readonly positions: readonly number[] },
): Promise<readonly MeanActivations[]> {
  const time = samples.time - 1;
  const means = emptyMeans(model, samples.count, positions);
  const { pad } = world.vocabulary;
  const executable = await engine.compile(activationsProgram(model, { batch, time, means: positions.length, pad }));
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
    storeMeans(means, await executable.run({ parameters, tokens, weights }), rows, used);
  });
  return means;
}
