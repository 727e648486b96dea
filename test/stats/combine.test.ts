import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  dependentMean,
  differenceEstimate,
  independentMean,
  spearman,
  spearmanInterval,
} from "../../src/stats/combine.js";
import { wilsonInterval } from "../../src/stats/intervals.js";
import { holm } from "../../src/stats/multipleComparisons.js";
import { proportionDifferenceInterval } from "../../src/stats/proportions.js";

const estimate = (value: number, below: number, above = below) => ({ value, low: value - below, high: value + above });

describe("combined estimates", () => {
  test("a difference of Wilson's intervals is Newcombe's", () => {
    const [first, second] = [
      { successes: 56, n: 70 },
      { successes: 48, n: 80 },
    ];
    const share = ({ successes, n }: typeof first) => ({ value: successes / n, ...wilsonInterval(successes, n) });
    const { low, high } = differenceEstimate(share(first), share(second));
    expect({ low, high }).toEqual(proportionDifferenceInterval(first, second));
    // Newcombe 1998, table II, (a), method 10.
    expect(low).toBeCloseTo(0.0524, 4);
    expect(high).toBeCloseTo(0.3339, 4);
  });

  test("a difference turned round is the mirror image, skew included", () => {
    const [x, y] = [estimate(2, 0.5, 1.5), estimate(1, 0.25, 2)];
    const [there, back] = [differenceEstimate(x, y), differenceEstimate(y, x)];
    expect(there).toEqual({ value: 1, low: 1 - Math.hypot(0.5, 2), high: 1 + Math.hypot(1.5, 0.25) });
    expect(back).toEqual({ value: -there.value, low: -there.high, high: -there.low });
  });

  test("means: dependent ones keep their width, independent ones lose √n", () => {
    const four = [1, 2, 3, 4].map((value) => estimate(value, 1));
    expect(dependentMean(four)).toEqual({ value: 2.5, low: 1.5, high: 3.5 });
    expect(independentMean(four)).toEqual({ value: 2.5, low: 2, high: 3 });
  });
});

describe("Spearman", () => {
  test("known answers: ties share their rank", () => {
    // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) = 0.8207826816681233
    expect(spearman([1, 2, 3, 4, 5], [5, 6, 7, 8, 7])).toBeCloseTo(0.8207826816681233, 12);
    expect(spearman([1, 2, 3], [30, 20, 10])).toBe(-1);
    expect(spearman([1, 1], [0, 1])).toBeNaN();
  });

  test("any rising change of scale leaves it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -9, max: 9 })), { minLength: 3 }),
        (pairs) => {
          const [x, y] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
          expect(
            spearman(
              x.map((value) => Math.exp(value)),
              y,
            ),
          ).toEqual(spearman(x, y));
        },
      ),
    );
  });

  test("the interval holds ρ, stays in −1..1, and says nothing of four pairs", () => {
    expect(spearmanInterval(0.9, 4)).toEqual({ low: -1, high: 1 });
    for (const rho of [-1, -0.3, 0, 0.6, 1]) {
      const { low, high } = spearmanInterval(rho, 20);
      expect(low).toBeGreaterThanOrEqual(-1);
      expect(high).toBeLessThanOrEqual(1);
      expect(low).toBeLessThanOrEqual(rho);
      expect(high).toBeGreaterThanOrEqual(rho);
    }
    expect(spearmanInterval(1, 20).low).toBeGreaterThan(0.9);
    expect(spearmanInterval(1, 6).low).toBeLessThan(0.9);
  });
});

test("Holm's correction: a worked example, in the order given", () => {
  // statsmodels multipletests([0.01, 0.04, 0.03, 0.005], method="holm")
  expect(holm([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02]);
  expect(holm([0.9, 0.8])).toEqual([1, 1]);
  expect(holm([])).toEqual([]);
});
