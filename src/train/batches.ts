import { randomKey, uniform } from "../random/index.js";
import { LABELS, pretrainSamples, type Samples, tuningSamples, type World, withNullAnswer } from "../world/index.js";
import type { Batch } from "./loop.js";
import { linearSchedule } from "./schedule.js";

/** Which tokens of a row train: its text (language modelling), or its answer and EOS. */
export type Scored = "text" | "answer";

/** First and last + 1 index of the scored tokens of a row. */
function scoredSpan(samples: Samples, row: number, scored: Scored): readonly [number, number] {
  const length = samples.textLength[row]!;
  if (scored === "text") return [TEXT_START, TEXT_START + length];
  const start = samples.answerStart[row]!;
  return [start, start + length + 1];
}

/** BOS t_i t_j SOT stand before the text. */
export const TEXT_START = 4;

/** How many positions a row of a world can have scored at most: its longest answer and EOS. */
export function scoredPositions(world: World): number {
  return world.maxText + 1;
}

/**
 * Samples as next-token prediction: the model reads all but the last token [count, time - 1]; at each scored position t it predicts token
 * t + 1. Rows that score fewer than `scored` positions fill up with position 0 at weight 0. [count, scored]
 */
export function nextTokenBatch(samples: Samples, scored: number, scoredOf: (row: number) => Scored): Batch {
  const { count, time } = samples;
  const length = time - 1;
  const tokens = new Int32Array(count * length);
  const positions = new Int32Array(count * scored);
  const targets = new Int32Array(count * scored);
  const weights = new Float32Array(count * scored);
  for (let row = 0; row < count; row++) {
    const from = row * time;
    tokens.set(samples.tokens.subarray(from, from + length), row * length);
    const [start, end] = scoredSpan(samples, row, scoredOf(row));
    for (let t = start, to = row * scored; t < end; t++, to++) {
      positions[to] = t - 1;
      targets[to] = samples.tokens[from + t]!;
      weights[to] = 1;
    }
  }
  return { tokens, positions, targets, weights };
}

export interface PretrainBatches {
  readonly seed: number;
  readonly batch: number;
  readonly steps: number;
  /** Share of samples that train the text at the first and at the last step. */
  readonly textShare: readonly [number, number];
}

/** Batches of pretraining: the share of rows that train the text falls linearly, the others train the output. Method §2. */
export function pretrainBatches(
  world: World,
  { seed, batch, steps, textShare }: PretrainBatches,
): (step: number) => Batch {
  const key = randomKey(seed, "curriculum");
  return (step) => {
    const samples = pretrainSamples(world, { seed, step, count: batch });
    const share = linearSchedule(step, steps, ...textShare);
    return nextTokenBatch(samples, scoredPositions(world), (row) =>
      uniform(key, step, row) < share ? "text" : "answer",
    );
  };
}

/** The preferred answers of safety tuning: the true output for safe samples, NULLs for unsafe ones. Method §2. */
export function preferredAnswers(samples: Samples, nullToken: number): Samples {
  const refused = withNullAnswer(samples, nullToken);
  const unsafe = LABELS.indexOf("unsafe");
  for (let row = 0; row < samples.count; row++)
    if (samples.label[row] !== unsafe)
      refused.tokens.set(samples.tokens.subarray(row * samples.time, (row + 1) * samples.time), row * samples.time);
  return refused;
}

/** Batches of safety tuning with their preferred answers. */
export function tuningBatches(
  world: World,
  { seed, batch }: { readonly seed: number; readonly batch: number },
): (step: number) => Batch {
  return (step) => {
    const samples = tuningSamples(world, { seed, step, count: batch });
    return nextTokenBatch(
      preferredAnswers(samples, world.vocabulary.nullToken),
      scoredPositions(world),
      () => "answer",
    );
  };
}
