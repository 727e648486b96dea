import { promptBatch, promptKey, promptTime } from "../attack/index.js";
import { type GptConfig, gptForward, type Parameters, parameter } from "../model/index.js";
import { fillNormal } from "../random/index.js";
import {
  amax,
  div,
  type Engine,
  type FloatDType,
  gather,
  gradients,
  maximum,
  mul,
  program,
  reshape,
  sqrt,
  square,
  sum,
  type Tensor,
  unflatten,
} from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import { inBatches, type Samples, type World } from "../world/index.js";
import type { Checkpoint } from "./decoding.js";

/** A differentiable function of embeddings, row by row. x [batch, time, width] -> [batch, outputs] */
export type RowFunction = (x: Tensor) => Tensor;

/**
 * |d max_j y_j / dx| of each row: the norm of the gradient of the largest output with respect to everything that the row feeds in. Rows do not
 * mix, so one backward pass of the sum over rows gives every row its own gradient. x [batch, time, width] -> [batch]
 */
export function gradientNorm(y: RowFunction, x: Tensor): Tensor {
  const [slope] = gradients(sum(amax(y(x), { axis: -1 })), [x]);
  return rowNorm(slope!);
}

export interface PowerStep {
  /** |J'u| / |u|, never above the largest singular value, and nearer to it with every step. [batch] */
  readonly norm: Tensor;
  /** J J'u / |J J'u|, where the next step begins. [batch, outputs] */
  readonly next: Tensor;
}

/**
 * One step of power iteration on J J', J = dy/dx of each row, [outputs, time * width]. J'u is a gradient; J (J'u) is the gradient of |J'u|^2 / 2
 * with respect to u, for J'u is linear in u: no Jacobian is ever built. J J' has J'J's eigenvalues and far fewer numbers.
 * x [batch, time, width], u [batch, outputs]
 */
export function powerStep(y: RowFunction, x: Tensor, u: Tensor): PowerStep {
  const [back] = gradients(sum(mul(y(x), u)), [x]);
  const [next] = gradients(mul(sum(square(back!)), 0.5), [u]);
  return {
    norm: div(rowNorm(back!), maximum(rowNorm(u), TINY)),
    next: div(next!, reshape(maximum(rowNorm(next!), TINY), [u.shape[0]!, 1])),
  };
}

/** What a row without any gradient is divided by: its norm is then 0, not 0 / 0. */
const TINY = 1e-15;

/** l2 norm of everything in a row. [batch, ...] -> [batch] */
function rowNorm(x: Tensor): Tensor {
  return sqrt(sum(square(x), { axis: Array.from({ length: x.shape.length - 1 }, (_, axis) => axis + 1) }));
}

export interface SensitivityShape {
  readonly batch: number;
  /** Tokens of the longest prompt, EOT included. */
  readonly promptTime: number;
  readonly pad: number;
  readonly dtype?: FloatDType;
}

/** Logits at k, the prompt's last token, as a function of the token embeddings (positions are added after them). [batch, vocabulary] */
function logitsAtK(model: GptConfig, parameters: Parameters, tokens: Tensor, lastIndex: Tensor, pad: number) {
  const batch = tokens.shape[0]!;
  const askedPositions = reshape(lastIndex, [batch, 1]);
  return (embeddings: Tensor): Tensor =>
    reshape(gptForward(model, parameters, { tokens, pad, embeddings, askedPositions }).logits, [
      batch,
      model.vocabulary,
    ]);
}

function promptSpecs(model: GptConfig, { batch, promptTime, dtype = "float32" }: SensitivityShape) {
  return {
    parameters: { shape: [gptLayout(model).size], dtype },
    tokens: { shape: [batch, promptTime], dtype: "int32" },
    lastIndex: { shape: [batch], dtype: "int32" },
  } as const;
}

/** `norm`: per sample the norm of the gradient of the largest logit at k with respect to the input embeddings. [batch] */
export function sensitivityProgram(model: GptConfig, shape: SensitivityShape) {
  return program("sensitivity", promptSpecs(model, shape), (input) => {
    const parameters = unflatten(input.parameters, gptLayout(model));
    const embeddings = gather(parameter(parameters, "embed.weight"), input.tokens);
    const y = logitsAtK(model, parameters, input.tokens, input.lastIndex, shape.pad);
    return { norm: gradientNorm(y, embeddings) };
  });
}

/** One step of power iteration for every sample of a batch: `direction` [batch, vocabulary] -> `norm` [batch] and `next`. */
export function spectralStepProgram(model: GptConfig, shape: SensitivityShape) {
  const { batch, dtype = "float32", pad } = shape;
  const direction = { shape: [batch, model.vocabulary], dtype };
  return program("spectral-step", { ...promptSpecs(model, shape), direction }, (input) => {
    const parameters = unflatten(input.parameters, gptLayout(model));
    const embeddings = gather(parameter(parameters, "embed.weight"), input.tokens);
    const y = logitsAtK(model, parameters, input.tokens, input.lastIndex, pad);
    return { ...powerStep(y, embeddings, input.direction) };
  });
}

export interface SensitivityOptions {
  readonly world: World;
  /** Samples that go through the model at once. */
  readonly batch: number;
}

/**
 * The local Lipschitz constant of each sample, |d max_j z_j[k] / d e|: z[k] the logits that predict the first output token, e the
 * embeddings of the whole prompt. In logits per unit of embedding. Method §3.5. [count]
 */
export async function lipschitz(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  { world, batch }: SensitivityOptions,
): Promise<Float64Array> {
  const shape = { batch, promptTime: promptTime(world), pad: world.vocabulary.pad };
  const executable = await engine.compile(sensitivityProgram(model, shape));
  const norms = new Float64Array(samples.count);
  await inBatches(samples.count, batch, async (rows, used) => {
    const { tokens, lastIndex } = promptBatch(world, samples, rows);
    const { norm } = await executable.run({ parameters, tokens, lastIndex });
    norms.set((norm as Float32Array).subarray(0, used), rows[0]!);
  });
  return norms;
}

/** Largest singular values of Jacobians, and how far power iteration has come. */
export interface SpectralNorms {
  /** [count] */
  readonly norms: Float64Array;
  /** By what share of itself each grew in the last step. [count] */
  readonly changes: Float64Array;
}

/**
 * The spectral norm of each sample's Jacobian dz[k]/de, [vocabulary, time * width], by `iterations` steps of power iteration. They begin from a
 * random direction that the prompt itself is the key of, so that batches and order change nothing. Each step's estimate is a lower bound
 * that grows; `changes` says whether it has stopped to. Method §3.5.
 * @throws RangeError when `iterations` is below 2: one estimate cannot be seen to have converged.
 */
export async function spectralNorms(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  { world, batch, seed, iterations }: SensitivityOptions & { readonly seed: number; readonly iterations: number },
): Promise<SpectralNorms> {
  if (iterations < 2) throw new RangeError(`${iterations} iterations cannot show convergence; at least 2 do`);
  const { vocabulary } = model;
  const shape = { batch, promptTime: promptTime(world), pad: world.vocabulary.pad };
  const executable = await engine.compile(spectralStepProgram(model, shape));
  const norms = new Float64Array(samples.count);
  const changes = new Float64Array(samples.count);
  await inBatches(samples.count, batch, async (rows, used) => {
    const { tokens, lastIndex } = promptBatch(world, samples, rows);
    let direction = new Float32Array(batch * vocabulary);
    for (const [i, row] of rows.entries())
      fillNormal(
        promptKey(seed, "spectral norm", samples, row),
        0,
        direction.subarray(i * vocabulary, (i + 1) * vocabulary),
      );
    for (let step = 0; step < iterations; step++) {
      const { norm, next } = await executable.run({ parameters, tokens, lastIndex, direction });
      for (let i = 0; i < used; i++) {
        const [row, value] = [rows[i]!, norm[i] as number];
        changes[row] = value === 0 ? 0 : 1 - norms[row]! / value;
        norms[row] = value;
      }
      direction = next as Float32Array<ArrayBuffer>;
    }
  });
  return { norms, changes };
}
