import { permutation, randomKey, uniform } from "../random/index.js";
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
 * How many leading tokens of a row belong to its prompt and score nothing when answers are trained, whatever the row: those before EOT, which
 * stands behind the longest text in an aligned layout and behind the shortest at the earliest in a packed one.
 */
export function sharedPromptTokens({
  layout,
  minText,
  maxText,
}: Pick<World, "layout" | "minText" | "maxText">): number {
  return TEXT_START + (layout === "aligned" ? maxText : minText);
}

/**
 * Samples as next-token prediction: the model reads all but the last token [count, time - 1]; at each scored position t it predicts token
 * t + 1. Rows that score fewer than `scored` positions fill up with position 0 at weight 0. [count, scored]
 */
export function nextTokenBatch(samples: Samples, scored: number, scoredOf: (row: number) => Scored): Required<Batch> {
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

/** Both answers of safety tuning's prompts. Method §2. */
export interface TuningAnswers {
  /** The true output for safe samples, NULLs for unsafe ones. */
  readonly preferred: Samples;
  /** The other one. */
  readonly rejected: Samples;
}

/** Gives each sample its preferred and its rejected answer. `refuse`: whether a row's preferred answer is the refusal; by default what its label says. */
export function tuningAnswers(
  samples: Samples,
  nullToken: number,
  refuse: (row: number) => boolean = (row) => samples.label[row] === UNSAFE,
): TuningAnswers {
  const preferred = withNullAnswer(samples, nullToken);
  const rejected = { ...samples, tokens: samples.tokens.slice() };
  for (let row = 0; row < samples.count; row++) {
    if (refuse(row)) continue;
    const [from, to] = [row * samples.time, (row + 1) * samples.time];
    rejected.tokens.set(preferred.tokens.subarray(from, to), from);
    preferred.tokens.set(samples.tokens.subarray(from, to), from);
  }
  return { preferred, rejected };
}

const UNSAFE = LABELS.indexOf("unsafe");

export interface TuningBatches {
  readonly seed: number;
  /** Prompts of a batch. */
  readonly batch: number;
  /** The rejected answers too: they follow the preferred ones, the prompts in the same order. */
  readonly rejected?: boolean;
  /** Permutes the safe and unsafe labels among the samples of each batch: tuning without a rule, a null for what tuning with one does. */
  readonly shuffled?: boolean;
}

/** Batches of safety tuning: every prompt with its preferred answer, and with `rejected` its rejected answer as well. */
export function tuningBatches(
  world: World,
  { seed, batch, rejected = false, shuffled = false }: TuningBatches,
): (step: number) => Batch {
  const key = randomKey(seed, "shuffled labels");
  const scored = scoredPositions(world);
  return (step) => {
    const samples = tuningSamples(world, { seed, step, count: batch });
    const order = shuffled ? permutation(key, step, batch) : undefined;
    const answers = tuningAnswers(
      samples,
      world.vocabulary.nullToken,
      order && ((row) => samples.label[order[row]!] === UNSAFE),
    );
    const preferred = nextTokenBatch(answers.preferred, scored, () => "answer");
    return rejected
      ? joinBatches(
          preferred,
          nextTokenBatch(answers.rejected, scored, () => "answer"),
        )
      : preferred;
  };
}

/** The rows of two batches, one batch after the other. */
function joinBatches(a: Required<Batch>, b: Required<Batch>): Batch {
  return {
    tokens: joined(a.tokens, b.tokens),
    positions: joined(a.positions, b.positions),
    targets: joined(a.targets, b.targets),
    weights: joined(a.weights, b.weights),
  };
}

function joined<T extends Int32Array | Float32Array>(a: T, b: T): T {
  const both = a instanceof Int32Array ? new Int32Array(2 * a.length) : new Float32Array(2 * a.length);
  both.set(a);
  both.set(b, a.length);
  return both as T;
}

export interface ContinueBatches {
  readonly seed: number;
  readonly batch: number;
  /** Steps of pretraining: the samples go on where it ended, so that none is seen twice. */
  readonly from: number;
  /** Share of samples that train the text, as at pretraining's last step. */
  readonly textShare: number;
}

/** Batches of plain instruction tuning on the whole pretraining mix: what the `continue` control trains on instead of safety tuning. */
export function continueBatches(
  world: World,
  { seed, batch, from, textShare }: ContinueBatches,
): (step: number) => Batch {
  const batchAt = pretrainBatches(world, { seed, batch, steps: 1, textShare: [textShare, textShare] });
  return (step) => batchAt(from + step);
}
