import { type BootstrapOptions, type Interval, percentileInterval } from "./intervals.js";
import type { Vector } from "./moments.js";

/**
 * Percentile bootstrap interval of any statistic of two independent groups, each drawn again on its own. a [n], b [m]; the samples handed
 * to `statistic` are reused between calls. NaN bounds when either is empty. Efron 1979.
 */
export function bootstrapTwoSampleInterval(
  a: Vector,
  b: Vector,
  statistic: (a: Float64Array, b: Float64Array) => number,
  { resamples = 1000, random, level = 0.95 }: BootstrapOptions,
): Interval {
  const [sampleA, sampleB] = [new Float64Array(a.length), new Float64Array(b.length)];
  const estimates = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < sampleA.length; i++) sampleA[i] = a[Math.floor(random() * a.length)]!;
    for (let i = 0; i < sampleB.length; i++) sampleB[i] = b[Math.floor(random() * b.length)]!;
    estimates[r] = a.length === 0 || b.length === 0 ? Number.NaN : statistic(sampleA, sampleB);
  }
  return percentileInterval(estimates, level);
}
