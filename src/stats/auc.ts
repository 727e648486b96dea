import { type Interval, Z95 } from "./intervals.js";
import type { Vector } from "./moments.js";

/**
 * AUC = P(X > Y) + ½ P(X = Y): how often a value of the first group exceeds one of the second, ties counting half. Chance: 0.5.
 * positives [n], negatives [m], any order, O((n + m) log(n + m)). NaN when either is empty. Mann & Whitney 1947.
 */
export function auc(positives: Vector, negatives: Vector): number {
  const x = Float64Array.from(positives).sort();
  const y = Float64Array.from(negatives).sort();
  let below = 0;
  let notAbove = 0;
  let wins = 0;
  for (const value of x) {
    while (below < y.length && y[below]! < value) below++;
    while (notAbove < y.length && y[notAbove]! <= value) notAbove++;
    wins += (below + notAbove) / 2;
  }
  return wins / (x.length * y.length);
}

/**
 * Hanley & McNeil's variance of an AUC of n positives and m negatives, with the exponential model's Q₁ = θ/(2 − θ) and Q₂ = 2θ²/(1 + θ):
 * (θ(1 − θ) + (n − 1)(Q₁ − θ²) + (m − 1)(Q₂ − θ²)) / nm. Hanley & McNeil 1982.
 */
export function hanleyMcNeilVariance(area: number, n: number, m: number): number {
  const q1 = area / (2 - area);
  const q2 = (2 * area ** 2) / (1 + area);
  return (area * (1 - area) + (n - 1) * (q1 - area ** 2) + (m - 1) * (q2 - area ** 2)) / (n * m);
}

/**
 * 95% interval of an AUC by Newcombe's score method: the areas θ with |AUC − θ| ≤ z √V(θ), V being Hanley & McNeil's variance *at θ* with both
 * group sizes in its numerator set to their mean. Like Wilson's, it stays in 0..1 and keeps a width when the groups are separated
 * perfectly. n positives, m negatives; NaN bounds when either is 0. Newcombe 2006, method 5.
 */
export function aucInterval(area: number, n: number, m: number, z: number = Z95): Interval {
  if (!(n > 0 && m > 0 && area >= 0 && area <= 1)) return { low: Number.NaN, high: Number.NaN };
  const average = (n + m) / 2;
  const deviation = (theta: number) =>
    z * Math.sqrt((hanleyMcNeilVariance(theta, average, average) * average ** 2) / (n * m));
  // At its own side's end the bound's deviation vanishes, so the sign changes between the estimate and that end.
  return {
    low: area === 0 ? 0 : bisect(0, area, (theta) => area - theta <= deviation(theta)),
    high: area === 1 ? 1 : bisect(1, area, (theta) => theta - area <= deviation(theta)),
  };
}

/** The border of `inside` between a point outside (or at the edge) and one inside. */
function bisect(outside: number, inside: number, isInside: (at: number) => boolean): number {
  let [far, near] = [outside, inside];
  for (let i = 0; i < 60; i++) {
    const middle = (far + near) / 2;
    if (isInside(middle)) near = middle;
    else far = middle;
  }
  return near;
}
