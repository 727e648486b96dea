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
