import { type Interval, percentileInterval } from "../stats/intervals.js";
import { crossing } from "./interventions.js";

export interface AlphaStar extends Interval {
  readonly value: number;
  /** Samples. */
  readonly n: number;
}

/**
 * alpha*, the alpha at which half of the samples are refused whole, with a percentile bootstrap over samples: a drawn sample brings its outcomes at
 * every alpha. alphas [m] ascending, refused [m][n] of 0 and 1. A resample that refuses half already at the first alpha counts as that alpha, and one that never
 * does as the last, so an interval that ends at an end of the path is open there. undefined where the share does not cross.
 */
export function alphaStar(
  alphas: readonly number[],
  refused: readonly ArrayLike<number>[],
  { random, resamples = 1000 }: { readonly random: () => number; readonly resamples?: number },
): AlphaStar | undefined {
  const n = refused[0]!.length;
  const share = (outcomes: ArrayLike<number>, rows: Int32Array) =>
    rows.reduce((sum, row) => sum + outcomes[row]!, 0) / n;
  const every = Int32Array.from({ length: n }, (_, row) => row);
  const value = crossing(
    alphas,
    refused.map((outcomes) => share(outcomes, every)),
  );
  if (value === undefined) return undefined;
  const rows = new Int32Array(n);
  const estimates = Float64Array.from({ length: resamples }, () => {
    for (let i = 0; i < n; i++) rows[i] = Math.floor(random() * n);
    const shares = refused.map((outcomes) => share(outcomes, rows));
    return crossing(alphas, shares) ?? (shares[0]! >= 0.5 ? alphas[0]! : alphas.at(-1)!);
  });
  return { value, n, ...percentileInterval(estimates) };
}
