import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chiSquareStatistic, chiSquareTest, chiSquareUpperTail } from "../../src/stats/chiSquare.js";
import { logGamma, upperGamma } from "../../src/stats/gamma.js";
import { incompleteBeta, studentCdf, studentQuantile } from "../../src/stats/student.js";
import { generator } from "./generator.js";

describe("chi-square", () => {
  test("upper tails match the tables", () => {
    // The 5% and 0.1% points printed in every table, to their printed digits.
    for (const [statistic, degrees, tail] of [
      [3.841459, 1, 0.05],
      [5.991465, 2, 0.05],
      [18.307038, 10, 0.05],
      [124.342113, 100, 0.05],
      [10.827566, 1, 0.001],
    ] as const)
      expect(chiSquareUpperTail(statistic, degrees)).toBeCloseTo(tail, 7);
  });

  test("with two degrees of freedom the tail is exp(-x / 2)", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 600, noNaN: true }), (x) => {
        const expected = Math.exp(-x / 2);
        expect(Math.abs(chiSquareUpperTail(x, 2) - expected)).toBeLessThanOrEqual(1e-12 * expected + 1e-15);
      }),
    );
  });

  test("the statistic of a die", () => {
    expect(chiSquareStatistic([5, 8, 9, 8, 10, 20], [10, 10, 10, 10, 10, 10])).toBeCloseTo(13.4, 12);
  });

  test("p-values are uniform when the shares are true", () => {
    const random = generator(5);
    let below = 0;
    for (let study = 0; study < 400; study++) {
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < 200; i++) counts[Math.floor(random() * 4)]!++;
      if (chiSquareTest(counts, [1, 1, 1, 1]).pValue < 0.25) below++;
    }
    // 100 expected, standard deviation 8.7.
    expect(below).toBeGreaterThan(70);
    expect(below).toBeLessThan(130);
  });

  test("a false share is found", () => {
    expect(chiSquareTest([400, 300, 300], [1, 1, 1]).pValue).toBeLessThan(1e-3);
  });

  test("empty expected counts and unequal lengths are refused", () => {
    expect(() => chiSquareStatistic([1], [0])).toThrow(RangeError);
    expect(() => chiSquareStatistic([1], [1, 2])).toThrow(RangeError);
  });
});

describe("special functions", () => {
  test("log gamma gives factorials and the gamma of one half", () => {
    expect(logGamma(6)).toBeCloseTo(Math.log(120), 12);
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 12);
    expect(() => logGamma(0)).toThrow(RangeError);
  });

  test("the upper gamma function joins smoothly where the method changes", () => {
    for (const a of [0.5, 3, 40]) expect(upperGamma(a, a + 1 - 1e-9)).toBeCloseTo(upperGamma(a, a + 1 + 1e-9), 8);
  });

  test("the incomplete beta function of (a, 1) is x^a", () => {
    for (const x of [0.1, 0.5, 0.9]) expect(incompleteBeta(x, 3, 1)).toBeCloseTo(x ** 3, 13);
  });

  test("Student's quantiles match the tables and invert the distribution", () => {
    expect(studentQuantile(0.975, 1)).toBeCloseTo(12.7062, 4);
    expect(studentQuantile(0.975, 9)).toBeCloseTo(2.262157, 6);
    expect(studentQuantile(0.025, 9)).toBeCloseTo(-2.262157, 6);
    for (const p of [0.01, 0.3, 0.999]) expect(studentCdf(studentQuantile(p, 4), 4)).toBeCloseTo(p, 12);
  });
});
