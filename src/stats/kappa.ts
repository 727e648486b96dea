import { type Interval, Z95 } from "./intervals.js";

/** Two judges on the same samples, each saying yes or no: how many samples got which pair of answers. */
export interface TwoByTwo {
  readonly yesYes: number;
  readonly yesNo: number;
  readonly noYes: number;
  readonly noNo: number;
}

export interface Agreement extends Interval {
  /** κ = (pₒ − pₑ) / (1 − pₑ): 1 full agreement, 0 what chance alone gives. NaN where both judges give one and the same answer to all. */
  readonly kappa: number;
  /** pₒ: share of samples with equal answers. */
  readonly observed: number;
  /** pₑ: the share that independent judges with the same frequencies would reach. */
  readonly expected: number;
  readonly n: number;
}

/**
 * Cohen's kappa with its large-sample 95% interval, κ ± z √(v / n), cut at ±1:
 * v = (Σ pᵢᵢ [1 − (pᵢ. + p.ᵢ)(1 − κ)]² + (1 − κ)² Σ_{i≠j} pᵢⱼ (p.ᵢ + pⱼ.)² − [κ − pₑ(1 − κ)]²) / (1 − pₑ)².
 * Cohen 1960; Fleiss, Cohen and Everitt 1969. At full agreement the formula's interval is the point 1: read n beside it.
 */
export function cohenKappa({ yesYes, yesNo, noYes, noNo }: TwoByTwo): Agreement {
  const n = yesYes + yesNo + noYes + noNo;
  const p = [
    [yesYes / n, yesNo / n],
    [noYes / n, noNo / n],
  ] as const;
  const rows = [p[0][0] + p[0][1], p[1][0] + p[1][1]] as const;
  const columns = [p[0][0] + p[1][0], p[0][1] + p[1][1]] as const;
  const observed = p[0][0] + p[1][1];
  const expected = rows[0] * columns[0] + rows[1] * columns[1];
  const kappa = (observed - expected) / (1 - expected);
  if (!(expected < 1)) return { kappa: Number.NaN, observed, expected, n, low: Number.NaN, high: Number.NaN };
  const agreeing =
    p[0][0] * (1 - (rows[0] + columns[0]) * (1 - kappa)) ** 2 +
    p[1][1] * (1 - (rows[1] + columns[1]) * (1 - kappa)) ** 2;
  const differing = (1 - kappa) ** 2 * (p[0][1] * (columns[0] + rows[1]) ** 2 + p[1][0] * (columns[1] + rows[0]) ** 2);
  const variance = (agreeing + differing - (kappa - expected * (1 - kappa)) ** 2) / (1 - expected) ** 2;
  const half = Z95 * Math.sqrt(Math.max(0, variance) / n);
  return { kappa, observed, expected, n, low: Math.max(-1, kappa - half), high: Math.min(1, kappa + half) };
}
