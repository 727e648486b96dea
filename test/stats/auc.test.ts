import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { auc, aucInterval, hanleyMcNeilVariance } from "../../src/stats/auc.js";
import { generator, normals } from "./generator.js";

/** The definition, pair by pair. */
function naiveAuc(positives: readonly number[], negatives: readonly number[]): number {
  let wins = 0;
  for (const x of positives) for (const y of negatives) wins += x > y ? 1 : x === y ? 0.5 : 0;
  return wins / (positives.length * negatives.length);
}

const few = fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 30 });

describe("AUC", () => {
  test("equals the count over all pairs, with many ties", () => {
    fc.assert(
      fc.property(few, few, (positives, negatives) => {
        expect(auc(positives, negatives)).toBeCloseTo(naiveAuc(positives, negatives), 12);
      }),
    );
  });

  test("turns around when the groups change places, and ignores any increasing map", () => {
    fc.assert(
      fc.property(few, few, (positives, negatives) => {
        const area = auc(positives, negatives);
        expect(auc(negatives, positives)).toBeCloseTo(1 - area, 12);
        expect(auc(positives.map(Math.exp), negatives.map(Math.exp))).toBeCloseTo(area, 12);
      }),
    );
  });

  test("is 1 for separated groups, 1/2 for equal ones, NaN without a group", () => {
    expect(auc([3, 4], [1, 2])).toBe(1);
    expect(auc([1, 1], [1, 1, 1])).toBe(0.5);
    expect(auc([], [1])).toBeNaN();
  });
});

describe("the interval of an AUC", () => {
  test("keeps a width when the groups are separated perfectly", () => {
    const { low, high } = aucInterval(1, 50, 50);
    expect(high).toBe(1);
    expect(low).toBeGreaterThan(0.9);
    expect(low).toBeLessThan(0.999);
  });

  test("mirrors around one half", () => {
    const upper = aucInterval(0.8, 40, 40);
    const lower = aucInterval(0.2, 40, 40);
    expect(lower.low).toBeCloseTo(1 - upper.high, 10);
    expect(lower.high).toBeCloseTo(1 - upper.low, 10);
  });

  test("covers the true area of two normals in 90 to 99% of studies", () => {
    // P(X > Y) for X ~ N(1.2, 1), Y ~ N(0, 1) is Φ(1.2 / √2) = 0.801925.
    const random = generator(21);
    let held = 0;
    for (let i = 0; i < 500; i++) {
      const { low, high } = aucInterval(auc(normals(random, 60, 1.2), normals(random, 80)), 60, 80);
      if (low <= 0.801925 && 0.801925 <= high) held++;
    }
    expect(held / 500).toBeGreaterThan(0.9);
    expect(held / 500).toBeLessThan(0.99);
  });

  test("uses Hanley and McNeil's variance, checked against their formula by hand", () => {
    // θ = 0.8, n = 10, m = 20: Q1 = 2/3, Q2 = 0.7111..., V = (0.16 + 9·0.026667 + 19·0.071111) / 200.
    expect(hanleyMcNeilVariance(0.8, 10, 20)).toBeCloseTo(
      (0.16 + 9 * (2 / 3 - 0.64) + 19 * (1.28 / 1.8 - 0.64)) / 200,
      12,
    );
  });
});
