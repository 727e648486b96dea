import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { svd, vectorOf } from "../../src/analysis/linearAlgebra.js";
import {
  correlation,
  projectionSigns,
  rowCosines,
  rowEffect,
  rowProjections,
  unitRows,
} from "../../src/analysis/rowSpace.js";
import { fillNormal, randomKey } from "../../src/random/index.js";
import { frame, fromSvd } from "./planted.js";

function normals(purpose: string, length: number): Float64Array {
  const out = new Float64Array(length);
  fillNormal(randomKey(8, purpose), 0, out);
  return out;
}

test("inputs are scaled to norm 1, and a zero input stays zero", () => {
  expect([...unitRows(Float32Array.of(3, 4, 0, 0), 2)]).toEqual([0.6, 0.8, 0, 0]);
});

test("the squares of all projections sum to |dW a|², tall and wide", () => {
  const size = fc.integer({ min: 1, max: 20 });
  fc.assert(
    fc.property(size, size, fc.integer({ min: 0, max: 1e6 }), (rows, columns, seed) => {
      const delta = { rows, columns, data: normals(`delta ${seed}`, rows * columns) };
      const inputs = unitRows(normals(`inputs ${seed}`, 3 * columns), columns);
      const { right, singularValues } = svd(delta);
      const projections = rowProjections(right, singularValues, inputs);
      const { gain } = rowEffect(delta, inputs);
      for (let row = 0; row < 3; row++) {
        const squares = projections.reduce((sum, one) => sum + one[row]! ** 2, 0);
        // Entries are of order 1; 1e-11 is thousands of units of rounding.
        expect(Math.abs(squares - gain[row]! ** 2)).toBeLessThan(1e-11);
      }
    }),
    { numRuns: 60, seed: 11 },
  );
});

describe("a planted dW", () => {
  const right = frame("planted right", 3, 12);
  const delta = fromSvd(frame("planted left", 3, 30), [4, 2, 1], right);
  const { right: found, singularValues } = svd(delta);

  test("acts on the inputs that lie along its directions, by sigma_i, and on no others", () => {
    const along = Float64Array.from([...vectorOf(right, 0), ...vectorOf(right, 1)]);
    const projections = rowProjections(found, singularValues, along).map((one) => [...one].map(Math.abs));
    expect(projections[0]).toEqual([expect.closeTo(4, 12), expect.closeTo(0, 12)]);
    expect(projections[1]).toEqual([expect.closeTo(0, 12), expect.closeTo(2, 12)]);
    expect([...rowEffect(delta, along).gain]).toEqual([expect.closeTo(4, 12), expect.closeTo(2, 12)]);
    // What is orthogonal to all three directions.
    const outside = vectorOf(frame("planted right", 4, 12), 3);
    expect(rowEffect(delta, outside).gain[0]).toBeCloseTo(0, 12);
  });

  test("signs make the mean projection of unsafe inputs positive", () => {
    expect(projectionSigns([Float64Array.of(-3, 1), Float64Array.of(2, 1), Float64Array.of(0, 0)])).toEqual([-1, 1, 1]);
  });

  test("neuron by neuron: a neuron whose row lies along v_1 has cosine 1, and the effect is its row times a", () => {
    const v = [...vectorOf(right, 0)];
    const w = [...vectorOf(right, 1)];
    const rows = { rows: 4, columns: 12, data: Float64Array.from([...v.map((x) => -3 * x), ...w, ...w, ...w]) };
    expect([...rowCosines(rows, v)]).toEqual([1, 0, 0, 0].map((x) => expect.closeTo(x, 12)));
    const inputs = Float64Array.from([...v, ...v.map((x) => -x)]);
    // Mean of |-3| and |3|: signs must not cancel.
    expect([...rowEffect(rows, inputs).neurons]).toEqual([3, 0, 0, 0].map((x) => expect.closeTo(x, 12)));
    expect(rowCosines({ rows: 1, columns: 12, data: new Float64Array(12) }, v)[0]).toBe(0);
  });
});

test("correlation of a line is 1 or -1, of what does not vary 0", () => {
  expect(correlation([1, 2, 3], [5, 7, 9])).toBeCloseTo(1, 12);
  expect(correlation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
  // By hand: deviations -1, 0, 1 and -4/3, 5/3, -1/3: 1 / sqrt(2 * 42/9).
  expect(correlation([1, 2, 3], [1, 4, 2])).toBeCloseTo(1 / Math.sqrt((2 * 42) / 9), 12);
  expect(correlation([1, 1, 1], [1, 4, 2])).toBe(0);
});
