import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { columnMeans, fisherAlongMeans, fisherTrace } from "../../src/stats/fisher.js";
import { generator, normals } from "./generator.js";

/** Rows of a 3-wide normal whose mean is `shift` along the first axis. */
function cloud(seed: number, rows: number, shift: number): Float64Array {
  const values = normals(generator(seed), rows * 3);
  for (let row = 0; row < rows; row++) values[row * 3]! += shift;
  return values;
}

describe("Fisher's criterion", () => {
  test("in one dimension is (difference of means)² / (sum of variances)", () => {
    // means 2 and 6, variances 1 and 4
    expect(fisherAlongMeans([1, 2, 3], [4, 6, 8], 1)).toBeCloseTo(16 / 5, 12);
    expect(fisherTrace([1, 2, 3], [4, 6, 8], 1)).toBeCloseTo(16 / 5, 12);
  });

  test("finds the planted distance of two clouds", () => {
    // Distance 4 with variance 1 on each side: 16 / 2 = 8 along the means, 16 / 6 in trace form.
    const [x, y] = [cloud(1, 4000, 4), cloud(2, 4000, 0)];
    expect(Math.abs(fisherAlongMeans(x, y, 3) - 8)).toBeLessThan(0.4);
    expect(Math.abs(fisherTrace(x, y, 3) - 16 / 6)).toBeLessThan(0.15);
  });

  test("does not change with scale, shift or the order of the classes", () => {
    const [x, y] = [cloud(3, 40, 1), cloud(4, 50, 0)];
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        fc.double({ min: -10, max: 10, noNaN: true }),
        (scale, shift) => {
          const moved = (values: Float64Array) => values.map((value) => scale * value + shift);
          for (const criterion of [fisherAlongMeans, fisherTrace]) {
            const value = criterion(x, y, 3);
            expect(criterion(moved(x), moved(y), 3)).toBeCloseTo(value, 6);
            expect(criterion(y, x, 3)).toBeCloseTo(value, 10);
          }
        },
      ),
    );
  });

  test("is 0 when the means agree and NaN when a class has one row", () => {
    expect(fisherAlongMeans([1, 3], [0, 4], 1)).toBe(0);
    expect(fisherAlongMeans([1], [2, 3], 1)).toBeNaN();
  });

  test("rows that do not fill the width are refused", () => {
    expect(() => columnMeans([1, 2, 3], 2)).toThrow(RangeError);
  });
});
