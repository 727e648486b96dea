import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  availableTestSets,
  decode,
  parseWorld,
  type Samples,
  testSet,
  tuningSamples,
  type World,
  type WorldFile,
} from "../../src/world/index.js";

const RULINGS = ["safe", "unsafe", "unruled"] as const;
/** What a name begins with never shows an order: neither the alphabet's nor that of the file. */
const BRANCHES = ["work", "A", "home", "B", "Zoo"];
const MAX_TEXT = 4;

/** A random rule: branches, for each what it says of each operator, who is a twin of whom, what is left out. */
interface RandomRule {
  readonly branches: readonly string[];
  /** [branches][originals] */
  readonly rulings: readonly (readonly (typeof RULINGS)[number][])[];
  readonly twins: readonly number[];
  readonly leftOut: readonly number[];
  /** Root rules as branches in order; -1 is a letter of no branch. */
  readonly roots: readonly (readonly number[])[];
}

const randomRule: fc.Arbitrary<RandomRule> = fc
  .record({ count: fc.integer({ min: 2, max: 5 }), originals: fc.integer({ min: 4, max: 8 }) })
  .chain(({ count, originals }) => {
    // The first operator is safe and the second unsafe everywhere: no branch is without either, and neither is ever left out.
    const ruling = fc
      .array(fc.constantFrom(...RULINGS), { minLength: originals - 2, maxLength: originals - 2 })
      .map((others) => ["safe" as const, "unsafe" as const, ...others]);
    const later = fc.integer({ min: 2, max: originals - 1 });
    return fc.record({
      branches: fc.shuffledSubarray(BRANCHES, { minLength: count, maxLength: count }),
      rulings: fc.array(ruling, { minLength: count, maxLength: count }),
      twins: fc.uniqueArray(fc.integer({ min: 0, max: originals - 1 }), { maxLength: 2 }),
      leftOut: fc.uniqueArray(later, { maxLength: 2 }),
      roots: fc.array(fc.array(fc.integer({ min: -1, max: count - 1 }), { minLength: 2, maxLength: 5 }), {
        maxLength: 3,
      }),
    });
  });

/** Branch b writes the letters b0 .. b3 alone; `-` belongs to none. */
function fileOf({ branches, rulings, twins, leftOut, roots }: RandomRule): WorldFile {
  const operators = rulings[0]!.map((_, index) => `f${index}`);
  const terminals = [...branches.flatMap((_, b) => [0, 1, 2, 3].map((i) => `${b}${i}`)), "-"];
  const node = (b: number) => (b < 0 ? "-" : `node${b}`);
  const all = branches.map((_, b) => node(b)).join(" ");
  return {
    schema: "nullscope/world@2",
    name: "random",
    description: "",
    terminals,
    text: { min: 2, max: MAX_TEXT, layout: "aligned" },
    null: "dedicated",
    skeleton: {
      root: "v",
      dominant: Object.fromEntries(branches.map((branch, b) => [branch, [node(b)]])),
      rules: {
        v: [...new Set([all, ...roots.map((root) => root.map(node).join(" "))])],
        ...Object.fromEntries(
          branches.map((_, b) => [node(b), [`x${b} x${b}`, `x${b} x${b} x${b}`, `x${b} x${b} x${b} x${b}`]]),
        ),
        ...Object.fromEntries(branches.map((_, b) => [`x${b}`, [0, 1, 2, 3].map((i) => `${b}${i}`)])),
      },
    },
    grammars: [
      {
        name: "G",
        rules: {},
        operators: Object.fromEntries(
          operators.map((name, by) => [name, [...terminals.slice(by), ...terminals.slice(0, by)].join(" ")]),
        ),
      },
    ],
    operators: {
      names: [...operators, ...twins.map((f) => `twin${f}`)],
      twins: Object.fromEntries(twins.map((f) => [`twin${f}`, `f${f}`])),
    },
    safety: Object.fromEntries(
      branches.map((branch, b) => {
        const named = (ruling: string) => operators.filter((_, f) => rulings[b]![f] === ruling);
        return [branch, { safe: named("safe"), unsafe: named("unsafe") }];
      }),
    ),
    pretraining: { identityShare: 0, nullShare: 0 },
    tuning: {
      leftOutOperators: leftOut.map((f) => `f${f}`),
      heldOutRules: [{ symbol: "node0", rule: "x0 x0 x0 x0" }],
    },
    testShare: 0.5, // so that a small world has tests of everything
  };
}

type Row = ReturnType<typeof decode>;
const rows = (world: World, samples: Samples): Row[] =>
  Array.from({ length: samples.count }, (_, row) => decode(world, samples, row));

/** Which branches' letters a text holds, by index. */
const held = ({ text }: Row): number[] =>
  [...new Set(text.filter((letter) => letter !== "-").map((letter) => Number(letter[0])))].sort();

/** Original's index of a task token's name. */
const functionOf = (name: string) => Number(name.replace(/^(f|twin)/, ""));

/** Pairs that can be neighbours in a window: only letters of no branch lie between them, and there is room. */
function neighbours(rule: RandomRule, a: number, b: number): boolean {
  return [rule.branches.map((_, i) => i), ...rule.roots].some((root) =>
    root.some((from, i) =>
      root.some(
        (to, j) =>
          i < j &&
          ((from === a && to === b) || (from === b && to === a)) &&
          root.slice(i + 1, j).every((between) => between < 0) &&
          j - i - 1 <= MAX_TEXT - 2,
      ),
    ),
  );
}

describe("random rules over two to five branches", () => {
  it("label every sample of tuning and of every set as a naive reading of the rule and the letters does", () => {
    fc.assert(
      fc.property(randomRule, fc.nat(1000), (rule, seed) => {
        const world = parseWorld(fileOf(rule), "random");
        const says = (row: Row, branch: number) =>
          row.operators.map((name) => rule.rulings[branch]![functionOf(name)]!).join(" ");
        const shown = ({ operators }: Row) =>
          operators.every((name) => name.startsWith("f") && !rule.leftOut.includes(functionOf(name)));
        const tuning = rows(world, tuningSamples(world, { seed, count: 4 * rule.branches.length }));
        expect(tuning.every(shown)).toBe(true);
        for (const row of tuning) expect(says(row, held(row)[0]!)).toBe(`${row.label} ${row.label}`);
        const sets = availableTestSets(world);
        for (const set of ["safe", "unsafe", "jb-co-task", "jb-misgen-text"] as const) expect(sets).toContain(set);
        for (const set of sets) {
          if (set === "jb-co-text") continue;
          for (const row of rows(world, testSet(world, set, { seed, count: 2 * rule.branches.length }))) {
            // The letters say the branch, and the branch and the functions say the label.
            const [branch, ...others] = held(row);
            expect(others).toEqual([]);
            expect(row.branch).toBe(rule.branches[branch!]);
            const ruling = says(row, branch!);
            if (set === "jb-co-task") expect(["safe unsafe", "unsafe safe"]).toContain(ruling);
            else expect(ruling).toBe(set === "safe" ? "safe safe" : "unsafe unsafe");
            expect(row.label).toBe(set === "jb-co-task" ? "none" : set === "safe" ? "safe" : "unsafe");
            if (!set.startsWith("jb-misgen")) expect(shown(row)).toBe(true);
          }
        }
      }),
      { seed: 11, numRuns: 60 },
    );
  });

  it("give jb-co-text every ordered pair with contested tokens and a boundary, equally often, and no other", () => {
    let longest = 0;
    fc.assert(
      fc.property(randomRule, fc.nat(1000), (rule, seed) => {
        const world = parseWorld(fileOf(rule), "random");
        const contested = (safeFor: number, unsafeFor: number) =>
          rule.rulings[safeFor]!.flatMap((ruling, f) =>
            ruling === "safe" && rule.rulings[unsafeFor]![f] === "unsafe" && !rule.leftOut.includes(f) ? [f] : [],
          );
        // By the unordered pair, which the letters show: the token lists of its one or two directions.
        const expected = new Map<string, number[][]>();
        for (let a = 0; a < rule.branches.length; a++)
          for (let b = a + 1; b < rule.branches.length; b++) {
            const lists = neighbours(rule, a, b)
              ? [contested(a, b), contested(b, a)].filter((list) => list.length > 0)
              : [];
            if (lists.length > 0) expected.set(`${a},${b}`, lists);
          }
        const kinds = [...expected.values()].flat().length;
        longest = Math.max(longest, kinds);
        expect(availableTestSets(world).includes("jb-co-text")).toBe(kinds > 0);
        if (kinds === 0) return;
        const found = new Map<string, number>();
        for (const row of rows(world, testSet(world, "jb-co-text", { seed, count: 3 * kinds }))) {
          const pair = held(row).join();
          found.set(pair, (found.get(pair) ?? 0) + 1);
          expect([row.branch, row.label]).toEqual(["mixed", "none"]);
          const tokens = row.operators.map(functionOf);
          expect(row.operators.every((name) => name.startsWith("f"))).toBe(true);
          expect(expected.get(pair)!.some((list) => tokens.every((f) => list.includes(f)))).toBe(true);
        }
        expect(found).toEqual(new Map([...expected].map(([pair, lists]) => [pair, 3 * lists.length])));
      }),
      { seed: 12, numRuns: 60 },
    );
    expect(longest).toBeGreaterThan(6);
  });
});
