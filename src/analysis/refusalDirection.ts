import { promptKey } from "../attack/index.js";
import { type Edit, type GptConfig, greedyDecode } from "../model/index.js";
import { fillNormal } from "../random/index.js";
import { add, type Engine, matmul, program, reshape, slice, sub, type Tensor, unflatten } from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import { inBatches, type Samples, type World } from "../world/index.js";
import { classMeans, type Vectors } from "./clusters.js";
import type { Checkpoint, DecodeShape } from "./decoding.js";

/**
 * The difference-of-means direction r = mu^U - mu^S of the residual stream at k: what is added to a safe prompt's state on the way to an unsafe
 * one's. safe, unsafe: the half of the samples that nothing is measured on. Arditi et al. 2024, §2.3. [width]
 */
export function refusalDirection(safe: Vectors, unsafe: Vectors): Float64Array {
  const means = classMeans(safe, unsafe);
  return means.unsafe.map((value, i) => value - means.safe[i]!);
}

/** What is done to one sample's residual stream, at every position of prompt and answer. */
export interface Steering {
  /** Its projection is taken out of the residual stream wherever that is read: before, within and after every block. [width] */
  readonly ablate?: Float64Array;
  /** Added after one block (counted from 0). */
  readonly add?: { readonly block: number; readonly direction: Float64Array };
}

/** x - (x . r) r along the last axis for unit vectors r, one per row, or 0 for none. x [batch, time, width], r [batch, width] */
export function ablateDirection(x: Tensor, r: Tensor): Tensor {
  const [batch, width] = r.shape as [number, number];
  const along = matmul(x, reshape(r, [batch, width, 1])); // [batch, time, 1]
  return sub(x, matmul(along, reshape(r, [batch, 1, width])));
}

/** Where the residual stream is read. A `released` block goes on with the normalized stream, which may point along r again. */
const STREAM = {
  "pre-ln": /^blocks\.\d+\.resid_(pre|mid|post)$/,
  released: /^blocks\.\d+\.(resid_(pre|mid|post)|ln1)$/,
};

/** The edit of a batch whose rows are steered each in its own way. ablated [batch, width], of length 1 or 0; added [batch, blocks, width] */
export function steeringEdit({ residual }: Pick<GptConfig, "residual">, ablated: Tensor, added: Tensor): Edit {
  return (name, x) => {
    if (!STREAM[residual].test(name)) return x;
    const block = Number(name.split(".")[1]);
    const moved = name.endsWith("resid_post") ? add(x, slice(added, 1, block, block + 1)) : x;
    return ablateDirection(moved, ablated);
  };
}

/** As `decodeProgram`, each row under its own steering. */
export function steeredDecodeProgram(model: GptConfig, { batch, time, steps, pad }: DecodeShape) {
  const layout = gptLayout(model);
  return program(
    "steered-decode",
    {
      parameters: { shape: [layout.size], dtype: "float32" },
      tokens: { shape: [batch, time], dtype: "int32" },
      lastIndex: { shape: [batch], dtype: "int32" },
      ablated: { shape: [batch, model.width], dtype: "float32" },
      added: { shape: [batch, model.blocks, model.width], dtype: "float32" },
    },
    ({ parameters, tokens, lastIndex, ablated, added }) => ({
      output: greedyDecode(model, unflatten(parameters, layout), {
        tokens,
        lastIndex,
        pad,
        steps,
        edit: steeringEdit(model, ablated, added),
      }),
    }),
  );
}

/**
 * Greedy outputs of steered prompts, [count, maxText]: as `decodeGreedily`, with each sample's residual stream edited by its entry of
 * `steering` (one per sample) at every position of the prompt and of what is written.
 * @throws RangeError when there is not one steering per sample.
 */
export async function decodeSteered(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  steering: readonly Steering[],
  { world, batch }: { readonly world: World; readonly batch: number },
): Promise<Int32Array> {
  if (steering.length !== samples.count)
    throw new RangeError(`${steering.length} steerings for ${samples.count} samples; there must be one for each`);
  const { width, blocks } = model;
  const time = Math.max(...samples.answerStart);
  const steps = world.maxText;
  const { pad } = world.vocabulary;
  const executable = await engine.compile(steeredDecodeProgram(model, { batch, time, steps, pad }));
  const outputs = new Int32Array(samples.count * steps);
  await inBatches(samples.count, batch, async (rows, used) => {
    const tokens = new Int32Array(batch * time).fill(pad);
    const ablated = new Float32Array(batch * width);
    const added = new Float32Array(batch * blocks * width);
    for (const [i, row] of rows.entries()) {
      const from = row * samples.time;
      tokens.set(samples.tokens.subarray(from, from + samples.answerStart[row]!), i * time);
      const { ablate, add: addition } = steering[row]!;
      if (ablate !== undefined) ablated.set(unit(ablate), i * width);
      if (addition !== undefined) added.set(addition.direction, (i * blocks + addition.block) * width);
    }
    const lastIndex = rows.map((row) => samples.answerStart[row]! - 1);
    const { output } = await executable.run({ parameters, tokens, lastIndex, ablated, added });
    outputs.set((output as Int32Array).subarray(0, used * steps), rows[0]! * steps);
  });
  return outputs;
}

/** v / |v|, or 0 where v is 0. */
function unit(v: Float64Array): Float64Array {
  const norm = lengthOf(v);
  return norm === 0 ? v : v.map((value) => value / norm);
}

/** l2 norm. */
export function lengthOf(v: Float64Array): number {
  return Math.sqrt(v.reduce((total, value) => total + value * value, 0));
}

/**
 * The null of a direction: one of the same norm, uniform on the sphere, drawn anew for every prompt and the same for it in whatever batch. A mean over
 * samples is then over as many directions. [width]
 */
export function randomDirection(
  seed: number,
  samples: Samples,
  row: number,
  norm: number,
  width: number,
): Float64Array {
  const direction = new Float64Array(width);
  fillNormal(promptKey(seed, "random direction", samples, row), 0, direction);
  return unit(direction).map((value) => value * norm);
}
