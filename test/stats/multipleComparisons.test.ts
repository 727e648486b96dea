import { expect, test } from "vitest";
import { benjaminiHochberg } from "../../src/stats/multipleComparisons.js";

test("adjusted p-values are those that R's p.adjust gives, in the order of the tests", () => {
  // p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "BH") is 0.05 throughout.
  expect(Array.from(benjaminiHochberg([0.03, 0.01, 0.05, 0.02, 0.04]))).toEqual(
    Array(5).fill(expect.closeTo(0.05, 12)),
  );
  // By hand: 0.9; 0.02 * 4 / 3; 0.008 * 4 / 2; 0.001 * 4.
  expect(Array.from(benjaminiHochberg([0.02, 0.9, 0.001, 0.008]))).toEqual(
    [0.08 / 3, 0.9, 0.004, 0.016].map((p) => expect.closeTo(p, 12)),
  );
  expect(benjaminiHochberg([])).toHaveLength(0);
});
