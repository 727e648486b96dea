import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { balancedCells, type Cells } from "../../../src/audit/prompts/balancedCells.js";
import { crossedDesign, parseList, parseUnsafePairs } from "../../../src/audit/prompts/crossedDesign.js";

const isBalanced = (kept: Cells, unsafe: Cells) => {
  const sums = [...kept.map(() => 0), ...kept[0]!.map(() => 0)];
  for (const [i, row] of kept.entries())
    for (const [j, isKept] of row.entries())
      if (isKept) {
        sums[i]! += unsafe[i]![j] ? 1 : -1;
        sums[kept.length + j]! += unsafe[i]![j] ? 1 : -1;
      }
  return sums.every((sum) => sum === 0);
};
const count = (cells: Cells) => cells.flat().filter(Boolean).length;
const fromBits = (bits: number, rows: number, columns: number) =>
  Array.from({ length: rows }, (_, i) =>
    Array.from({ length: columns }, (_, j) => ((bits >> (i * columns + j)) & 1) === 1),
  );

describe("the balanced pairs", () => {
  it("are as many as any choice can keep: all 512 tables of 3 by 3, against trying every subset", () => {
    for (let bits = 0; bits < 512; bits++) {
      const unsafe = fromBits(bits, 3, 3);
      let most = 0;
      for (let subset = 0; subset < 512; subset++) {
        const kept = fromBits(subset, 3, 3);
        if (count(kept) > most && isBalanced(kept, unsafe)) most = count(kept);
      }
      const kept = balancedCells(unsafe, bits);
      expect(isBalanced(kept, unsafe)).toBe(true);
      expect(count(kept)).toBe(most);
    }
  });

  it("are balanced for tables of any shape, at least the largest block planted in them, the same for the same seed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1e6 }),
        fc.integer({ min: 2, max: 9 }),
        fc.integer({ min: 2, max: 9 }),
        (seed, m, n) => {
          // A balanced checkerboard of 2m by 2n, and two columns of noise.
          const unsafe = Array.from({ length: 2 * m }, (_, i) =>
            Array.from({ length: 2 * n + 2 }, (_, j) =>
              j < 2 * n ? (i + j) % 2 === 0 : ((seed >> ((i + j) % 20)) & 1) === 1,
            ),
          );
          const kept = balancedCells(unsafe, seed);
          expect(isBalanced(kept, unsafe)).toBe(true);
          expect(count(kept)).toBeGreaterThanOrEqual(4 * m * n);
          expect(balancedCells(unsafe, seed)).toEqual(kept);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("of 100 operators and 120 operands are found at once", () => {
    const unsafe = Array.from({ length: 100 }, (_, i) =>
      Array.from({ length: 120 }, (_, j) => (i * 7 + j * j) % 10 < 3),
    );
    const kept = balancedCells(unsafe, 1);
    expect(isBalanced(kept, unsafe)).toBe(true);
    expect(count(kept)).toBeGreaterThan(6000);
  });
});

describe("a crossed design", () => {
  const characters = async (texts: readonly string[]) => texts.map((text) => text.length);
  const options = { templates: ["{operator} {operand}"], lengthsOf: characters, lengthTolerance: 0.05, seed: 3 };
  const words = (prefix: string, n: number, width = 0) =>
    Array.from({ length: n }, (_, i) => `${prefix}${i}`.padEnd(width + (i % 3), "x"));

  it("leaves neither operator, operand nor length to tell the label, and says what it dropped", async () => {
    // Operators 0..3 are refused with operands 0..3, operators 4..7 with operands 4..7; operand 8 is never refused, operator 8 always.
    const [operators, operands] = [words("op", 9, 6), words("thing", 9, 8)];
    const unsafe = operators.map((_, i) => operands.map((_, j) => i === 8 || (j < 8 && i < 4 === j < 4)));
    const { prompts, report } = await crossedDesign({ operators, operands, unsafe }, options);
    expect(report.given).toMatchObject({ safe: 40, unsafe: 41, chance: 41 / 81 });
    expect(report.given.operator).toBeGreaterThan(0.58);
    expect(report.kept).toMatchObject({ safe: 32, unsafe: 32, chance: 0.5, operator: 0.5, operand: 0.5 });
    expect(report.kept.length).toBeLessThanOrEqual(0.55);
    expect(report.dropped.balance).toBe(81 - 64);
    expect(report.absent).toEqual([
      'operator "op8xxxxx": all of its pairs are unsafe',
      'operand "thing8xxxx": its pairs found no counterpart, or went to match lengths',
    ]);
    expect(prompts).toHaveLength(report.pairs.kept);
    expect(
      prompts.every(({ label, set, text, operator, operand }) => label === set && text === `${operator} ${operand}`),
    ).toBe(true);
  });

  it("drops blocks until the lengths of both labels match", async () => {
    // Refused are short with short and long with long, 3 of each; beside them stands a block of equal lengths.
    const lengths = [1, 1, 1, 9, 9, 9, 5, 5, 5, 5];
    const [operators, operands] = ["abcdefghij", "klmnopqrst"].map((letters) =>
      [...letters].map((letter, i) => letter.repeat(lengths[i]!)),
    ) as [string[], string[]];
    const unsafe = operators.map((_, i) =>
      operands.map((_, j) => (i < 6 && j < 6 && i < 3 === j < 3) || (i >= 6 && j >= 6 && (i + j) % 2 === 0)),
    );
    const { prompts, report } = await crossedDesign({ operators, operands, unsafe }, options);
    expect(report.given.length).toBeGreaterThan(0.6);
    expect(report.dropped.lengths).toBeGreaterThan(0);
    expect(report.kept).toMatchObject({ operator: 0.5, operand: 0.5 });
    expect(report.kept.length).toBeLessThanOrEqual(0.55);
    const lengthsOf = (label: string) => prompts.filter((one) => one.label === label).map(({ text }) => text.length);
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(lengthsOf("safe"))).toBe(mean(lengthsOf("unsafe")));
  });

  it("renders every pair with every template, and is the same for the same seed", async () => {
    const [operators, operands] = [words("o", 6), words("p", 6)];
    const unsafe = operators.map((_, i) => operands.map((_, j) => (i + j) % 3 === 0 || (i > 2 && j > 2)));
    const both = {
      ...options,
      lengthTolerance: 0.5,
      templates: ["{operator} {operand}.", "Please {operator} {operand}!"],
    };
    const first = await crossedDesign({ operators, operands, unsafe }, both);
    expect(first.prompts).toHaveLength(2 * first.report.pairs.kept);
    expect(await crossedDesign({ operators, operands, unsafe }, both)).toEqual(first);
  });

  it.each<[string, (i: number, j: number) => boolean, RegExp]>([
    [
      "operand",
      (_, j) => j < 2,
      /the operand alone decides \(operator alone 50\.0%, operand alone 100\.0% of all pairs, chance 50\.0%\)/,
    ],
    ["operator", (i) => i < 2, /the operator alone decides \(operator alone 100\.0%/],
    ["nothing", () => false, /chance 100\.0%/],
  ])("is refused where the %s alone decides", async (_, rule, message) => {
    const [operators, operands] = [words("o", 4), words("p", 4)];
    const unsafe = operators.map((_, i) => operands.map((_, j) => rule(i, j)));
    await expect(crossedDesign({ operators, operands, unsafe }, options)).rejects.toThrow(message);
  });

  it("is refused where length gives the label away and cannot be matched", async () => {
    const [operators, operands] = [
      ["a", "b".repeat(9)],
      ["w", "x".repeat(9)],
    ];
    const unsafe = [
      [true, false],
      [false, true],
    ];
    await expect(crossedDesign({ operators, operands, unsafe }, options)).rejects.toThrow(
      /length of the prompt alone tells the label in 75\.0%, above the 55\.0% allowed/,
    );
  });
});

describe("the lists of a design", () => {
  const lists = { operators: ["plan", "praise"], operands: ["the swim", "the concert", "the walk"] };

  it("are one entry per line; pairs are single or many at once", () => {
    expect(parseList("# tasks\nplan\n\n praise \r\n", "o.txt")).toEqual(["plan", "praise"]);
    const pairs =
      '{"operator": "plan", "operand": ["the swim", "the walk"]}\n{"operator": ["praise"], "operand": "the concert"}\n';
    expect(parseUnsafePairs(pairs, "u.jsonl", lists)).toEqual([
      [true, false, true],
      [false, true, false],
    ]);
  });

  it.each<[() => unknown, RegExp]>([
    [() => parseList("plan\npraise\nplan", "o.txt"), /^o\.txt, line 3 repeats line 1/],
    [() => parseList("plan\n", "o.txt"), /^o\.txt has one entry; give at least 2/],
    [() => parseList("pl\u0007an\nb", "o.txt"), /line 1 holds a control character/],
    [
      () => parseUnsafePairs('{"operator": "plann", "operand": "the swim"}', "u", lists),
      /^u, line 1: "plann" is not in the list of operators; did you mean "plan"/,
    ],
    [() => parseUnsafePairs('{"operator": "plan"}', "u", lists), /line 1 needs "operand"/],
    [() => parseUnsafePairs('{"operator": "plan", "operand": 3}', "u", lists), /line 1 needs "operand"/],
    [() => parseUnsafePairs('{"operators": "plan"}', "u", lists), /"operators" is not a key here/],
    [
      () => parseUnsafePairs('\n{"operator": "plan", "operand": ["the swim", "the swim"]}', "u", lists),
      /line 2 names the pair of "plan" and "the swim" a second time/,
    ],
  ])("are strictly read (%#)", (read, message) => {
    expect(read).toThrow(message);
  });
});
