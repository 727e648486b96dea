import type { Vector } from "./moments.js";

/**
 * Benjamini and Hochberg's adjusted p-values: p_(i) m / i, made monotone from the largest down. Calling all below q differences keeps the expected
 * share of false ones among them at most q, for independent or positively dependent tests. pValues [m], any order. Benjamini & Hochberg 1995.
 */
export function benjaminiHochberg(pValues: Vector): Float64Array {
  const m = pValues.length;
  const order = Array.from({ length: m }, (_, i) => i).sort((a, b) => pValues[b]! - pValues[a]!);
  const adjusted = new Float64Array(m);
  let least = 1;
  for (const [fromLargest, i] of order.entries()) {
    least = Math.min(least, (pValues[i]! * m) / (m - fromLargest));
    adjusted[i] = least;
  }
  return adjusted;
}

/**
 * Holm's step-down correction: p values that may be compared with the level of the whole family, max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎) for the i-th
 * smallest. Holds the chance of any false finding at the level, whatever goes together. pValues [m], any order; the same order comes back. Holm 1979.
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted = new Array<number>(pValues.length);
  let largest = 0;
  for (const [rank, i] of order.entries()) {
    largest = Math.max(largest, Math.min(1, (pValues.length - rank) * pValues[i]!));
    adjusted[i] = largest;
  }
  return adjusted;
}
