import { expect, test } from "vitest";
import { firstOf, svd, vectorOf } from "../../src/analysis/linearAlgebra.js";
import { meanSquaredCosine } from "../../src/analysis/overlap.js";
import { mean, standardDeviation } from "../../src/stats/moments.js";
import { atAngles, frame, fromSvd } from "./planted.js";

test("two changes with a planted common subspace overlap by its share", () => {
  const all = frame("overlap", 12, 40);
  const pick = (members: readonly number[]) => ({
    count: members.length,
    length: all.length,
    data: Float64Array.from(members.flatMap((i) => [...vectorOf(all, i)])),
  });
  const values = [5, 4, 3, 2];
  const a = svd(fromSvd(pick([0, 1, 2, 3]), values, frame("a", 4, 18))).left;
  const b = svd(fromSvd(pick([3, 7, 1, 9]), values, frame("b", 4, 18))).left;
  // Of four directions two are common; the first of each are not.
  expect(meanSquaredCosine(firstOf(a, 4), firstOf(b, 4))).toBeCloseTo(0.5, 12);
  expect(meanSquaredCosine(firstOf(a, 1), firstOf(b, 1))).toBeCloseTo(0, 12);
  expect(meanSquaredCosine(firstOf(a, 2), firstOf(b, 3))).toBeCloseTo(0.5, 12);
  expect(meanSquaredCosine(firstOf(a, 4), firstOf(a, 4))).toBeCloseTo(1, 12);
});

test("planted principal angles give the mean of their squared cosines", () => {
  const all = frame("angles", 6, 30);
  const found = meanSquaredCosine(firstOf(all, 3), atAngles(all, 3, [0, 60, 90]));
  expect(found).toBeCloseTo((1 + 0.25 + 0) / 3, 12);
});

test("random subspaces of k dimensions in m overlap by k / m, within 3 standard errors", () => {
  const fixed = frame("fixed", 5, 32);
  const draws = Array.from({ length: 400 }, (_, i) => meanSquaredCosine(fixed, frame(`draw ${i}`, 5, 32)));
  expect(Math.abs(mean(draws) - 5 / 32)).toBeLessThan((3 * standardDeviation(draws)) / Math.sqrt(draws.length));
});
