import { auc, aucInterval } from "../stats/auc.js";
import { columnMeans } from "../stats/fisher.js";
import {
  bootstrapMeanDifferenceInterval,
  bootstrapMeanInterval,
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
 * One of the two halves that lend each other their means: rows 0..3, 8..11, ... or the others. Not every second row: sets alternate
 * between their branches row by row, and a half must hold them all.
 */
export function half({ data, width }: Vectors, which: 0 | 1): Vectors {
  const count = data.length / width;
  const members = Array.from({ length: count }, (_, row) => row).filter((row) => Math.floor(row / 4) % 2 === which);
  const out = new Float32Array(members.length * width);
  for (const [i, row] of members.entries()) out.set(data.subarray(row * width, (row + 1) * width), i * width);
  return { data: out, width };
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

/** Scores of safe and unsafe samples, each against means of the half it is not in. */
function crossFitted(
  safe: Vectors,
  unsafe: Vectors,
  score: (vectors: Vectors, means: ClassMeans) => Float64Array,
): { safe: Float64Array; unsafe: Float64Array } {
  const folds = ([0, 1] as const).map((fold) => {
    const means = classMeans(half(safe, fold === 0 ? 1 : 0), half(unsafe, fold === 0 ? 1 : 0));
    return { safe: score(half(safe, fold), means), unsafe: score(half(unsafe, fold), means) };
  });
  const join = (key: "safe" | "unsafe") => Float64Array.from(folds.flatMap((fold) => [...fold[key]]));
  return { safe: join("safe"), unsafe: join("unsafe") };
}

/** Fisher's criterion of two groups of numbers: (mean difference)² / (sum of variances). */
export function fisherOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const spread = variance(a) + variance(b);
  return spread === 0 ? 0 : (mean(a) - mean(b)) ** 2 / spread;
}

export interface ClusterInput {
  readonly safe: Vectors;
  readonly unsafe: Vectors;
  /** Further sets, measured against the means of all safe and all unsafe samples. */
  readonly others?: Readonly<Record<string, Vectors>>;
  /** Uniform in [0, 1), for the bootstrap. */
  readonly random: () => number;
  readonly resamples?: number;
}

/**
 * Measure 1 for one block: tau and its scale-free twins. Safe and unsafe samples are scored against class means of the half they are not in,
 * so that no sample pulls its own mean; the chance level of tau, cosine tau and the separation is then 0.
 */
export function clusters({ safe, unsafe, others = {}, random, resamples = 1000 }: ClusterInput): ClusterValue[] {
  const options = { random, resamples };
  const [nSafe, nUnsafe] = [rowsOf(safe), rowsOf(unsafe)];
  const n = nSafe + nUnsafe;
  const all = classMeans(safe, unsafe);
  const mean95 = (metric: string, set: string, values: Float64Array, chance?: number): ClusterValue => ({
    metric,
    set,
    value: mean(values),
    n: values.length,
    ...bootstrapMeanInterval(values, options),
    ...(chance !== undefined && { chance }),
  });
  const values: ClusterValue[] = [];
  for (const [metric, score] of [
    ["tau", tau],
    ["cosine-tau", cosineTau],
  ] as const) {
    const fitted = crossFitted(safe, unsafe, score);
    values.push(mean95(metric, "safe", fitted.safe, 0), mean95(metric, "unsafe", fitted.unsafe, 0));
    for (const [set, vectors] of Object.entries(others)) values.push(mean95(metric, set, score(vectors, all), 0));
    const difference = bootstrapMeanDifferenceInterval(fitted.safe, fitted.unsafe, options);
    if (metric === "tau")
      values.push({
        metric: "separation",
        value: mean(fitted.safe) - mean(fitted.unsafe),
        n,
        ...difference,
        chance: 0,
      });
    const area = auc(fitted.safe, fitted.unsafe);
    values.push({
      metric: metric === "tau" ? "auc" : "cosine-auc",
      value: area,
      n,
      ...aucInterval(area, nSafe, nUnsafe),
      chance: 0.5,
    });
  }
  values.push(fisher(safe, unsafe, options), unsupervised(safe, unsafe));
  for (const [set, vectors] of Object.entries({ safe, unsafe, ...others }))
    values.push(mean95("norm", set, norms(vectors)));
  return values;
}

/** Fisher's criterion along the held-out mean difference, averaged over the two halves; its null is the share that sampling noise alone gives. */
function fisher(
  safe: Vectors,
  unsafe: Vectors,
  options: { readonly random: () => number; readonly resamples: number },
): ClusterValue {
  const folds = ([0, 1] as const).map((fold) => {
    const means = classMeans(half(safe, fold === 0 ? 1 : 0), half(unsafe, fold === 0 ? 1 : 0));
    const [a, b] = [projection(half(safe, fold), means), projection(half(unsafe, fold), means)];
    // Two equal groups differ in their means by noise: E (mean a - mean b)² = v/n + v/m, over a spread of 2v.
    return {
      value: fisherOf(a, b),
      interval: bootstrapTwoSampleInterval(a, b, fisherOf, options),
      chance: (1 / a.length + 1 / b.length) / 2,
    };
  });
  const average = (value: (fold: (typeof folds)[number]) => number) => mean(folds.map(value));
  const bounds: Interval = { low: average((fold) => fold.interval.low), high: average((fold) => fold.interval.high) };
  return {
    metric: "fisher",
    value: average((fold) => fold.value),
    n: rowsOf(safe) + rowsOf(unsafe),
    ...bounds,
    chance: average((fold) => fold.chance),
  };
}

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
