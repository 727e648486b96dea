import { upperGamma } from "./gamma.js";
import type { Vector } from "./moments.js";

export interface ChiSquare {
  readonly statistic: number;
  readonly degreesOfFreedom: number;
  /** P(χ² ≥ statistic) when the expected shares are true. */
  readonly pValue: number;
}

/** χ² = Σ (Oᵢ − Eᵢ)² / Eᵢ. observed [k] counts, expected [k] counts, all positive. Throws RangeError when the lengths differ or an Eᵢ ≤ 0. */
export function chiSquareStatistic(observed: Vector, expected: Vector): number {
  if (observed.length !== expected.length)
    throw new RangeError(
      `Chi-square needs as many expected counts (${expected.length}) as observed ones (${observed.length}).`,
    );
  let statistic = 0;
  for (let i = 0; i < observed.length; i++) {
    const count = expected[i]!;
    if (!(count > 0)) throw new RangeError(`Chi-square needs positive expected counts; number ${i} is ${count}.`);
    statistic += (observed[i]! - count) ** 2 / count;
  }
  return statistic;
}

/** P(χ²_ν ≥ statistic) = Q(ν/2, statistic/2). `degreesOfFreedom` > 0. */
export function chiSquareUpperTail(statistic: number, degreesOfFreedom: number): number {
  return upperGamma(degreesOfFreedom / 2, statistic / 2);
}

/**
 * Pearson's goodness-of-fit test of counts against expected shares. observed [k] counts, shares [k], scaled to the observed total;
 * degrees of freedom k − 1 unless given. Pearson 1900.
 */
export function chiSquareTest(
  observed: Vector,
  shares: Vector,
  degreesOfFreedom: number = observed.length - 1,
): ChiSquare {
  let total = 0;
  let weight = 0;
  for (let i = 0; i < observed.length; i++) total += observed[i]!;
  for (let i = 0; i < shares.length; i++) weight += shares[i]!;
  const expected = Float64Array.from(shares, (share) => (share / weight) * total);
  const statistic = chiSquareStatistic(observed, expected);
  return { statistic, degreesOfFreedom, pValue: chiSquareUpperTail(statistic, degreesOfFreedom) };
}
