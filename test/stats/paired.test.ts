import { describe, expect, test } from "vitest";
import { pairedDifference } from "../../src/stats/paired.js";
import { generator, normals } from "./generator.js";

describe("the paired difference", () => {
  test("finds a small change that the spread between samples would hide", () => {
    const random = generator(1);
    const before = normals(random, 100).map((value) => 10 * value);
    const after = normals(random, 100).map((noise, i) => before[i]! + 0.5 + noise);
    const { value, low, high, pValue, n } = pairedDifference(before, after, { random });
    expect(n).toBe(100);
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThan(value);
    expect(low).toBeGreaterThan(0);
    expect(pValue).toBeLessThan(0.01);
  });

  test("without a change p-values are uniform", () => {
    const random = generator(2);
    let below = 0;
    for (let study = 0; study < 200; study++)
      if (pairedDifference(normals(random, 20), normals(random, 20), { random, resamples: 99 }).pValue <= 0.2) below++;
    // 40 expected, standard deviation 5.7.
    expect(below).toBeGreaterThan(22);
    expect(below).toBeLessThan(58);
  });

  test("identical conditions have p = 1", () => {
    expect(pairedDifference([1, 2], [1, 2], { random: generator(3) })).toMatchObject({
      value: 0,
      low: 0,
      high: 0,
      pValue: 1,
    });
  });

  test("unequal lengths are refused", () => {
    expect(() => pairedDifference([1], [1, 2], { random: generator(4) })).toThrow(RangeError);
  });
});
