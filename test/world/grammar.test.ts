import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { analyzeGrammar, type Grammar } from "../../src/world/grammar.js";

const grammar = (rules: Record<string, string[]>, root = "S"): Grammar => ({
  root,
  terminals: new Set(["a", "b", "c"]),
  rules: new Map(Object.entries(rules).map(([symbol, rights]) => [symbol, rights.map((right) => right.split(" "))])),
});

describe("the grammar checker", () => {
  it("computes minimum, mean and maximum lengths", () => {
    const { lengths } = analyzeGrammar(grammar({ S: ["X a", "X X X"], X: ["a", "b b c"] }));
    expect(lengths.get("X")).toEqual({ min: 1, mean: 2, max: 3 });
    expect(lengths.get("S")).toEqual({ min: 2, mean: 4.5, max: 9 });
  });

  it("finds the mean length of a recursive grammar and that it has no maximum", () => {
    // m = (1 + m) / 2 + 1 / 2, so m = 2.
    const { lengths, leftRecursion } = analyzeGrammar(grammar({ S: ["a S", "b"] }));
    expect(lengths.get("S")!.mean).toBeCloseTo(2, 6);
    expect(lengths.get("S")!.max).toBe(Number.POSITIVE_INFINITY);
    expect(leftRecursion).toBeUndefined();
  });

  it("calls the mean infinite at and above the critical branching rate", () => {
    for (const rules of [
      ["a S S", "b"],
      ["a S S S", "b", "c"],
    ])
      expect(analyzeGrammar(grammar({ S: rules })).lengths.get("S")!.mean).toBe(Number.POSITIVE_INFINITY);
  });

  it("names unreachable and unproductive symbols", () => {
    const analysis = analyzeGrammar(grammar({ S: ["a X", "b"], X: ["a X"], Y: ["a"] }));
    expect(analysis.unreachable).toEqual(["Y"]);
    expect(analysis.unproductive).toEqual(["X"]);
  });

  it("finds direct and hidden left recursion and tells the cycle", () => {
    expect(analyzeGrammar(grammar({ S: ["S a", "b"] })).leftRecursion).toEqual(["S", "S"]);
    expect(analyzeGrammar(grammar({ S: ["X a"], X: ["Y b", "a"], Y: ["X c"] })).leftRecursion).toEqual(["X", "Y", "X"]);
  });

  it("agrees with brute-force expansion on random grammars", () => {
    const symbols = ["S", "T", "U"];
    const rule = fc.array(fc.constantFrom("a", "b", ...symbols), { minLength: 1, maxLength: 3 });
    const rules = fc.array(rule, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.tuple(rules, rules, rules), (tables) => {
        const random: Grammar = {
          root: "S",
          terminals: new Set(["a", "b"]),
          rules: new Map(symbols.map((symbol, index) => [symbol, tables[index]!])),
        };
        const analysis = analyzeGrammar(random);
        // All lengths up to depth 8, as sets: an independent way to the minimum, and to the maximum where it is finite.
        let reach = new Map<string, Set<number>>(symbols.map((symbol) => [symbol, new Set()]));
        for (let depth = 0; depth < 8; depth++)
          reach = new Map(
            symbols.map((symbol, index) => [
              symbol,
              new Set(
                tables[index]!.flatMap((right) =>
                  right.reduce(
                    (sums, child) =>
                      [...new Set(sums.flatMap((s) => [...(reach.get(child) ?? [1])].map((l) => s + l)))].filter(
                        (s) => s <= 40,
                      ),
                    [0],
                  ),
                ),
              ),
            ]),
          );
        for (const symbol of symbols) {
          const found = [...reach.get(symbol)!];
          const { min, mean, max } = analysis.lengths.get(symbol)!;
          if (min <= 40) expect(Math.min(...found)).toBe(min);
          else expect(found).toEqual([]);
          if (max <= 40) expect(Math.max(...found)).toBe(max);
          expect(mean).toBeGreaterThanOrEqual(min);
          expect(mean).toBeLessThanOrEqual(max);
          expect(analysis.unproductive.includes(symbol)).toBe(min === Number.POSITIVE_INFINITY);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
