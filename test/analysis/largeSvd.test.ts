import { afterAll, describe, expect, test } from "vitest";
import { blockProducts } from "../../src/analysis/blockProducts.js";
import { columnSpaceOf, energyRank } from "../../src/analysis/columnSpace.js";
import { gramMatrix, timesTransposed, timesVectors } from "../../src/analysis/largeMatrix.js";
import { largeColumnSpace, largeDirections } from "../../src/analysis/largeSvd.js";
import { dot, firstOf, type Matrix, squaredOutside, svd, vectorOf } from "../../src/analysis/linearAlgebra.js";
import { fillNormal, randomKey } from "../../src/random/index.js";
import { cpuEngine } from "../engines.js";
import { frame, fromSvd } from "./planted.js";

const engine = cpuEngine(2);
const products = blockProducts(engine);
afterAll(() => engine.release());

function randomMatrix(name: string, rows: number, columns: number): Matrix {
  const data = new Float64Array(rows * columns);
  fillNormal(randomKey(3, name), 0, data);
  return { rows, columns, data };
}

// Small pieces, so that these small matrices go through every turn a large one does: several tiles, slabs, panels, compactions, a last panel that is narrower.
const pieces = { band: 8, tiling: { rows: 32, slab: 48 } };
const options = { ...pieces, count: 20, key: randomKey(0, "start") };
const shapes = [
  [150, 101],
  [101, 150],
  [96, 96],
  [40, 9],
  [5, 3],
] as const;

describe("products of a large matrix", () => {
  test.each(shapes)("Gram matrix and products with vectors of %i x %i, of a difference too", async (rows, columns) => {
    const [after, before] = [randomMatrix("after", rows, columns), randomMatrix("before", rows, columns)];
    const matrix = { ...after, minus: before.data };
    const dense = after.data.map((value, i) => value - before.data[i]!);
    const at = (i: number, j: number) => dense[i * columns + j]!;
    const gram = await gramMatrix(products, matrix, pieces);
    const size = Math.min(rows, columns);
    for (const [i, j] of [
      [0, 0],
      [size - 1, 0],
      [1, size - 1],
      [size - 1, size - 1],
    ] as const) {
      let expected = 0;
      for (let k = 0; k < Math.max(rows, columns); k++)
        expected += rows > columns ? at(k, i) * at(k, j) : at(i, k) * at(j, k);
      expect(gram[i * size + j]).toBeCloseTo(j > i ? 0 : expected, 10); // the lower half
    }
    const [x, y] = [frame("x", 3, columns), frame("y", 3, rows)];
    const [mx, my] = [await timesVectors(products, matrix, x), await timesTransposed(products, matrix, y)];
    // y' (M x) = (M' y)' x
    for (let i = 0; i < 3; i++)
      expect(dot(vectorOf(y, i), vectorOf(mx, i))).toBeCloseTo(dot(vectorOf(my, i), vectorOf(x, i)), 10);
    expect(mx.data[0]).toBeCloseTo(dot(dense.subarray(0, columns), vectorOf(x, 0)), 10);
  });
});

describe("largeDirections", () => {
  test.each(shapes)(
    "singular values and vectors of a random %i x %i are those of the dense decomposition",
    async (rows, columns) => {
      const matrix = randomMatrix("matrix", rows, columns);
      const dense = svd(matrix);
      const { singularValues, left, right } = await largeDirections(products, matrix, options);
      expect(singularValues).toHaveLength(Math.min(rows, columns));
      for (const [i, sigma] of dense.singularValues.entries())
        expect(Math.abs(singularValues[i]! / sigma - 1)).toBeLessThan(i < 20 ? 1e-12 : 1e-9);
      expect(left.count).toBe(Math.min(20, rows, columns));
      for (let i = 0; i < left.count; i++) {
        expect(Math.abs(dot(vectorOf(left, i), vectorOf(dense.left, i)))).toBeCloseTo(1, 9);
        expect(Math.abs(dot(vectorOf(right, i), vectorOf(dense.right, i)))).toBeCloseTo(1, 9);
      }
    },
  );

  test("finds a planted spectrum with equal values and a wide range", async () => {
    const values = [5, 3, 3, 3, 1, 1e-2, 1e-2, 1e-4, 1e-5];
    const matrix = fromSvd(frame("u", 9, 150), values, frame("v", 9, 101));
    const { singularValues, left, right } = await largeDirections(products, matrix, options);
    expect(left.count).toBe(9); // what is below is rounding
    // Small ones keep 1e-5 of their own size: they come from the matrix and not from its square.
    for (const [i, sigma] of values.entries()) expect(Math.abs(singularValues[i]! / sigma - 1)).toBeLessThan(1e-9);
    for (let i = 0; i < 9; i++)
      for (let j = 0; j <= i; j++) {
        expect(dot(vectorOf(left, i), vectorOf(left, j))).toBeCloseTo(Number(i === j), 10);
        expect(dot(vectorOf(right, i), vectorOf(right, j))).toBeCloseTo(Number(i === j), 10);
      }
  });

  test("of a zero matrix there are none, and a number that is not finite is refused", async () => {
    const zero = { rows: 60, columns: 40, data: new Float32Array(2400) };
    const { singularValues, left } = await largeDirections(products, zero, options);
    expect(left.count).toBe(0);
    expect(singularValues.every((value) => value === 0)).toBe(true);
    await expect(
      largeDirections(products, { ...zero, data: zero.data.map(() => Number.NaN) }, options),
    ).rejects.toThrow(RangeError);
  });

  test("the same bytes with one thread and with two", async () => {
    const one = cpuEngine(1);
    const matrix = randomMatrix("matrix", 150, 101);
    const [a, b] = [
      await largeDirections(blockProducts(one), matrix, options),
      await largeDirections(products, matrix, options),
    ];
    await one.release();
    expect(a).toEqual(b);
  });
});

describe("largeColumnSpace", () => {
  test.each(shapes)(
    "rank and angles of a random %i x %i are those of the dense decomposition",
    async (rows, columns) => {
      const matrix = randomMatrix("space", rows, columns);
      const vectors = frame("directions", Math.min(4, rows), rows);
      const dense = svd(matrix);
      for (const energy of [0.9, 0.99]) {
        const { rank, singularValues, outside } = await largeColumnSpace(products, matrix, vectors, {
          ...pieces,
          energy,
        });
        expect(rank).toBe(energyRank(dense.singularValues, energy));
        for (const [i, sigma] of dense.singularValues.entries()) expect(singularValues[i]).toBeCloseTo(sigma, 9);
        const space = firstOf(dense.left, rank);
        for (const [i, value] of outside.entries())
          expect(Math.abs(value - squaredOutside(space, vectorOf(vectors, i)))).toBeLessThan(1e-10);
      }
    },
  );

  test("vectors inside and outside a planted column space, tall and wide", async () => {
    for (const [rows, columns] of [
      [150, 101],
      [101, 150],
    ] as const) {
      const all = frame("all", 60, rows);
      const matrix = fromSvd(firstOf(all, 40), new Array(40).fill(2), frame("input", 40, columns));
      const space = columnSpaceOf(svd(matrix));
      const { rank, outside } = await largeColumnSpace(products, matrix, all, pieces);
      expect(rank).toBe(space.count);
      expect(rank).toBe(40);
      for (const [i, value] of outside.entries()) expect(Math.abs(value - Number(i >= 40))).toBeLessThan(1e-12);
    }
  });

  test("of a zero matrix everything is outside, and no vectors are none", async () => {
    const zero = { rows: 60, columns: 40, data: new Float32Array(2400) };
    const vectors = frame("directions", 2, 60);
    const { rank, outside } = await largeColumnSpace(products, zero, vectors, pieces);
    expect(rank).toBe(0);
    for (const value of outside) expect(value).toBeCloseTo(1, 12);
    const none = await largeColumnSpace(products, randomMatrix("space", 60, 40), firstOf(vectors, 0), pieces);
    expect(none.outside).toHaveLength(0);
  });
});
