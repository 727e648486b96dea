import { CholeskyDecomposition, Matrix } from "ml-matrix";
import { permutation, type RandomKey } from "../random/index.js";
import type { Interval } from "../stats/intervals.js";
import { mean } from "../stats/moments.js";
import { bootstrapTwoSampleInterval } from "../stats/twoSample.js";
import type { Vectors } from "./clusters.js";

/** A linear probe: w . z + b > 0 says 1, z the vector in units of the training set's spread. */
export interface Probe {
  /** [width] each */
  readonly mean: Float64Array;
  readonly scale: Float64Array;
  readonly weights: Float64Array;
  readonly bias: number;
}

/** Newton's method on a strictly convex loss: what is not there after so many steps will not come. */
const MOST_STEPS = 50;
/** On the largest component of a step, in units of weights of standardised features: Newton's next step would be about its square. */
const CONVERGED = 1e-6;

/**
 * Logistic regression with an L2 penalty: min over w, b of sum_i s_i log(1 + e^(-y_i (w . z_i + b))) + l2 / 2 |w|^2, y = +-1, by Newton's
 * method (IRLS). z: standardised by the training set. s_i = n / (2 n_class), so that both classes weigh the same. l2 = 1 is scikit-learn's
 * default with class_weight="balanced". Deterministic. labels [count], 0 or 1.
 * @throws RangeError when a class has no sample.
 */
export function fitProbe({ data, width }: Vectors, labels: ArrayLike<number>, { l2 = 1 } = {}): Probe {
  const count = data.length / width;
  const ones = Array.from(labels).reduce((total, label) => total + label, 0);
  if (labels.length !== count) throw new RangeError(`${labels.length} labels for ${count} samples`);
  if (ones === 0 || ones === count)
    throw new RangeError(`a probe needs samples of both classes, not ${ones} of ${count}`);
  const { centre, scale } = spread({ data, width });
  const size = width + 1; // the last is the bias
  const z = new Float64Array(count * size).fill(1);
  for (let row = 0; row < count; row++)
    for (let i = 0; i < width; i++) z[row * size + i] = (data[row * width + i]! - centre[i]!) / scale[i]!;
  const weightOf = [count / (2 * (count - ones)), count / (2 * ones)];

  const loss = (w: Float64Array) => {
    let total = 0;
    for (let i = 0; i < width; i++) total += (l2 / 2) * w[i]! ** 2;
    for (let row = 0; row < count; row++) {
      const margin = (labels[row] === 1 ? 1 : -1) * dot(z, row * size, w);
      total += weightOf[labels[row]!]! * (Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin))));
    }
    return total;
  };
  let w: Float64Array = new Float64Array(size);
  let value = loss(w);
  for (let step = 0; step < MOST_STEPS; step++) {
    const direction = newtonDirection({ z, labels, weightOf, w, l2 });
    // Full steps may overshoot where the classes lie far apart.
    let [length, next, nextValue] = [1, w, value];
    do {
      next = w.map((one, i) => one - length * direction[i]!);
      nextValue = loss(next);
      length /= 2;
    } while (nextValue > value && length > 1e-6);
    if (nextValue > value) break;
    [w, value] = [next, nextValue];
    if (Math.max(...direction.map(Math.abs)) < CONVERGED) break;
  }
  return { mean: centre, scale, weights: w.slice(0, width), bias: w[width]! };
}

/** H^-1 g of the penalised loss at w. */
function newtonDirection({
  z,
  labels,
  weightOf,
  w,
  l2,
}: {
  readonly z: Float64Array;
  readonly labels: ArrayLike<number>;
  readonly weightOf: readonly number[];
  readonly w: Float64Array;
  readonly l2: number;
}): number[] {
  const size = w.length;
  const gradient = Float64Array.from(w, (one, i) => (i < size - 1 ? l2 * one : 0));
  const hessian = new Float64Array(size * size);
  // On the bias too, but only as much as keeps the factorisation away from 0 when every sample is far from the boundary.
  for (let i = 0; i < size; i++) hessian[i * size + i] = i < size - 1 ? l2 : 1e-9;
  for (let row = 0; row < labels.length; row++) {
    const at = row * size;
    const p = 1 / (1 + Math.exp(-dot(z, at, w)));
    const weight = weightOf[labels[row]!]!;
    const [slope, curve] = [weight * (p - labels[row]!), weight * p * (1 - p)];
    for (let i = 0; i < size; i++) {
      gradient[i]! += slope * z[at + i]!;
      const scaled = curve * z[at + i]!;
      for (let j = 0; j <= i; j++) hessian[i * size + j]! += scaled * z[at + j]!;
    }
  }
  for (let i = 0; i < size; i++) for (let j = i + 1; j < size; j++) hessian[i * size + j] = hessian[j * size + i]!;
  const factor = new CholeskyDecomposition(Matrix.from1DArray(size, size, hessian));
  return factor.solve(Matrix.columnVector(Array.from(gradient))).to1DArray();
}

function dot(z: Float64Array, at: number, w: Float64Array): number {
  let total = 0;
  for (let i = 0; i < w.length; i++) total += z[at + i]! * w[i]!;
  return total;
}

/** Mean and standard deviation of each column; a constant column, to float32's precision, is left in its units. */
function spread({ data, width }: Vectors): { readonly centre: Float64Array; readonly scale: Float64Array } {
  const count = data.length / width;
  const [centre, scale] = [new Float64Array(width), new Float64Array(width)];
  for (let i = 0; i < data.length; i++) centre[i % width]! += data[i]! / count;
  for (let i = 0; i < data.length; i++) scale[i % width]! += (data[i]! - centre[i % width]!) ** 2 / count;
  return { centre, scale: scale.map((one, i) => (Math.sqrt(one) > 1e-7 * Math.abs(centre[i]!) ? Math.sqrt(one) : 1)) };
}

/** What the probe says of each row, 1 or 0. [count] */
export function predictProbe({ mean: centre, scale, weights, bias }: Probe, { data, width }: Vectors): Uint8Array {
  return Uint8Array.from({ length: data.length / width }, (_, row) => {
    let total = bias;
    for (let i = 0; i < width; i++) total += weights[i]! * ((data[row * width + i]! - centre[i]!) / scale[i]!);
    return Number(total > 0);
  });
}

/** Samples with their labels, 0 or 1. */
export interface Labelled {
  readonly vectors: Vectors;
  readonly labels: Uint8Array;
}

/** Balanced accuracy with its interval and its null. */
export interface ProbeAccuracy extends Interval {
  readonly value: number;
  readonly n: number;
  /** Mean balanced accuracy of probes whose training labels were permuted. */
  readonly chance: number;
}

export interface ProbeOptions {
  readonly l2?: number;
  /** How many permutations the null is the mean of. */
  readonly permutations?: number;
  readonly key: RandomKey;
  /** Of the bootstrap. */
  readonly random: () => number;
}

/** Fewer samples of a class, in training or in measuring, say nothing of a probe. */
const FEWEST = 4;

/**
 * How well a linear probe, fitted on `train`, tells the labels of `test` that it never saw: balanced accuracy, the mean of the shares of 1s and of 0s
 * that are told right, 0.5 for whoever guesses, whatever the majority. Undefined where a class has fewer than four samples in either part.
 */
export function probeAccuracy(
  train: Labelled,
  test: Labelled,
  { l2 = 1, permutations = 4, key, random }: ProbeOptions,
): ProbeAccuracy | undefined {
  for (const { labels } of [train, test]) {
    const ones = labels.reduce((total, label) => total + label, 0);
    if (Math.min(ones, labels.length - ones) < FEWEST) return undefined;
  }
  const hits = hitsOf(fitProbe(train.vectors, train.labels, { l2 }), test);
  const nulls = Array.from({ length: permutations }, (_, index) => {
    const order = permutation(key, index, train.labels.length);
    const labels = train.labels.map((_, row) => train.labels[order[row]!]!);
    return balanced(...hitsOf(fitProbe(train.vectors, labels, { l2 }), test));
  });
  return {
    value: balanced(...hits),
    n: test.labels.length,
    ...bootstrapTwoSampleInterval(...hits, balanced, { random }),
    chance: mean(nulls),
  };
}

function balanced(zeros: ArrayLike<number>, ones: ArrayLike<number>): number {
  return (mean(zeros) + mean(ones)) / 2;
}

/** 1 where the probe is right: of the rows labelled 0, and of those labelled 1. */
function hitsOf(probe: Probe, { vectors, labels }: Labelled): [Float64Array, Float64Array] {
  const said = predictProbe(probe, vectors);
  const of = (label: number) =>
    Float64Array.from(
      [...labels.keys()].filter((row) => labels[row] === label),
      (row) => Number(said[row] === label),
    );
  return [of(0), of(1)];
}
