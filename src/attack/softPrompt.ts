import { afterStart, type Checkpoint, type GptConfig, type InsertedPositions, promptStart } from "../model/index.js";
import { fillNormal } from "../random/index.js";
import {
  concat,
  div,
  type Engine,
  type FloatDType,
  gradients,
  label,
  maximum,
  mul,
  program,
  reshape,
  slice,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  tokenNll,
  unflatten,
} from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import { inBatches, type Samples, type World } from "../world/index.js";
import { promptBatch, promptKey, promptTime } from "./prompts.js";

/** The l2 norm of every soft embedding stays strictly below 1 (method §3.6): what is longer is cut to this, with room for float32's rounding. */
export const MAX_NORM = 0.999;

/** Embeddings found by an attack, to be inserted between each sample's text and EOT. */
export interface SoftPrompts {
  /** Embeddings per sample that there is room for. */
  readonly slots: number;
  readonly width: number;
  /** [count, slots, width] */
  readonly embeddings: Float32Array;
  /** How many of its slots each sample uses, the first ones. [count] */
  readonly lengths: Int32Array;
  /** Whether EOT and the output stand later by as many positions (`shifted`, the method's definition) or where they were. */
  readonly positions: InsertedPositions;
}

export interface SoftPromptAttack extends SoftPrompts {
  /** Mean CE to the true output of each sample, in nats, before the first step and after each. [count, steps + 1] */
  readonly losses: Float32Array;
  /** Largest norm of any embedding, before the first step and after each. [steps + 1] */
  readonly largestNorms: Float64Array;
}

export interface SoftPromptOptions {
  readonly world: World;
  /** Samples that are attacked at once. */
  readonly batch: number;
  readonly seed: number;
  /** How many embeddings are inserted: n of the method. 0 is the plain model. */
  readonly strength: number;
  /** Room for embeddings, at least `strength`: attacks of several strengths with one room share one program. */
  readonly slots?: number;
  /** `shifted` by default, as the method defines it. `kept` is for models that have met EOT at one position only. */
  readonly positions?: InsertedPositions;
  /** Steps of gradient descent. */
  readonly steps: number;
  readonly learningRate: number;
  /** Expected norm of the random embeddings that the descent starts from. */
  readonly initialNorm: number;
}

export interface SoftPromptShape {
  readonly batch: number;
  /** Tokens of the longest prompt, EOT included. */
  readonly promptTime: number;
  /** Tokens of the longest output. */
  readonly answerTime: number;
  readonly slots: number;
  readonly positions: InsertedPositions;
  readonly steps: number;
  readonly pad: number;
  readonly dtype?: FloatDType;
}

/**
 * The whole attack on a batch in one program. The prompts up to EOT are run once, since nothing that is inserted after them changes them; each
 * step runs what follows, forward and backward, and moves the embeddings: s <- P(s - eta dL/ds), P the projection on norms of at most
 * `MAX_NORM`. L is the sum over samples of each one's mean CE, so that every sample has its own gradient whatever else is in the batch.
 */
export function softPromptProgram(
  model: GptConfig,
  { batch, promptTime, answerTime, slots, positions, steps, pad, dtype = "float32" }: SoftPromptShape,
) {
  const layout = gptLayout(model);
  const answers = [batch, answerTime];
  return program(
    "soft-prompt",
    {
      parameters: { shape: [layout.size], dtype },
      tokens: { shape: [batch, promptTime], dtype: "int32" },
      lastIndex: { shape: [batch], dtype: "int32" },
      answers: { shape: answers, dtype: "int32" },
      weights: { shape: answers, dtype },
      lengths: { shape: [batch], dtype: "int32" },
      initial: { shape: [batch, slots, model.width], dtype },
      learningRate: { shape: [], dtype },
    },
    (input) => {
      const parameters = unflatten(input.parameters, layout);
      const start = promptStart(model, parameters, { tokens: input.tokens, lastIndex: input.lastIndex, pad });
      const following = answerTime === 1 ? undefined : slice(input.answers, 1, 0, answerTime - 1);
      const lossOf = (embeddings: Tensor) => {
        const inserted = { embeddings, lengths: input.lengths, positions };
        const { logits } = afterStart(model, parameters, start, { inserted, following });
        return sum(mul(tokenNll(slice(logits, 1, slots), input.answers), input.weights), { axis: -1 }); // [batch]
      };
      let embeddings = project(input.initial);
      const losses = [lossOf(embeddings)];
      const norms = [normOf(embeddings)];
      for (let step = 1; step <= steps; step++) {
        const slope = gradients(sum(losses.at(-1)!), [embeddings])[0]!;
        embeddings = label(project(sub(embeddings, mul(slope, input.learningRate))), `soft.${step}`);
        losses.push(lossOf(embeddings));
        norms.push(normOf(embeddings));
      }
      const rows = (values: readonly Tensor[], shape: readonly number[]) =>
        concat(
          values.map((value) => reshape(value, [1, ...shape])),
          0,
        );
      return { embeddings, losses: rows(losses, [batch]), norms: rows(norms, [batch, slots]) };
    },
  );
}

/** l2 norms along the last axis. [..., width] -> [...] */
function normOf(x: Tensor): Tensor {
  return sqrt(sum(square(x), { axis: -1 }));
}

/** Scaled down to a norm of `MAX_NORM` where longer, untouched elsewhere: the factor is then exactly 1. */
function project(x: Tensor): Tensor {
  const norm = sqrt(sum(square(x), { axis: -1, keepDims: true }));
  return mul(x, div(MAX_NORM, maximum(norm, MAX_NORM)));
}

/**
 * Soft prompts against every sample at once (method §3.6): `strength` embeddings of norm below 1 between text and EOT, `steps` steps of plain
 * gradient descent on the mean CE to the sample's true output, which `samples` hold in the answer's place.
 * @throws RangeError when `slots` is less than `strength`; Error when a norm is not below 1 (weights that are not finite).
 */
export async function softPromptAttack(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  options: SoftPromptOptions,
): Promise<SoftPromptAttack> {
  const { world, batch, seed, strength, steps, learningRate, initialNorm } = options;
  const { slots = Math.max(1, strength), positions = "shifted" } = options;
  if (slots < Math.max(1, strength)) throw new RangeError(`${slots} slots have no room for ${strength} embeddings`);
  const { count } = samples;
  const { width } = model;
  const { pad } = world.vocabulary;
  const shape = { batch, promptTime: promptTime(world), answerTime: world.maxText, slots, positions, steps, pad };
  const executable = await engine.compile(softPromptProgram(model, shape));
  const embeddings = new Float32Array(count * slots * width);
  const losses = new Float32Array(count * (steps + 1));
  const largestNorms = new Float64Array(steps + 1);
  await inBatches(count, batch, async (rows, used) => {
    const initial = new Float32Array(batch * slots * width);
    for (const [i, row] of rows.entries()) {
      const own = initial.subarray(i * slots * width, i * slots * width + strength * width);
      fillNormal(promptKey(seed, "soft-prompt", samples, row), 0, own);
      for (let j = 0; j < own.length; j++) own[j]! *= initialNorm / Math.sqrt(width);
    }
    const out = await executable.run({
      parameters,
      ...promptBatch(world, samples, rows),
      lengths: new Int32Array(batch).fill(strength),
      initial,
      learningRate: Float32Array.of(learningRate),
    });
    embeddings.set((out.embeddings as Float32Array).subarray(0, used * slots * width), rows[0]! * slots * width);
    for (let step = 0; step <= steps; step++) {
      for (let i = 0; i < used; i++) losses[rows[i]! * (steps + 1) + step] = out.losses[step * batch + i] as number;
      for (let i = 0; i < batch * slots; i++) {
        const norm = out.norms[step * batch * slots + i] as number;
        if (!(norm < 1)) throw new Error(`a soft embedding has norm ${norm} after step ${step}; it must be below 1`);
        largestNorms[step] = Math.max(largestNorms[step]!, norm);
      }
    }
  });
  const lengths = new Int32Array(count).fill(strength);
  return { slots, width, embeddings, lengths, positions, losses, largestNorms };
}
