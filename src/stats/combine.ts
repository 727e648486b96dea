import { type Interval, Z95 } from "./intervals.js";
import { mean, type Vector } from "./moments.js";

/** A number with its confidence interval. */
export interface Estimate extends Interval {
  readonly value: number;
}

/**
 * x − y of two independent estimates by MOVER, the method of variance estimates recovery: [d − √((x − l_x)² + (u_y − y)²), d + √((u_x − x)² + (y − l_y)²)].
 * Keeps the skew of each interval; with Wilson's intervals it is Newcombe's. Too wide, never too narrow, when the two go together. Zou & Donner 2008.
 */
export function differenceEstimate(x: Estimate, y: Estimate): Estimate {
  const value = x.value - y.value;
  return {
    value,
    low: value - Math.hypot(x.value - x.low, y.high - y.value),
    high: value + Math.hypot(x.high - x.value, y.value - y.low),
  };
}

/**
 * The mean of estimates that may rest on the same samples, as blocks of one model do: the bounds are the means of the bounds, as if all of them went
 * together entirely. Never too narrow, √n too wide when they are independent. NaN when empty.
 */
export function dependentMean(estimates: readonly Estimate[]): Estimate {
  const meanOf = (pick: (estimate: Estimate) => number) => mean(estimates.map(pick));
  return { value: meanOf((one) => one.value), low: meanOf((one) => one.low), high: meanOf((one) => one.high) };
}

/** The mean of n independent estimates by MOVER: x̄ − √Σ(xᵢ − lᵢ)² / n, and likewise above. NaN when empty. Zou & Donner 2008. */
export function independentMean(estimates: readonly Estimate[]): Estimate {
  const { value } = dependentMean(estimates);
  const n = estimates.length;
  return {
    value,
    low: value - Math.hypot(...estimates.map((one) => one.value - one.low)) / n,
    high: value + Math.hypot(...estimates.map((one) => one.high - one.value)) / n,
  };
}

/** ρ of Spearman: Pearson's correlation of the ranks, ties sharing their mean rank. x [n], y [n]; NaN when n < 2 or one of them is constant. */
export function spearman(x: Vector, y: Vector): number {
  const [a, b] = [ranks(x), ranks(y)];
  const centre = (a.length + 1) / 2;
  let [both, first, second] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    both += (a[i]! - centre) * (b[i]! - centre);
    first += (a[i]! - centre) ** 2;
    second += (b[i]! - centre) ** 2;
  }
  return both / Math.sqrt(first * second);
}

/**
 * 95% interval of Spearman's ρ of n pairs: tanh(artanh ρ ± z √((1 + ρ²/2) / (n − 3))), bounded by −1 and 1. A perfect order is taken as the next
 * best one, of two neighbours exchanged, since artanh 1 is infinite. The whole range for fewer than five pairs; NaN bounds for a ρ that is NaN. Bonett & Wright 2000.
 */
export function spearmanInterval(rho: number, n: number): Interval {
  if (Number.isNaN(rho)) return { low: Number.NaN, high: Number.NaN };
  if (n < 5) return { low: -1, high: 1 };
  const nextBest = 1 - 12 / (n * (n ** 2 - 1));
  const at = Math.max(-nextBest, Math.min(nextBest, rho));
  const half = Z95 * Math.sqrt((1 + at ** 2 / 2) / (n - 3));
  return {
    low: rho <= -nextBest ? -1 : Math.tanh(Math.atanh(at) - half),
    high: rho >= nextBest ? 1 : Math.tanh(Math.atanh(at) + half),
  };
}

/** Ranks from 1, ties sharing their mean. values [n] */
function ranks(values: Vector): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const out = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) out[order[i]!] = (start + 1 + end) / 2;
    start = end;
  }
  return out;
}
