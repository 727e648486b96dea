import { describe, expect, test } from "vitest";
import { bestLabelAccuracy, bestLabelChance, twoMeans } from "../../src/stats/twoMeans.js";
import { generator, normals } from "./generator.js";

describe("2-means", () => {
  test("finds two planted clouds without their labels", () => {
    const random = generator(1);
    const labels = Uint8Array.from({ length: 400 }, (_, i) => i % 2);
    const points = normals(random, 800).map((value, at) => value + (labels[at >> 1] === 1 ? 8 : 0));
    const { assignment, converged, centres } = twoMeans(points, 2);
    expect(converged).toBe(true);
    expect(bestLabelAccuracy(assignment, labels)).toBe(1);
    const sorted = centres.map((centre) => centre[0]!).sort((a, b) => a - b);
    expect(Math.abs(sorted[0]!)).toBeLessThan(0.3);
    expect(Math.abs(sorted[1]! - 8)).toBeLessThan(0.3);
  });

  test("gives the same clusters every time", () => {
    const points = normals(generator(2), 300);
    expect(twoMeans(points, 3)).toEqual(twoMeans(points, 3));
  });

  test("every point ends with its nearer centre", () => {
    const points = normals(generator(3), 200);
    const { assignment, centres } = twoMeans(points, 2);
    const distance = (row: number, side: 0 | 1) =>
      (points[2 * row]! - centres[side][0]!) ** 2 + (points[2 * row + 1]! - centres[side][1]!) ** 2;
    assignment.forEach((side, row) => {
      expect(distance(row, side as 0 | 1)).toBeLessThanOrEqual(distance(row, (1 - side) as 0 | 1));
    });
  });

  test("points that are all equal end in one cluster", () => {
    expect([...twoMeans([1, 1, 1, 1], 1).assignment]).toEqual([0, 0, 0, 0]);
  });

  test("a single point is refused", () => {
    expect(() => twoMeans([1, 2], 2)).toThrow(RangeError);
  });

  test("the accuracy takes the better of the two namings", () => {
    expect(bestLabelAccuracy([0, 0, 1, 1], [1, 1, 0, 1])).toBe(0.75);
  });

  test("chance is the exact expectation over all splits", () => {
    for (const n of [1, 2, 5, 10]) {
      let total = 0;
      const labels = new Uint8Array(n);
      for (let bits = 0; bits < 2 ** n; bits++)
        total += bestLabelAccuracy(
          Uint8Array.from({ length: n }, (_, i) => (bits >> i) & 1),
          labels,
        );
      expect(bestLabelChance(n)).toBeCloseTo(total / 2 ** n, 12);
    }
    // For large n it approaches ½ + 1 / √(2πn).
    expect(bestLabelChance(2000)).toBeCloseTo(0.5 + 1 / Math.sqrt(2 * Math.PI * 2000), 5);
  });
});
