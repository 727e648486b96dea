import { describe, expect, test } from "vitest";
import { columnSpaceOf, energyRank, sinThetas } from "../../src/analysis/columnSpace.js";
import { firstOf, type Matrix, svd } from "../../src/analysis/linearAlgebra.js";
import { rowEffect, rowProjections } from "../../src/analysis/rowSpace.js";
import { openSafetensors } from "../../src/checkpoint/safetensors.js";
import { fixture, readGolden, readJson } from "../fixtures.js";
import { maxDifference } from "../numbers.js";

interface GoldenMatrix {
  readonly tensor: string;
  readonly shape: readonly [number, number];
  readonly rank99_W: number;
  readonly delta_singular_values: readonly number[];
  readonly rank99_delta: number;
  readonly sin_theta_truncated: readonly number[];
  readonly row_space_numbers: readonly (readonly number[])[];
  readonly delta_times_a_norm: readonly number[];
}

/** bfloat16 or float32 tensors as float64 numbers. */
async function floats(path: string): Promise<ReadonlyMap<string, Float64Array>> {
  const file = await openSafetensors(fixture(path));
  const read = new Map<string, Float64Array>();
  for (const name of file.tensors.keys()) read.set(name, Float64Array.from(await file.readFloats(name)));
  await file.close();
  return read;
}

// Planted changes of rank 3 with NumPy's numbers in float64, see test/fixtures/twins/README.md.
describe.each(["a_llama2_tuned", "b_llama3_sharded_tuned"])("planted dW of %s", async (twin) => {
  const [base, tuned] = [
    await floats(`twins/${twin}/base.safetensors`),
    await floats(`twins/${twin}/tuned.safetensors`),
  ];
  const golden = readGolden(`twins/${twin}/golden.safetensors`);
  const { matrices } = readJson<{ matrices: GoldenMatrix[] }>(`twins/${twin}/golden.json`);
  test("covers tall and wide matrices", () => expect(matrices).toHaveLength(6));

  describe.each(matrices)("$tensor $shape", (one) => {
    const [rows, columns] = one.shape;
    const [w, st] = [base.get(one.tensor)!, tuned.get(one.tensor)!];
    const weights: Matrix = { rows, columns, data: w };
    const [layer, matrix] = /layers\.(\d+)\.mlp\.(\w+)\.weight/.exec(one.tensor)!.slice(1) as [string, string];
    const inputs = golden.get(matrix === "down_proj" ? "a.inter" : "a.hidden")!.data;

    // In float32 dW loses digits where W and dW differ in size: 1e-4, as the fixtures advise.
    describe.each([
      ["float64", 1e-8, st.map((x, i) => x - w[i]!)],
      ["float32", 1e-4, Float32Array.from(st, (x, i) => x - w[i]!)],
    ] as const)("in %s", (_, tolerance, data) => {
      const delta: Matrix = { rows, columns, data };
      const decomposition = svd(delta);
      const { right, singularValues } = decomposition;

      test("ranks are exact and singular values agree", () => {
        const spectrum = svd(weights).singularValues;
        expect(maxDifference(spectrum, golden.get(`${layer}.${matrix}.singular_values_W`)!.data)).toBeLessThan(1e-8);
        expect(energyRank(spectrum)).toBe(one.rank99_W);
        expect(energyRank(singularValues)).toBe(one.rank99_delta);
        expect(maxDifference(singularValues, one.delta_singular_values)).toBeLessThan(tolerance);
      });

      test("sin theta agrees", () => {
        const sines = sinThetas(columnSpaceOf(svd(weights)), decomposition, 3);
        expect(maxDifference(sines, one.sin_theta_truncated)).toBeLessThan(tolerance);
      });

      test("row-space numbers agree up to their sign, and so does |dW a|", () => {
        const projections = rowProjections(firstOf(right, 3), singularValues, inputs);
        for (const [i, expected] of one.row_space_numbers.entries())
          expect(maxDifference(projections[i]!.map(Math.abs), expected.map(Math.abs))).toBeLessThan(tolerance);
        expect(maxDifference(rowEffect(delta, inputs).gain, one.delta_times_a_norm)).toBeLessThan(tolerance);
      });
    });
  });
});
