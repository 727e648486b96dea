import { afterAll, describe, expect, test } from "vitest";
import { blockProducts } from "../../src/analysis/blockProducts.js";
import { columnSpaceOf, sinThetaAll, sinThetas } from "../../src/analysis/columnSpace.js";
import { firstOf, type Matrix, svd } from "../../src/analysis/linearAlgebra.js";
import { matrixChanges } from "../../src/audit/matrixChange.js";
import { fillNormal, randomKey } from "../../src/random/index.js";
import { atAngles, frame, fromSvd } from "../analysis/planted.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";

const engine = cpuEngine(2);
const products = blockProducts(engine);
afterAll(() => engine.release());

function randomMatrix(name: string, rows: number, columns: number, scale = 1): Matrix {
  const data = new Float64Array(rows * columns);
  fillNormal(randomKey(3, name), 0, data);
  return { rows, columns, data: data.map((value) => scale * value) };
}

// Just beyond what is decomposed densely, so that the dense decomposition can check it.
describe.each([
  [300, 257],
  [257, 300],
] as const)("a change of a large matrix, %i x %i", (rows, columns) => {
  const before = randomMatrix("before", rows, columns);

  test("of full rank: spectrum, rank and sines as by a dense decomposition, all directions within the estimate's error", async () => {
    const delta = randomMatrix("delta", rows, columns, 0.01);
    const after = Float64Array.from(before.data, (value, i) => value + delta.data[i]!);
    const { rank, singularValues, changes } = await matrixChanges(products, before, [async () => after]);
    const change = changes[0]!;
    const [own, found] = [svd(before), svd(delta)];
    const space = columnSpaceOf(own);
    expect(rank).toBe(space.count);
    expect(maxDifference(singularValues, own.singularValues)).toBeLessThan(1e-9);
    expect(maxDifference(change.singularValues, found.singularValues)).toBeLessThan(1e-9);
    expect(change.left.count).toBe(64);
    expect(maxDifference(change.sines, sinThetas(space, found, 64))).toBeLessThan(1e-7);
    const exact = sinThetaAll(space, delta)!;
    const { value, n, low, high } = change.all!;
    expect(n).toBe(32);
    expect(Math.abs(value - exact)).toBeLessThan(0.02);
    // Two standard errors are in the interval; four must hold.
    expect(Math.abs(value - exact)).toBeLessThan(high! - low!);
  });

  test("of low rank at planted angles: exact, and two changes are told apart", async () => {
    const inside = 200;
    const all = frame("all", inside + 3, rows);
    const narrow = fromSvd(firstOf(all, inside), new Array(inside).fill(3), frame("input", inside, columns));
    // 200 equal values: 198 of them hold 99%, and which ones is for rounding to decide; so the directions lie in all 200 or in none.
    const changed = [[0, 90], [90]].map((degrees) => {
      const left = atAngles(all, inside, degrees);
      const delta = fromSvd(
        left,
        degrees.map((_, i) => 2 - i),
        frame("delta", degrees.length, columns),
      );
      return async () => Float64Array.from(narrow.data, (value, i) => value + delta.data[i]!);
    });
    const { rank, changes } = await matrixChanges(products, narrow, changed);
    expect(rank).toBe(198);
    const [first, second] = changes as [(typeof changes)[0], (typeof changes)[0]];
    expect(first.left.count).toBe(2);
    expect(maxDifference(first.singularValues.subarray(0, 3), [2, 1, 0])).toBeLessThan(1e-6);
    expect(first.sines[1]).toBeCloseTo(1, 9);
    expect(second.sines[0]).toBeCloseTo(1, 9);
    // sigma 2 at 0 degrees (but for the two lost dimensions) and 1 at 90.
    expect(first.all!.value).toBeCloseTo(Math.sqrt((4 * first.sines[0]! ** 2 + 1) / 5), 9);
    expect(first.all!.n).toBeUndefined();
    expect(second.all!.value).toBeCloseTo(1, 9);
  });

  test("of nothing: no directions, no angle", async () => {
    const { changes } = await matrixChanges(products, before, [async () => before.data]);
    expect(changes[0]!.left.count).toBe(0);
    expect(changes[0]!.all).toBeUndefined();
    expect(changes[0]!.singularValues.every((value) => value === 0)).toBe(true);
  });
});
