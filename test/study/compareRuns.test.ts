import { describe, expect, test } from "vitest";
import { formatComparison } from "../../src/cli/compare.js";
import { createStream, randomKey } from "../../src/random/index.js";
import { wilsonInterval } from "../../src/stats/intervals.js";
import { compareRows, configDifferences } from "../../src/study/compareRuns.js";
import type { ResultRow } from "../../src/study/results.js";

const QUANTITIES = 400;

/** Shares of n draws with these truths, one row a quantity and seed, with Wilson's interval. */
function study(key: string, truth: (quantity: number) => number, seeds: readonly number[] = [0], n = 400): ResultRow[] {
  return seeds.flatMap((seed) => {
    const { uniform } = createStream(randomKey(seed, key), 0);
    return Array.from({ length: QUANTITIES }, (_, index): ResultRow => {
      let hits = 0;
      for (let i = 0; i < n; i++) hits += Number(uniform() < truth(index));
      const share = { value: hits / n, n, ...wilsonInterval(hits, n) };
      return { measure: "behaviour", metric: "null", checkpoint: "ssft-medium", set: "unsafe", index, seed, ...share };
    });
  });
}
const half = (quantity: number) => 0.3 + (0.4 * quantity) / QUANTITIES;

describe("two runs of the same truth", () => {
  test.each<[string, readonly number[], readonly number[]]>([
    ["by their intervals", [0], [0]],
    ["over the same seeds, paired", [1, 2, 3, 4], [1, 2, 3, 4]],
    ["over seeds of their own", [1, 2, 3, 4, 5], [6, 7, 8, 9, 10]],
    ["one seed against three", [0], [1, 2, 3]],
  ])("about 5%% are flagged, about none after correction: %s", (_how, a, b) => {
    const found = compareRows(study("a", half, a, 200), study("b", half, b, 200));
    expect(found.compared).toHaveLength(QUANTITIES);
    expect(found.flaggedByChance).toBeCloseTo(20, 10);
    // 20 expected, deviation 4.4: four deviations on either side.
    expect(found.flagged).toBeGreaterThanOrEqual(4);
    expect(found.flagged).toBeLessThanOrEqual(38);
    expect(found.beyondNoise).toBeLessThanOrEqual(2);
    // Where a p-value is below 5% the interval leaves 0 out, and the other way round.
    for (const { low, high, pValue } of found.compared) expect(low > 0 || high < 0).toBe(pValue < 0.05);
  });
});

describe("planted differences", () => {
  const planted = (quantity: number) => half(quantity) + (quantity % 20 === 0 ? 0.25 : 0);
  test.each<[string, readonly number[], "intervals" | "paired" | "seeds"]>([
    ["one seed", [0], "intervals"],
    ["the same four seeds", [1, 2, 3, 4], "paired"],
  ])("are found after correction, and next to nothing else: %s", (_how, seeds, by) => {
    const found = compareRows(study("a", half, seeds), study("b", planted, seeds));
    const called = found.compared.filter(({ adjusted }) => adjusted < 0.05);
    const right = called.filter(({ quantity }) => quantity.index! % 20 === 0);
    expect(right.length).toBeGreaterThanOrEqual(by === "paired" ? 15 : 20);
    expect(called.length - right.length).toBeLessThanOrEqual(4);
    expect(found.beyondNoise).toBe(called.length);
    for (const row of right) {
      expect(row.by).toBe(by);
      expect(row.difference).toBeGreaterThan(0.1);
      expect(row.second - row.first).toBeCloseTo(row.difference, 12);
    }
    const text = formatComparison({ ...found, config: [] }, ["a", "b"]);
    expect(text).toContain("by chance alone about 20.0");
    expect(text).toContain("Benjamini-Hochberg");
    expect(text).toMatch(/behaviour null ssft-medium unsafe index \d+: 0\.\d+ -> 0\.\d+, difference 0\.\d+ \[/);
  });

  test("intervals of a difference cover it in about 95 of 100", () => {
    const found = compareRows(study("c", half), study("d", planted));
    const covered = found.compared.filter(({ quantity, low, high }) => {
      const truth = quantity.index! % 20 === 0 ? 0.25 : 0;
      return low <= truth && truth <= high;
    });
    expect(covered.length / QUANTITIES).toBeGreaterThan(0.91);
    expect(covered.length / QUANTITIES).toBeLessThan(0.985);
  });
});

describe("what is not a matter of noise", () => {
  const rows = study("a", half).slice(0, 3);
  const curve: ResultRow = { measure: "training", metric: "loss", checkpoint: "instruct", step: 1, seed: 0, value: 3 };

  test("identical runs say so", () => {
    const found = { ...compareRows(rows, [...rows].reverse()), config: [] };
    expect(found).toMatchObject({ identical: true, matched: 3, same: 3, flagged: 0, beyondNoise: 0 });
    expect(formatComparison(found, ["a", "b"])).toBe(
      "a and b are identical: the same settings, and 3 quantities with the same values.\n",
    );
    // One bit of one value is enough to be no longer identical, and is within noise.
    const nudged = rows.map((row, i) => (i === 0 ? { ...row, value: row.value + 2 ** -52 } : row));
    expect(compareRows(rows, nudged)).toMatchObject({ identical: false, same: 2, flagged: 0 });
  });

  test("checkpoints and rows that one run has alone, and numbers without an interval, are counted apart", () => {
    const more: ResultRow = { ...rows[0]!, checkpoint: "npo-medium" };
    const found = compareRows([...rows, curve, more], [...rows, { ...curve, value: 4 }]);
    expect(found).toMatchObject({
      checkpoints: { onlyFirst: ["npo-medium"], onlySecond: [] },
      rows: { onlyFirst: { behaviour: 1 }, onlySecond: {} },
      unjudged: { training: 1 },
      matched: 4,
      same: 3,
      identical: false,
    });
    expect(found.compared).toHaveLength(3);
  });

  test("settings that differ are named by their keys; the name, threads and versions are none", () => {
    const config = {
      name: "a",
      threads: 1,
      seeds: [0],
      tune: { rates: { medium: 1e-3 }, steps: 5 },
      versions: { node: "1" },
    };
    const other = { name: "b", threads: 2, seeds: [0, 1], tune: { rates: { medium: 2e-3, small: 1e-4 }, steps: 5 } };
    expect(configDifferences(config, other)).toEqual([
      { key: "seeds", first: "[0]", second: "[0,1]" },
      { key: "tune.rates.medium", first: "0.001", second: "0.002" },
      { key: "tune.rates.small", first: undefined, second: "0.0001" },
    ]);
  });
});
