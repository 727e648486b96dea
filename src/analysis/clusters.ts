import { auc, aucInterval } from "../stats/auc.js";
import { columnMeans } from "../stats/fisher.js";
import {
  type BootstrappedMean,
  bootstrapMeanDifferenceInterval,
  bootstrapMeanIntervals,
  type Interval,
  wilsonInterval,
} from "../stats/intervals.js";
import { mean, variance } from "../stats/moments.js";
import { bestLabelAccuracy, bestLabelChance, twoMeans } from "../stats/twoMeans.js";
import { bootstrapTwoSampleInterval } from "../stats/twoSample.js";

/** Activation vectors, one row a sample. [count, width] row-major */
export interface Vectors {
  readonly data: Float32Array;
  readonly width: number;
}

/** Class means, mu^S and mu^U. [width] each */
export interface ClassMeans {
  readonly safe: Float64Array;
  readonly unsafe: Float64Array;
}

/** A number with its sample size, 95% interval and null. */
export interface ClusterValue {
  readonly metric: string;
  readonly set?: string;
  readonly outcome?: "success" | "failure";
  readonly value: number;
  readonly n: number;
  readonly low?: number;
  readonly high?: number;
  readonly chance?: number;
}

export function rowsOf({ width, data }: Vectors): number {
  return data.length / width;
}

/**
 * One of two halves: the first two rounds over the branches, the fifth and sixth, ... or the others (with two branches rows 0..3, 8..11, ...).
 * Not every second row: sets alternate between their branches row by row, and a half must hold them all equally. Rounds come in pairs, so
 * that four rows a branch, the fewest, give each half two of every branch.
 */
export function half({ data, width }: Vectors, which: 0 | 1, branches: number): Vectors {
  const members = halfRows(data.length / width, which, branches);
  const out = new Float32Array(members.length * width);
  for (const [i, row] of members.entries()) out.set(data.subarray(row * width, (row + 1) * width), i * width);
  return { data: out, width };
}

/** Indices of the rows of a `half`. */
export function halfRows(count: number, which: 0 | 1, branches: number): number[] {
  return Array.from({ length: count }, (_, row) => row).filter((row) => Math.floor(row / (2 * branches)) % 2 === which);
}

export function classMeans(safe: Vectors, unsafe: Vectors): ClassMeans {
  return { safe: columnMeans(safe.data, safe.width), unsafe: columnMeans(unsafe.data, unsafe.width) };
}

/** tau(x) = |a - mu^U| - |a - mu^S| per row: positive is nearer to the safe mean. Method §3.1. [count] */
export function tau(vectors: Vectors, means: ClassMeans): Float64Array {
  return perRow(vectors, (a, at) => distance(a, at, means.unsafe) - distance(a, at, means.safe));
}

/** The scale-free twin of tau: cos(a, mu^S) - cos(a, mu^U) per row. [count] */
export function cosineTau(vectors: Vectors, means: ClassMeans): Float64Array {
  return perRow(vectors, (a, at) => cosine(a, at, means.safe) - cosine(a, at, means.unsafe));
}

/** |a| per row. [count] */
export function norms(vectors: Vectors): Float64Array {
  return perRow(vectors, (a, at) => Math.sqrt(squares(a, at, vectors.width)));
}

/** Projection on mu^S - mu^U per row, from which Fisher's criterion is taken. [count] */
export function projection(vectors: Vectors, means: ClassMeans): Float64Array {
  return perRow(vectors, (a, at) => {
    let total = 0;
    for (let i = 0; i < means.safe.length; i++) total += a[at + i]! * (means.safe[i]! - means.unsafe[i]!);
    return total;
  });
}

function perRow({ data, width }: Vectors, value: (data: Float32Array, at: number) => number): Float64Array {
  const out = new Float64Array(data.length / width);
  for (let row = 0; row < out.length; row++) out[row] = value(data, row * width);
  return out;
}

function distance(a: Float32Array, at: number, mu: Float64Array): number {
  let total = 0;
  for (let i = 0; i < mu.length; i++) total += (a[at + i]! - mu[i]!) ** 2;
  return Math.sqrt(total);
}

function squares(a: ArrayLike<number>, at: number, width: number): number {
  let total = 0;
  for (let i = 0; i < width; i++) total += a[at + i]! ** 2;
  return total;
}

function cosine(a: Float32Array, at: number, mu: Float64Array): number {
  let dot = 0;
  for (let i = 0; i < mu.length; i++) dot += a[at + i]! * mu[i]!;
  const scale = Math.sqrt(squares(a, at, mu.length) * squares(mu, 0, mu.length));
  return scale === 0 ? 0 : dot / scale;
}

/** Fisher's criterion of two groups of numbers: (mean difference)² / (sum of variances). */
export function fisherOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const spread = variance(a) + variance(b);
  return spread === 0 ? 0 : (mean(a) - mean(b)) ** 2 / spread;
}

export interface ClusterInput {
  /** Rows of both alternate over the branches. */
  readonly safe: Vectors;
  readonly unsafe: Vectors;
  /** How many branches there are. */
  readonly branches: number;
  /** Further sets, measured against the same means. */
  readonly others?: Readonly<Record<string, Vectors>>;
  /** Of further sets, which samples' attempts succeeded, 1 or 0: tau of both kinds apart, where both have enough. [count] each */
  readonly succeeded?: Readonly<Record<string, Uint8Array>>;
  /** Uniform in [0, 1), for the bootstrap. */
  readonly random: () => number;
  readonly resamples?: number;
}

/**
 * Measure 1 for one block: tau and its scale-free twins. One half of the safe and of the unsafe samples gives the class means, the other
 * half is measured, so that no sample pulls its own mean: the chance level of tau, cosine tau and the separation is then 0. The halves do not
 * change places: two folds that score each other are not independent, and their intervals would be too narrow where nothing is to be found.
 */
export function clusters({
  safe,
  unsafe,
  branches,
  others = {},
  succeeded = {},
  random,
  resamples = 1000,
}: ClusterInput): ClusterValue[] {
  const options = { random, resamples };
  const means = classMeans(half(safe, 0, branches), half(unsafe, 0, branches));
  const measured: Readonly<Record<string, Vectors>> = {
    safe: half(safe, 1, branches),
    unsafe: half(unsafe, 1, branches),
    ...others,
  };
  const [nSafe, nUnsafe] = [rowsOf(measured.safe!), rowsOf(measured.unsafe!)];
  const n = nSafe + nUnsafe;
  const values: ClusterValue[] = [];
  const score = (of: (vectors: Vectors) => Float64Array) =>
    new Map(Object.entries(measured).map(([set, vectors]) => [set, of(vectors)]));
  const scores = {
    tau: score((vectors) => tau(vectors, means)),
    "cosine-tau": score((vectors) => cosineTau(vectors, means)),
    norm: score(norms),
  };
  const { wholes, kinds } = scoreIntervals(scores, succeeded, options);
  const scored = (metric: keyof typeof scores, chance?: number) => {
    for (const [set, numbers] of scores[metric])
      values.push({
        metric,
        set,
        value: mean(numbers),
        n: numbers.length,
        ...wholes.get(`${metric} ${set}`)!,
        ...(chance !== undefined && { chance }),
      });
    return [scores[metric].get("safe")!, scores[metric].get("unsafe")!] as const;
  };
  const area = (metric: string, a: Float64Array, b: Float64Array) => {
    const value = auc(a, b);
    values.push({ metric, value, n, ...aucInterval(value, nSafe, nUnsafe), chance: 0.5 });
  };

  const [tauSafe, tauUnsafe] = scored("tau", 0);
  const separation = mean(tauSafe) - mean(tauUnsafe);
  values.push({
    metric: "separation",
    value: separation,
    n,
    ...bootstrapMeanDifferenceInterval(tauSafe, tauUnsafe, options),
    chance: 0,
  });
  area("auc", tauSafe, tauUnsafe);
  area("cosine-auc", ...scored("cosine-tau", 0));

  const [a, b] = [projection(measured.safe!, means), projection(measured.unsafe!, means)];
  // Two equal groups differ in their means by noise: E (mean a - mean b)² = v/n + v/m, over a spread of 2v.
  const chance = (1 / nSafe + 1 / nUnsafe) / 2;
  values.push({
    metric: "fisher",
    value: fisherOf(a, b),
    n,
    ...bootstrapTwoSampleInterval(a, b, fisherOf, options),
    chance,
  });

  values.push(unsupervised(safe, unsafe));
  scored("norm");
  values.push(...kinds);
  return values;
}

type Scores = Readonly<Record<string, ReadonlyMap<string, Float64Array>>>;

/**
 * Intervals of every mean score: of whole sets, by "METRIC SET", and values of successful and failed attempts apart. Scores of one set, and
 * of sets of one size, share their resamples, so the bootstrap costs little more for ten means than for one.
 */
function scoreIntervals(
  scores: Scores,
  succeeded: Readonly<Record<string, Uint8Array>>,
  options: { readonly random: () => number; readonly resamples: number },
): { readonly wholes: ReadonlyMap<string, Interval>; readonly kinds: readonly ClusterValue[] } {
  const asked: (BootstrappedMean & { readonly key: string; readonly kind?: ClusterValue })[] = [];
  for (const [metric, bySet] of Object.entries(scores))
    for (const [set, values] of bySet) asked.push({ key: `${metric} ${set}`, values });
  for (const [set, success] of Object.entries(succeeded)) {
    const successes = success.reduce((sum, one) => sum + one, 0);
    if (Math.min(successes, success.length - successes) < FEWEST_ATTEMPTS) continue;
    for (const metric of ["tau", "cosine-tau"])
      for (const outcome of ["success", "failure"] as const) {
        const values = scores[metric]!.get(set)!;
        const among = outcome === "success" ? success : success.map((one) => 1 - one);
        const members = values.filter((_, row) => among[row] === 1);
        const kind = { metric, set, outcome, value: mean(members), n: members.length, chance: 0 };
        asked.push({ key: `${metric} ${set} ${outcome}`, values, among, kind });
      }
  }
  const wholes = new Map<string, Interval>();
  const kinds: ClusterValue[] = [];
  for (const size of new Set(asked.map(({ values }) => values.length))) {
    const together = asked.filter(({ values }) => values.length === size);
    for (const [index, interval] of bootstrapMeanIntervals(together, options).entries()) {
      const { key, kind } = together[index]!;
      if (kind === undefined) wholes.set(key, interval);
      else kinds.push({ ...kind, ...interval });
    }
  }
  return { wholes, kinds };
}

/** Fewer attempts of a kind have no interval worth the name. */
export const FEWEST_ATTEMPTS = 8;

/** Accuracy of two clusters found without labels, under the better naming. */
function unsupervised(safe: Vectors, unsafe: Vectors): ClusterValue {
  const [nSafe, nUnsafe] = [rowsOf(safe), rowsOf(unsafe)];
  const points = new Float32Array(safe.data.length + unsafe.data.length);
  points.set(safe.data);
  points.set(unsafe.data, safe.data.length);
  const labels = Uint8Array.from({ length: nSafe + nUnsafe }, (_, i) => Number(i >= nSafe));
  const accuracy = bestLabelAccuracy(twoMeans(points, safe.width).assignment, labels);
  const n = labels.length;
  return {
    metric: "two-means",
    value: accuracy,
    n,
    ...wilsonInterval(Math.round(accuracy * n), n),
    chance: bestLabelChance(n),
  };
}
