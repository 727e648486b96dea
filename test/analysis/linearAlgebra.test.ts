import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { effectiveRank, type Frame, numericalRank, randomFrame, svd } from "../../src/analysis/linearAlgebra.js";
import { fillNormal, randomKey } from "../../src/random/index.js";
import { maxDifference } from "../numbers.js";
import { frame, frobenius, fromSvd } from "./planted.js";

/** Largest departure of a frame's inner products from those of unit vectors at right angles. */
function notOrthonormal({ count, length, data }: Frame): number {
  let most = 0;
  for (let i = 0; i < count; i++)
    for (let j = 0; j <= i; j++) {
      let product = 0;
      for (let k = 0; k < length; k++) product += data[i * length + k]! * data[j * length + k]!;
      most = Math.max(most, Math.abs(product - Number(i === j)));
    }
  return most;
}

describe("singular value decomposition", () => {
  test("gives the matrix back with orthonormal vectors, tall, wide, of any rank", () => {
    const size = fc.integer({ min: 1, max: 24 });
    fc.assert(
      fc.property(size, size, size, fc.integer({ min: 0, max: 1e6 }), (rows, columns, rank, seed) => {
        const inner = Math.min(rows, columns, rank);
        const values = Array.from({ length: inner }, (_, i) => 2 ** -i);
        const planted = fromSvd(frame(`l${seed}`, inner, rows), values, frame(`r${seed}`, inner, columns));
        const { left, singularValues, right } = svd(planted);
        expect(left).toMatchObject({ count: Math.min(rows, columns), length: rows });
        expect(right).toMatchObject({ count: Math.min(rows, columns), length: columns });
        // Backward stable: 1e-13 is some hundred units of rounding of the largest value, 1.
        expect(maxDifference(singularValues.subarray(0, inner), values)).toBeLessThan(1e-13);
        expect(notOrthonormal(left)).toBeLessThan(1e-12);
        expect(notOrthonormal(right)).toBeLessThan(1e-12);
        const again = fromSvd(left, [...singularValues], right);
        expect(maxDifference(again.data, planted.data)).toBeLessThan(1e-13);
        // A value of 2^-23 is still far above rounding, so the rank is exact.
        expect(numericalRank({ left, singularValues, right })).toBe(inner);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  test.each([
    [5, 3],
    [3, 5],
    [1, 1],
  ])("of a zero matrix of %i x %i has zero values, unit vectors and rank 0", (rows, columns) => {
    const zero = svd({ rows, columns, data: new Float64Array(rows * columns) });
    expect([...zero.singularValues]).toEqual(new Array(Math.min(rows, columns)).fill(0));
    expect(numericalRank(zero)).toBe(0);
    expect(notOrthonormal(zero.left)).toBeLessThan(1e-15);
  });

  test("small singular values beside large ones keep their digits", () => {
    const planted = fromSvd(frame("tall", 3, 60), [1, 1e-6, 1e-11], frame("wide", 3, 20));
    const { singularValues } = svd(planted);
    expect(singularValues[2]! / 1e-11).toBeCloseTo(1, 3);
    expect(frobenius(planted)).toBeCloseTo(1, 10);
  });

  test("refuses what is not finite", () => {
    expect(() => svd({ rows: 1, columns: 2, data: Float64Array.of(1, Number.NaN) })).toThrow("element 1");
  });
});

test("random frames are orthonormal, square ones too, and each draw is another", () => {
  const [a, b] = [0, 1].map((draw) => randomFrame(randomKey(1, "frames"), draw, 40, 40)) as [Frame, Frame];
  expect(notOrthonormal(a)).toBeLessThan(1e-12);
  expect(maxDifference(a.data, b.data)).toBeGreaterThan(0.1);
  expect(maxDifference(a.data, randomFrame(randomKey(1, "frames"), 0, 40, 40).data)).toBe(0);
});

describe("effective rank", () => {
  test.each([
    ["k equal values", [2, 2, 2, 2], 4],
    ["one value", [5, 0, 0], 1],
    ["none", [0, 0], 0],
    // Entropy of 1/2, 1/4, 1/4 is 1.5 ln 2.
    ["a half and two quarters", [2, 1, 1], 2 ** 1.5],
  ])("of %s is known", (_, values, expected) => expect(effectiveRank(values)).toBeCloseTo(expected, 12));

  test("does not change with scale", () => {
    const values = new Float64Array(8);
    fillNormal(randomKey(2, "spectrum"), 0, values);
    const spectrum = values.map(Math.abs);
    expect(effectiveRank(spectrum.map((x) => 100 * x))).toBeCloseTo(effectiveRank(spectrum), 10);
  });
});
