import fc from "fast-check";
import { expect, test } from "vitest";
import { dot, vectorOf } from "../../src/analysis/linearAlgebra.js";
import { symmetricEigen, symmetricEigenvalues } from "../../src/analysis/symmetricEigen.js";
import { fillNormal, randomKey } from "../../src/random/index.js";
import { maxDifference } from "../numbers.js";
import { frame, fromSvd } from "./planted.js";

test("planted eigenvalues and vectors are found, from the largest on", () => {
  const vectors = frame("eigen", 5, 5);
  const planted = fromSvd(vectors, [1, 7, -2, 3, 0], vectors);
  const { values, vectors: found } = symmetricEigen(planted);
  expect(maxDifference(values, [7, 3, 1, 0, -2])).toBeLessThan(1e-13);
  for (const [i, from] of [1, 3, 0, 4, 2].entries())
    expect(Math.abs(dot(vectorOf(found, i), vectorOf(vectors, from)))).toBeCloseTo(1, 12);
  expect(maxDifference(symmetricEigenvalues(planted), values)).toBeLessThan(1e-13);
});

test("of any symmetric matrix: M v = lambda v, vectors orthonormal, with and without vectors the same values", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 1e6 }), fc.boolean(), (n, seed, sparse) => {
      const data = new Float64Array(n * n);
      fillNormal(randomKey(seed, "symmetric"), 0, data);
      // Sparse ones have blocks that are diagonal already, and equal eigenvalues.
      const half = data.map((value) => (sparse && Math.abs(value) < 1.5 ? 0 : sparse ? Math.sign(value) : value));
      const matrix = {
        rows: n,
        columns: n,
        data: half.map((_, at) => half[at]! + half[(at % n) * n + Math.floor(at / n)]!),
      };
      const { values, vectors } = symmetricEigen(matrix);
      for (let i = 0; i < n; i++) {
        const own = vectorOf(vectors, i);
        for (let row = 0; row < n; row++) {
          const image = dot(matrix.data.subarray(row * n, (row + 1) * n), own);
          expect(Math.abs(image - values[i]! * own[row]!)).toBeLessThan(1e-12);
        }
        for (let j = 0; j <= i; j++)
          expect(Math.abs(dot(own, vectorOf(vectors, j)) - Number(i === j))).toBeLessThan(1e-12);
        if (i > 0) expect(values[i]!).toBeLessThanOrEqual(values[i - 1]!);
      }
      expect(maxDifference(symmetricEigenvalues(matrix), values)).toBeLessThan(1e-12);
    }),
    { numRuns: 60, seed: 3 },
  );
});

test("a zero matrix has zeros", () => {
  const zero = { rows: 3, columns: 3, data: new Float64Array(9) };
  expect([...symmetricEigen(zero).values]).toEqual([0, 0, 0]);
  expect([...symmetricEigenvalues(zero)]).toEqual([0, 0, 0]);
});
