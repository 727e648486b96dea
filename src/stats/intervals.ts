import { mean, sortedQuantile, standardDeviation, type Vector } from "./moments.js";
import { studentQuantile } from "./student.js";

/** A confidence interval, in the unit of the quantity. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** How many times the sample is drawn again; 1,000 puts the Monte Carlo error of a 95% bound near 3% of its width. */
  readonly resamples?: number;
  /** Uniform in [0, 1). Handed in, so that the caller decides the seed and the key; nothing here is random by itself. */
  readonly random: () => number;
  /** Share of the repetitions that the interval is to cover. */
  readonly level?: number;
}

/** Φ⁻¹(0.975): the standard normal quantile of a two-sided 95% interval. */
export const Z95 = 1.959963984540054;

/**
 * Wilson's score interval of a proportion: the p with |p̂ − p| ≤ z √(p (1 − p) / n). Holds its level near 0 and 1, where
 * most of our shares lie. `successes` of `n` trials; NaN bounds when n = 0. Wilson 1927.
 */
export function wilsonInterval(successes: number, n: number, z: number = Z95): Interval {
  if (!(n >= 0 && successes >= 0 && successes <= n))
    throw new RangeError(`A proportion needs 0 <= successes <= n, not ${successes} of ${n}.`);
  if (n === 0) return { low: Number.NaN, high: Number.NaN };
  const share = successes / n;
  const centre = share + z ** 2 / (2 * n);
  const half = z * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  const scale = 1 + z ** 2 / n;
  // The bounds are exactly 0 and 1 at the ends; rounding must not leave them a hair inside.
  return {
    low: successes === 0 ? 0 : Math.max(0, (centre - half) / scale),
    high: successes === n ? 1 : Math.min(1, (centre + half) / scale),
  };
}

/**
 * Percentile bootstrap interval of any statistic: draw n values with replacement, `resamples` times, and take the quantiles of the
 * statistic. values [n]; the sample handed to `statistic` [n] is reused between calls. NaN bounds when empty. Efron 1979.
 */
export function bootstrapInterval(
  values: Vector,
  statistic: (sample: Float64Array) => number,
  { resamples = 1000, random, level = 0.95 }: BootstrapOptions,
): Interval {
  if (statistic === mean) return bootstrapMeanInterval(values, { resamples, random, level });
  const sample = new Float64Array(values.length);
  const estimates = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < sample.length; i++) sample[i] = values[Math.floor(random() * values.length)]!;
    estimates[r] = statistic(sample);
  }
  return percentileInterval(estimates, level);
}

/** Percentile bootstrap interval of the mean, without building the samples. values [n]; NaN bounds when empty. */
export function bootstrapMeanInterval(
  values: Vector,
  { resamples = 1000, random, level = 0.95 }: BootstrapOptions,
): Interval {
  const estimates = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) estimates[r] = resampledMean(values, random);
  return percentileInterval(estimates, level);
}

/** Values whose mean is bootstrapped, over all of them or over those that `among` marks with 1. [n] each */
export interface BootstrappedMean {
  readonly values: Vector;
  readonly among?: Vector;
}

/**
 * Percentile bootstrap intervals of several means of one sample of n, each as `bootstrapMeanInterval` would give it, for the price of one
 * set of draws: a resample's indices serve every mean. A resample without any marked value counts as the mean itself.
 * Throws RangeError when lengths differ.
 */
export function bootstrapMeanIntervals(
  means: readonly BootstrappedMean[],
  { resamples = 1000, random, level = 0.95 }: BootstrapOptions,
): Interval[] {
  const n = means[0]?.values.length ?? 0;
  if (means.some(({ values, among = values }) => values.length !== n || among.length !== n))
    throw new RangeError("means of one sample have vectors of one length");
  const indices = new Int32Array(n);
  const estimates = means.map(() => new Float64Array(resamples));
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < n; i++) indices[i] = Math.floor(random() * n);
    for (const [which, { values, among }] of means.entries())
      estimates[which]![r] = among === undefined ? meanAt(values, indices) : markedMeanAt(values, among, indices);
  }
  return estimates.map((one) => percentileInterval(one, level));
}

function meanAt(values: Vector, indices: Int32Array): number {
  let total = 0;
  for (let i = 0; i < indices.length; i++) total += values[indices[i]!]!;
  return total / indices.length;
}

function markedMeanAt(values: Vector, among: Vector, indices: Int32Array): number {
  let [total, count] = [0, 0];
  for (let i = 0; i < indices.length; i++) {
    const at = indices[i]!;
    const mark = among[at]!;
    total += mark * values[at]!;
    count += mark;
  }
  if (count > 0) return total / count;
  for (let i = 0; i < values.length; i++) {
    total += among[i]! * values[i]!;
    count += among[i]!;
  }
  return total / count;
}

/**
 * Percentile bootstrap interval of mean(a) − mean(b) of two independent groups, each drawn again on its own.
 * a [n], b [m]; NaN bounds when either is empty.
 */
export function bootstrapMeanDifferenceInterval(
  a: Vector,
  b: Vector,
  { resamples = 1000, random, level = 0.95 }: BootstrapOptions,
): Interval {
  const estimates = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) estimates[r] = resampledMean(a, random) - resampledMean(b, random);
  return percentileInterval(estimates, level);
}

/**
 * Percentile bootstrap interval of the mean over seeds, in two stages: draw seeds with replacement, then samples within each drawn seed.
 * The interval widens with the spread between seeds as well as within them. groups: one vector of samples per seed.
 */
export function bootstrapSeedsInterval(
  groups: readonly Vector[],
  { resamples = 1000, random, level = 0.95 }: BootstrapOptions,
): Interval {
  const estimates = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    let total = 0;
    for (let g = 0; g < groups.length; g++)
      total += resampledMean(groups[Math.floor(random() * groups.length)]!, random);
    estimates[r] = total / groups.length;
  }
  return percentileInterval(estimates, level);
}

/**
 * Student's interval of the mean, x̄ ± t s / √n: the one to use over seeds, where three to ten values are too few to bootstrap.
 * values [n], one per seed. Unbounded (−∞, ∞) when n = 1, for one seed says nothing of the others; NaN bounds when empty.
 */
export function seedInterval(values: Vector, level = 0.95): Interval {
  const n = values.length;
  if (n === 0) return { low: Number.NaN, high: Number.NaN };
  if (n === 1) return { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  const half = (studentQuantile(0.5 + level / 2, n - 1) * standardDeviation(values)) / Math.sqrt(n);
  const centre = mean(values);
  return { low: centre - half, high: centre + half };
}

/** The quantiles (1 − level) / 2 and (1 + level) / 2 of bootstrap estimates. estimates [resamples]. */
export function percentileInterval(estimates: Vector, level = 0.95): Interval {
  const sorted = Float64Array.from(estimates).sort();
  if (sorted.length === 0 || Number.isNaN(sorted[sorted.length - 1]!)) return { low: Number.NaN, high: Number.NaN };
  return { low: sortedQuantile(sorted, (1 - level) / 2), high: sortedQuantile(sorted, (1 + level) / 2) };
}

/** The mean of as many values as there are, drawn with replacement. */
function resampledMean(values: Vector, random: () => number): number {
  const n = values.length;
  let total = 0;
  for (let i = 0; i < n; i++) total += values[Math.floor(random() * n)]!;
  return total / n;
}
