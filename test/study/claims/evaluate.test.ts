import { describe, expect, test } from "vitest";
import { judge } from "../../../src/study/claims/evaluate.js";
import { loadClaims } from "../../../src/study/claims/load.js";
import type { ResultRow } from "../../../src/study/results.js";
import { claimOf, decide, decideFile } from "./planted.js";

const row = (value: number, half: number | undefined, fields: Partial<ResultRow> = {}): ResultRow => ({
  measure: "m",
  metric: "x",
  seed: 0,
  value,
  n: 100,
  ...(half !== undefined && { low: value - half, high: value + half }),
  ...fields,
});
const ABOVE = "of: { measure: m, metric: x, checkpoint: a }\nchance: 0\ndirection: above";
const AGAINST = "of: { measure: m, metric: x, checkpoint: a }\nagainst: { checkpoint: b }\nchance: 0\ndirection: above";
const a = { checkpoint: "a" };
const b = { checkpoint: "b" };

describe("the rule, one seed", () => {
  test("supported above the null, contradicted below, undecided across; n and seeds as the rows have them", () => {
    expect(decide(ABOVE, [row(3, 1, a)])).toMatchObject({
      ...{ verdict: "supported", value: 3, low: 2, high: 4, chance: 0, n: 100, seeds: 1, measure: "m" },
    });
    expect(decide(ABOVE, [row(-3, 1, a)]).verdict).toBe("contradicted");
    expect(decide(ABOVE, [row(0.5, 1, a)]).verdict).toBe("undecided");
    expect(decide(ABOVE, [row(1, 1, a)]).verdict).toBe("undecided"); // touching is not beyond
  });

  test("a planted large effect is supported, its mirror image contradicted, in either direction", () => {
    const there = [row(5, 1, a), row(1, 1, b)];
    const mirrored = [row(1, 1, a), row(5, 1, b)];
    for (const [direction, rows, verdict] of [
      ["above", there, "supported"],
      ["above", mirrored, "contradicted"],
      ["below", there, "contradicted"],
      ["below", mirrored, "supported"],
    ] as const)
      expect(decide(AGAINST.replace("above", direction), rows).verdict).toBe(verdict);
  });

  test("the margin moves the bound of support alone", () => {
    const asks = (margin: number, value: number, direction = "above") =>
      decide(`${ABOVE.replace("above", direction)}\nmargin: ${margin}`, [row(value, 1, a)]).verdict;
    expect(asks(1, 3)).toBe("supported");
    expect(asks(2, 3)).toBe("undecided");
    expect(asks(2, -3, "below")).toBe("undecided");
    expect(asks(1.9, -3, "below")).toBe("supported");
    expect(asks(2, -1.5)).toBe("contradicted");
    expect(asks(2, 1.5, "below")).toBe("contradicted");
  });

  test("a difference: both intervals count", () => {
    const decided = decide(AGAINST, [row(5, 3, a), row(1, 4, b)]);
    expect(decided).toMatchObject({ value: 4, low: -1, high: 9, verdict: "undecided" });
  });

  test("a ratio is compared on the logarithm; rows that may be 0 have none", () => {
    const ratio = AGAINST.replace("chance: 0", "contrast: ratio\nchance: 1");
    const decided = decide(ratio, [row(8, 1, a), row(2, 0.1, b)]);
    expect(decided).toMatchObject({ value: expect.closeTo(4, 12), chance: 1, verdict: "supported" });
    expect(decided.low! * decided.high!).not.toBeCloseTo(16, 1); // not symmetric: the rows are, their logarithms are not
    expect(decide(ratio, [row(8, 1, a), row(2, 3, b)])).toMatchObject({
      verdict: "undecided",
      reason: "no interval: a ratio needs rows whose intervals lie above 0",
    });
  });

  test("rows without an interval are exact beside a null with a spread, and undecided beside one without", () => {
    const against = "of: { measure: m, metric: x, checkpoint: a }\nchance: { metric: null-x }\ndirection: above";
    const null_ = (half: number | undefined) => row(0.5, half, { ...a, metric: "null-x" });
    expect(decide(against, [row(0.7, undefined, a), null_(0.1)])).toMatchObject({
      verdict: "supported",
      value: 0.7,
      chance: 0.5,
    });
    expect(decide(against, [row(0.59, undefined, a), null_(0.1)]).verdict).toBe("undecided");
    const bare = decide(against, [row(0.7, undefined, a), null_(undefined)]);
    expect(bare).toMatchObject({ verdict: "undecided", value: 0.7, chance: 0.5 });
    expect(bare.reason).toContain("use more seeds");
    expect(bare.low).toBeUndefined();
  });

  test("the rows' own chance", () => {
    const own = ABOVE.replace("chance: 0", "chance: own");
    expect(decide(own, [row(0.7, 0.1, { ...a, chance: 0.5 })])).toMatchObject({ verdict: "supported", chance: 0.5 });
    expect(decide(own, [row(0.7, 0.1, a)]).reason).toBe("not measured: the rows have no chance level");
  });
});

describe("the rule, several seeds", () => {
  const over = (values: readonly number[], fields = a) =>
    values.map((value, seed) => row(value, 5, { ...fields, seed }));

  test("Student's interval over the seeds, whatever the rows' own intervals", () => {
    const decided = decide(ABOVE, over([1, 2, 3]));
    expect(decided).toMatchObject({ value: 2, seeds: 3, verdict: "undecided" });
    expect(decided.low).toBeCloseTo(2 - 2.484138, 5);
    expect(decided.high).toBeCloseTo(2 + 2.484138, 5);
    expect(decide(ABOVE, over([2, 2.1, 2.2])).verdict).toBe("supported");
  });

  test("pairs are of one seed: what seeds share cancels, and a seed that lacks a side is left out", () => {
    const rows = [...over([11, 22.1, 33.2], a), ...over([10, 21, 32], b)];
    const decided = decide(AGAINST, rows);
    expect(decided).toMatchObject({ verdict: "supported", seeds: 3 });
    expect(decided.value).toBeCloseTo(1.1, 12);
    expect(decided.p).toBeLessThan(0.05);
    expect(decide(AGAINST, rows.slice(0, 5))).toMatchObject({ seeds: 2 });
    expect(decide(AGAINST, [row(1, 1, { ...a, seed: 0 }), row(0, 1, { ...b, seed: 1 })]).reason).toBe(
      "not measured: no seed has all the rows",
    );
  });

  test("seeds that agree entirely have their samples' interval, narrower with more of them", () => {
    const share = (seeds: number) =>
      decide(
        ABOVE,
        Array.from({ length: seeds }, (_, seed) => ({ ...row(1, 0, a), seed, low: 0.9 })),
      );
    expect(share(1)).toMatchObject({ low: 0.9, high: 1, verdict: "supported" });
    expect(share(4).low).toBeCloseTo(0.95, 12);
    expect(share(4)).toMatchObject({ p: expect.closeTo(0, 5), verdict: "supported" });
  });

  test("a null's rows are paired too", () => {
    const text = "of: { measure: m, metric: x, checkpoint: a }\nchance: { checkpoint: b }\ndirection: above";
    const decided = decide(text, [...over([11, 22.1, 33.2], a), ...over([10, 21, 32], b)]);
    expect(decided).toMatchObject({ verdict: "supported", chance: 21 });
    expect(decided.low! - decided.chance!).toBeGreaterThan(0.8);
  });
});

describe("which rows", () => {
  test("what is not named must be absent: branches, steps and outcomes do not slip in", () => {
    for (const extra of [{ branch: "A" }, { step: 5 }, { outcome: "success" as const }, { block: 1 }, { index: 1 }])
      expect(decide(ABOVE, [row(9, 1, { ...a, ...extra })]).reason).toContain("not measured: m x, checkpoint a");
  });

  test("blocks by place follow the model's depth", () => {
    const blocks = (count: number) => Array.from({ length: count }, (_, i) => row(i + 1, 0.1, { ...a, block: i + 1 }));
    const at = (place: string, count: number) =>
      decide(ABOVE.replace("checkpoint: a", `checkpoint: a, block: ${place}`), blocks(count)).value;
    expect([at("first", 6), at("last", 6), at("early", 6), at("late", 6), at("all", 6)]).toEqual([1, 6, 2, 5, 3.5]);
    expect([at("early", 3), at("late", 3), at("2", 3)]).toEqual([1, 3, 2]);
    expect(at("[1, last]", 3)).toBe(2);
    expect(at("early", 1)).toBeUndefined();
  });

  test("a list is a mean over all of its values, and not measured where one is missing", () => {
    const text = ABOVE.replace("checkpoint: a", "checkpoint: [a, b]");
    const both = decide(text, [row(1, 1, a), row(3, 2, b)]);
    expect(both).toMatchObject({ value: 2, low: 0.5, high: 3.5 }); // as if both went together: never too narrow
    expect(decide(text, [row(1, 1, a)]).reason).toBe("not measured: m x, checkpoint a and b");
  });

  test("null takes a field away from the other side", () => {
    const text =
      "of: { measure: m, metric: x, set: u, branch: A }\nagainst: { branch: null }\nchance: 0\ndirection: above";
    expect(decide(text, [row(9, 1, { set: "u", branch: "A" }), row(1, 1, { set: "u" })]).value).toBe(8);
  });

  test("what is missing is told, never an error", () => {
    expect(decide(ABOVE, [])).toMatchObject({
      ...{ verdict: "undecided", corrected: "undecided", seeds: 0 },
      reason: 'not measured: the run has no results of "m"',
    });
    expect(decide(ABOVE.replace("metric: x", "metric: sepration"), [row(1, 1, { metric: "separation" })]).reason).toBe(
      'not measured: m has no metric "sepration" (did you mean "separation"?)',
    );
  });
});

describe("correlation", () => {
  const text =
    "of: { measure: m, metric: x, set: [a, b, c, d, e, f, g, h, i, j] }\nagainst: { metric: y }\ncontrast: correlation\nchance: 0\ndirection: above";
  const sets = [..."abcdefghij"];
  const rows = (y: (i: number) => number) =>
    sets.flatMap((set, i) => [row(i, 0.1, { set }), row(y(i), 0.1, { set, metric: "y" })]);

  test("rows are matched by what the list varies; order counts, scale does not", () => {
    expect(
      decide(
        text,
        rows((i) => i ** 3),
      ),
    ).toMatchObject({ value: 1, verdict: "supported" });
    expect(decide(text, [...rows((i) => -i)].reverse())).toMatchObject({ value: -1, verdict: "contradicted" });
    expect(
      decide(
        text,
        rows((i) => (i * 7) % 10),
      ).verdict,
    ).toBe("undecided");
  });
});

describe("several parts", () => {
  const text = (parts: number) =>
    `claims:\n  - id: C\n    statement: s\n    source: s\n    parts:\n${Array.from(
      { length: parts },
      (_, i) =>
        `      - { id: C${i}, statement: s, of: { measure: m, metric: x, index: ${i} }, chance: 0, direction: above }\n`,
    ).join("")}`;

  test("Holm's correction over the parts that have an interval; both verdicts are kept", () => {
    // z = 2.1 each: p = 0.036, alone below 5%, among two 0.071.
    const rows = [row(2.1, 1.959963984540054, { index: 0 }), row(2.1, 1.959963984540054, { index: 1 })];
    const [first, second, absent] = decideFile(text(3), rows).rows;
    expect(first).toMatchObject({ verdict: "supported", corrected: "undecided" });
    expect(first!.p).toBeCloseTo(0.0357, 4);
    expect(second!.pHolm).toBeCloseTo(0.0715, 4);
    expect(absent).not.toHaveProperty("pHolm");
    expect(decideFile(text(3), [rows[0]!]).rows[0]).toMatchObject({ corrected: "supported" });
  });

  test("a claim is what its parts are", () => {
    const verdict = (...values: number[]) =>
      decideFile(
        text(values.length),
        values.map((value, index) => row(value, 1, { index })),
      ).claims[0]!.verdict;
    expect(verdict(9, 9)).toBe("supported");
    expect(verdict(9, 0)).toBe("undecided");
    expect(verdict(9, 0, -9)).toBe("contradicted");
  });
});

test("p is at most 5% exactly when there is a verdict", () => {
  const of = (seeds: number, value: number) =>
    seeds === 1
      ? decide(ABOVE, [row(value, 1, a)])
      : decide(
          ABOVE,
          [-1, 0, 1].map((shift, seed) => row(value + shift / 2.484138, 1, { ...a, seed })),
        );
  for (const seeds of [1, 3])
    for (const value of [-1.02, -0.98, 0, 0.98, 1.02])
      expect(of(seeds, value).p! <= 0.05).toBe(of(seeds, value).verdict !== "undecided");
  const effect = { value: 1, null: 0, low: 1, high: 1, pAbove: () => 0, pBelow: () => 1 };
  expect(judge({ direction: "above" }, effect)).toEqual({ verdict: "supported", p: 0 });
});

describe("the paper's claims", () => {
  test("every claim of the method's table is there, with sources, rules and its parts", async () => {
    const [paper] = await loadClaims(["paper"]);
    expect(paper!.claims.map(({ id }) => id)).toEqual(["O1", "O2", "O3", "O4", "O5", "I1", "I2"]);
    for (const claim of paper!.claims) for (const part of claim.parts) expect(part.id.startsWith(claim.id)).toBe(true);
    const o2 = paper!.claims[1]!.parts.map(({ chance }) => (chance as { metric: string }).metric);
    expect(new Set(o2)).toEqual(new Set(["null-random-all", "null-matched-all", "null-continue-all", "null-random"]));
  });

  test("a run without any results leaves every one undecided, with what is missing", async () => {
    const [paper] = await loadClaims(["paper"]);
    const { rows, claims } = decideFile(paper!.claims, []);
    expect(rows.every(({ verdict, reason }) => verdict === "undecided" && reason!.startsWith("not measured"))).toBe(
      true,
    );
    expect(claims.every(({ verdict }) => verdict === "undecided")).toBe(true);
  });
});

test("the same claims and rows give the same verdicts, in any order of rows", () => {
  const rows = [row(5, 1, a), row(1, 2, b), row(4, 1, { ...a, seed: 1 }), row(1, 1, { ...b, seed: 1 })];
  expect(decideFile(claimOf(AGAINST), [...rows].reverse())).toEqual(decideFile(claimOf(AGAINST), rows));
});
