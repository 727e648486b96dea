import { type Interval, wilsonInterval } from "./intervals.js";

/** A count out of n trials. */
export interface Proportion {
  readonly successes: number;
  readonly n: number;
}

/**
 * Newcombe's hybrid score interval of p₁ − p₂, two independent proportions: Wilson's bounds (l, u) of each, squared and added,
 * [d − √((p₁ − l₁)² + (u₂ − p₂)²), d + √((u₁ − p₁)² + (p₂ − l₂)²)]. 95%; NaN bounds when either n is 0. Newcombe 1998, method 10.
 */
export function proportionDifferenceInterval(first: Proportion, second: Proportion): Interval {
  const [p1, p2] = [first.successes / first.n, second.successes / second.n];
  const [one, two] = [wilsonInterval(first.successes, first.n), wilsonInterval(second.successes, second.n)];
  const difference = p1 - p2;
  return {
    low: difference - Math.hypot(p1 - one.low, two.high - p2),
    high: difference + Math.hypot(one.high - p1, p2 - two.low),
  };
}
