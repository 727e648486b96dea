import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { proportionDifferenceInterval } from "../../src/stats/proportions.js";

describe("the difference of two proportions", () => {
  // Newcombe 1998, Statistics in Medicine 17, table II, method 10.
  test.each([
    [56, 70, 48, 80, 0.0524, 0.3339],
    [9, 10, 3, 10, 0.1705, 0.809],
    [10, 10, 0, 10, 0.6075, 1],
  ])("%i of %i against %i of %i has the published interval", (a, n, b, m, low, high) => {
    const interval = proportionDifferenceInterval({ successes: a, n }, { successes: b, n: m });
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test("turns its sign with the order, holds the difference, and stays within -1 and 1", () => {
    const proportion = fc
      .tuple(fc.integer({ min: 1, max: 500 }), fc.double({ min: 0, max: 1, noNaN: true }))
      .map(([n, share]) => ({ n, successes: Math.round(share * n) }));
    fc.assert(
      fc.property(proportion, proportion, (a, b) => {
        const { low, high } = proportionDifferenceInterval(a, b);
        const turned = proportionDifferenceInterval(b, a);
        const difference = a.successes / a.n - b.successes / b.n;
        expect(low).toBeLessThanOrEqual(difference + 1e-12);
        expect(high).toBeGreaterThanOrEqual(difference - 1e-12);
        expect(turned.low).toBeCloseTo(-high, 12);
        expect(turned.high).toBeCloseTo(-low, 12);
        expect(low).toBeGreaterThanOrEqual(-1 - 1e-12);
        expect(high).toBeLessThanOrEqual(1 + 1e-12);
      }),
    );
  });

  test("of nothing is not a number", () => {
    expect(proportionDifferenceInterval({ successes: 0, n: 0 }, { successes: 1, n: 2 }).low).toBeNaN();
  });
});
