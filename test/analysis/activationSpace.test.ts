import { describe, expect, test } from "vitest";
import { activationSinThetaAll, activationSinThetas, activationSpan } from "../../src/analysis/activationSpace.js";
import type { Vectors } from "../../src/analysis/clusters.js";
import { type Frame, firstOf, gramOf, vectorOf } from "../../src/analysis/linearAlgebra.js";
import { fillNormal, randomKey } from "../../src/random/index.js";
import { atAngles, degreesOf, frame } from "./planted.js";

/** n vectors with independent normal coefficients, of deviation `scales`, along a frame's directions. */
function along({ count, length, data }: Frame, scales: readonly number[], n: number, purpose: string): Vectors {
  const coefficients = new Float64Array(n * count);
  fillNormal(randomKey(9, purpose), 0, coefficients);
  const out = new Float32Array(n * length);
  for (let row = 0; row < n; row++)
    for (let j = 0; j < length; j++) {
      let total = 0;
      for (let i = 0; i < count; i++) total += coefficients[row * count + i]! * scales[i]! * data[i * length + j]!;
      out[row * length + j] = total;
    }
  return { data: out, width: length };
}

const all = frame("activations", 12, 24);
const before = activationSpan(along(firstOf(all, 5), [1, 1, 1, 1, 1], 300, "before"), 15);
const space = firstOf(before.directions, before.rank);

describe("the span of activations", () => {
  test("has the planted number of dimensions, and no direction that is only rounding", () => {
    expect(before.rank).toBe(5);
    // Float32 activations leave directions of about 1e-14 of the energy, below the threshold.
    expect(before.directions.count).toBe(5);
  });

  test("keeps 99% of the energy, squares of singular values", () => {
    // Of 100 and 9 the first has 92%; were the squares squared again, it would have 99.2%.
    expect(activationSpan(along(firstOf(all, 2), [10, 3], 400, "energy"), 15).rank).toBe(2);
  });

  test("at planted angles to another is found to 0.1 degree", () => {
    const degrees = [0, 20, 45, 90];
    // Strengths far apart, so that the main directions of a sample lie near the planted ones; what mixes them is removed below.
    const planted = atAngles(all, 5, degrees);
    for (const [i, angle] of degrees.entries()) {
      const one: Frame = { count: 1, length: 24, data: vectorOf(planted, i).slice() };
      const after = activationSpan(along(one, [2], 50, `after ${angle}`), 15);
      const sines = activationSinThetas(space, after, 15);
      expect(sines).toHaveLength(1);
      // Float32 activations: an angle of 0 or 90 is known to about 1e-6.
      expect(Math.abs(degreesOf(sines[0]!) - angle)).toBeLessThan(0.1);
      expect(degreesOf(activationSinThetaAll(space, after)!)).toBeCloseTo(angle, 1);
    }
  });

  test("of all directions weighs them by their energy", () => {
    const [inside, outside] = [vectorOf(all, 0), vectorOf(all, 8)];
    const data = Float32Array.from([...inside.map((x) => 3 * x), ...outside.map((x) => 4 * x)]);
    expect(activationSinThetaAll(space, { gram: gramOf({ data, width: 24 }) })).toBeCloseTo(4 / 5, 5);
  });

  test("the split-half null of one distribution is small, and of a fully sampled span zero", () => {
    const half = activationSpan(along(firstOf(all, 5), [1, 1, 1, 1, 1], 300, "other half"), 15);
    expect(activationSinThetaAll(space, half)!).toBeLessThan(1e-5);
    // In noise of full rank, 99% of the energy of one half holds about 99% of the other's.
    const noise = (purpose: string) => activationSpan(along(all, new Array(12).fill(1), 2000, purpose), 15);
    const [a, b] = [noise("noise a"), noise("noise b")];
    expect(activationSinThetaAll(firstOf(a.directions, a.rank), b)!).toBeLessThan(0.15);
  });

  test("of zero activations has nothing, and no angle", () => {
    const zero = activationSpan({ data: new Float32Array(48), width: 24 }, 15);
    expect(zero.rank).toBe(0);
    expect(activationSinThetas(space, zero, 15)).toHaveLength(0);
    expect(activationSinThetaAll(space, zero)).toBeUndefined();
  });
});
