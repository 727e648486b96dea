import { type BootstrapOptions, bootstrapMeanInterval, type Interval } from "./intervals.js";
import { mean, type Vector } from "./moments.js";

export interface PairedDifference extends Interval {
  /** mean(afterᵢ − beforeᵢ), in the unit of the values. */
  readonly value: number;
  readonly n: number;
  /** Two-sided: how often random signs on the differences give a mean at least as far from 0. */
  readonly pValue: number;
}

/**
 * The mean change of the same n samples between two conditions: percentile bootstrap over pairs for the interval, random sign flips for
 * the p-value, (1 + #{|mean(±d)| ≥ |mean(d)|}) / (1 + resamples). before [n], after [n]. Throws RangeError when the lengths differ. Fisher 1935.
 */
export function pairedDifference(before: Vector, after: Vector, options: BootstrapOptions): PairedDifference {
  if (before.length !== after.length)
    throw new RangeError(`Pairs need equally many values before (${before.length}) and after (${after.length}).`);
  const { resamples = 1000, random } = options;
  const differences = Float64Array.from(after, (value, i) => value - before[i]!);
  const value = mean(differences);
  const interval = bootstrapMeanInterval(differences, options);
  // Sums in another order differ in their last bits; without this margin an equal mean would not count as equal.
  const threshold = Math.abs(value) * (1 - 1e-12);
  let asFar = 1;
  for (let r = 0; r < resamples; r++) {
    let total = 0;
    for (const difference of differences) total += random() < 0.5 ? difference : -difference;
    if (Math.abs(total / differences.length) >= threshold) asFar++;
  }
  return { value, n: differences.length, pValue: asFar / (1 + resamples), ...interval };
}
