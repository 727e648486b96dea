import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mean, median, quantile, standardDeviation, sum, variance } from "../../src/stats/moments.js";

const numbers = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 2, maxLength: 50 });

describe("moments", () => {
  test("match a hand-computed sample", () => {
    const values = [2, 4, 4, 4, 5, 5, 7, 9];
    expect(mean(values)).toBe(5);
    expect(variance(values)).toBeCloseTo(32 / 7, 14);
    expect(standardDeviation(values)).toBeCloseTo(Math.sqrt(32 / 7), 14);
  });

  test("a small number survives between large ones that cancel", () => {
    expect(sum([1e16, 1, -1e16])).toBe(1);
  });

  test("empty and single samples give NaN where nothing can be said", () => {
    expect(mean([])).toBeNaN();
    expect(variance([3])).toBeNaN();
    expect(quantile([], 0.5)).toBeNaN();
  });

  test("quantiles interpolate between order statistics as NumPy does", () => {
    // numpy.quantile([1, 2, 3, 4], [0, 0.25, 0.5, 0.9, 1]) -> [1, 1.75, 2.5, 3.7, 4]
    const at = [0, 0.25, 0.5, 0.9, 1].map((p) => quantile([3, 1, 4, 2], p));
    [1, 1.75, 2.5, 3.7, 4].forEach((expected, i) => {
      expect(at[i]).toBeCloseTo(expected, 14);
    });
    expect(() => quantile([1], 1.1)).toThrow(RangeError);
  });

  test("the median has as many values below as above", () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const middle = median(values);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        expect(below).toBeLessThanOrEqual(values.length / 2);
        expect(above).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });

  test("variance does not change when all values are shifted", () => {
    fc.assert(
      fc.property(numbers, fc.double({ min: -1e3, max: 1e3, noNaN: true }), (values, shift) => {
        const moved = variance(values.map((value) => value + shift));
        // Shifting rounds each value once, at the scale of the largest.
        expect(Math.abs(moved - variance(values))).toBeLessThanOrEqual(1e-9 * (1 + variance(values)) + 1e-3);
      }),
    );
  });
});
