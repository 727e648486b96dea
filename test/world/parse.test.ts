import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { generateWorld, parseWorld, shippedWorldFiles, tuningSamples, worldReport } from "../../src/world/index.js";
import { shippedFile, tracedFile } from "./smallWorlds.js";

/** The message for a traced world changed by `change`. */
function complaint(change: (file: Loose) => void): string {
  const file = tracedFile() as Loose;
  change(file);
  try {
    parseWorld(file, "w.json");
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  return "accepted";
}
/** Worlds in tests are changed in ways that their type forbids: what JSON.parse returns may be anything. */
type Loose = ReturnType<typeof JSON.parse>;

describe("shipped worlds", () => {
  it.each(shippedWorldFiles().map((file) => [file.name, file] as const))(
    "%s: the file in worlds/ holds exactly the world the package draws",
    (_, file) => {
      const text = readFileSync(new URL(`../../worlds/${file.name}.json`, import.meta.url), "utf8");
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(file)));
      expect(parseWorld(JSON.parse(text), file.name).file.name).toBe(file.name);
    },
  );

  it("paper: four grammars, 30 terminals, the lengths of the skeleton, terminal sets that overlap but differ", () => {
    const report = worldReport(parseWorld(shippedFile("paper"), "paper"));
    expect(report.vocabularySize).toBe(6 + 12 + 30);
    expect(report.tokensPerRow).toBe(56);
    expect(report.grammars).toHaveLength(4);
    for (const grammar of report.grammars) {
      expect(grammar.unreachable).toEqual([]);
      const node = (symbol: string) => grammar.lengths.find((row) => row.symbol === symbol)!;
      // o, n, m, w expand to 27 terminals, x to 27 or 18.
      expect(node("p")).toMatchObject({ min: 54, max: 81, mean: 67.5 });
      expect(node("B2")).toMatchObject({ min: 63, max: 81 });
    }
    for (const [i, row] of report.overlap.entries())
      for (const [j, share] of row.entries()) {
        if (i === j) expect(share).toBe(1);
        else expect(share > 0.5 && share < 1).toBe(true);
      }
  });
});

describe("the world's hash", () => {
  it("changes with any content and not with the order of keys", () => {
    const file = tracedFile();
    const { hash } = parseWorld(file, "w");
    const reversed = Object.fromEntries(Object.entries(file).reverse());
    expect(parseWorld(reversed, "w").hash).toBe(hash);
    expect(parseWorld({ ...file, testShare: 0.25 }, "w").hash).not.toBe(hash);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe("a wrong world file", () => {
  it.each<[string, (file: Loose) => void, RegExp]>([
    ["unknown key", (f) => (f.testshare = 1), /unknown key "testshare"; did you mean "testShare"\?/],
    [
      "misspelt key",
      (f) => (f.skeleton = { ...f.skeleton, dominnt: f.skeleton.dominant, dominant: undefined }),
      /did you mean "dominant"\?/,
    ],
    ["missing key", (f) => delete f.text, /"text" is missing/],
    ["wrong type", (f) => (f.text.min = "2"), /"text.min" should be of type/],
    ["huge number", (f) => (f.text.max = 1e300), /"text.max"/],
    ["wrong schema", (f) => (f.schema = "other"), /"schema" should be "nullscope\/world@2"/],
    ["bounds reversed", (f) => (f.text.min = 5), /text.min \(5\) is above text.max \(4\)/],
    ["terminal twice", (f) => f.terminals.push("a"), /terminals has "a" twice/],
    ["name with a space", (f) => (f.terminals[0] = "a b"), /is not a name/],
    ["undefined symbol", (f) => f.skeleton.rules.v.push("A1 B2"), /uses "B2", which is not defined; did you mean/],
    ["rule twice", (f) => f.skeleton.rules.x.push("b"), /has "b" twice/],
    ["rules for a terminal", (f) => (f.skeleton.rules.a = ["b"]), /"a" is a terminal/],
    ["symbol defined twice", (f) => (f.grammars[0].rules = { x: ["a"] }), /defines "x" again/],
    ["no such root", (f) => (f.skeleton.root = "w"), /no rules for "w"/],
    ["left recursion", (f) => f.skeleton.rules.x.push("x a"), /is left-recursive \(x -> x\)/],
    ["no terminal rule", (f) => (f.skeleton.rules.x = ["a x"]), /cannot terminate: "x"|cannot terminate: "v"/],
    ["explosion", (f) => f.skeleton.rules.x.push("a x x x"), /cannot terminate in bounded time/],
    ["text too short", (f) => (f.skeleton.rules.A1 = ["a"]), /can expand to 1 terminals, fewer than text.min/],
    ["nested dominance", (f) => f.skeleton.rules.A1.push("c B1"), /"A1" contains "B1"/],
    ["unreachable dominant", (f) => (f.skeleton.rules.v = ["A1 A1"]), /"B1" is not reachable/],
    ["both branches", (f) => f.skeleton.dominant.A.push("B1"), /"B1" stands in both A and B; keep one/],
    ["node twice in a branch", (f) => f.skeleton.dominant.A.push("A1"), /skeleton.dominant.A has "A1" twice/],
    ["one branch", (f) => delete f.skeleton.dominant.B, /"skeleton.dominant": must have at least two branches/],
    ["branch without a rule", (f) => delete f.safety.B, /"safety": must have at least two branches/],
    [
      "third branch without a rule",
      (f) => (f.skeleton.dominant.C = ["x"]),
      /safety has no rule for the branch "C" of skeleton.dominant; add it/,
    ],
    [
      "rule of no branch",
      (f) => (f.safety.C = f.safety.B),
      /safety: "C" is no branch of skeleton.dominant; did you mean/,
    ],
    ["reserved branch", (f) => (f.safety.mixed = f.safety.B), /"safety.mixed" is not a branch's name/],
    ["branch like an index", (f) => (f.safety["7"] = f.safety.B), /"safety.7" is not a branch's name/],
    [
      "too many branches",
      (f) => {
        for (let i = 0; i < 16; i++) f.skeleton.dominant[`C${i}`] = ["x"];
      },
      /"skeleton.dominant": has more than 16 branches/,
    ],
    [
      "the older form",
      (f) => {
        f.schema = "nullscope/world@1";
        f.skeleton = { root: "v", safeDominant: ["A1"], unsafeDominant: ["B1"], rules: f.skeleton.rules };
      },
      /the older form nullscope\/world@1; write .* "dominant": \{ "A": \[...\], "B": \[...\] \}/,
    ],
    ["no bijection", (f) => (f.grammars[0].operators.f1 = "a a c d e f g h i"), /f1: this is no bijection/],
    ["same bijection", (f) => (f.grammars[0].operators.f1 = f.grammars[0].operators.f2), /same bijection as/],
    ["missing operator", (f) => delete f.grammars[0].operators.f2, /"f2" is missing/],
    ["unknown operator", (f) => (f.grammars[0].operators.f9 = "a"), /"f9" is not an original operator/],
    ["twin of a twin", (f) => (f.operators.twins.f3 = "f4"), /is itself a twin/],
    ["safe and unsafe", (f) => f.safety.A.safe.push("f3"), /"f3" is both safe and unsafe/],
    ["twin in the rule", (f) => f.safety.A.unsafe.push("f4"), /"f4" is a twin/],
    ["all left out", (f) => (f.tuning.leftOutOperators = ["f3"]), /safety.A.unsafe: every operator is left out/],
    ["held-out typo", (f) => (f.tuning.heldOutRules[0].rule = "q q z"), /has no rule "q q z"; did you mean "q q q"/],
    ["held-out low node", (f) => (f.tuning.heldOutRules[0].symbol = "z"), /"z" is not a dominant node/],
    [
      "identity missing",
      (f) => {
        f.pretraining.identityShare = 0.5;
        f.grammars[0].operators.f0 = "i h g f e d c b a";
      },
      /no operator is the identity/,
    ],
  ])("is refused in one sentence: %s", (_, change, message) => {
    const said = complaint(change);
    expect(said).toMatch(message);
    expect(said.startsWith("w.json: ")).toBe(true);
    expect(said).not.toContain("\n");
  });

  it("may use the names of JavaScript's own properties", () => {
    const named = JSON.parse(
      JSON.stringify(tracedFile()).replaceAll('"f3"', '"toString"').replaceAll('"f2"', '"valueOf"'),
    );
    expect(parseWorld(named, "w").operatorNames).toContain("toString");
    delete named.grammars[0].operators.toString;
    expect(() => parseWorld(named, "w")).toThrow(/"toString" is missing/);
  });

  it("is refused when it is cyclic, deep, huge or poisons objects", () => {
    const cyclic: Record<string, unknown> = { ...tracedFile() };
    cyclic.self = cyclic;
    expect(() => parseWorld(cyclic, "w")).toThrow(/nested/);
    const deep = JSON.parse(`${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`);
    expect(() => parseWorld(deep, "w")).toThrow(UserError);
    expect(() => parseWorld({ terminals: new Array(300_000).fill("a") }, "w")).toThrow(/too large/);
    const poisoned = JSON.parse(JSON.stringify(tracedFile()).replace('"rules":{', '"rules":{"__proto__":["a"],'));
    expect(() => parseWorld(poisoned, "w")).toThrow(/"__proto__" is not allowed/);
    expect(({} as Record<string, unknown>).a).toBeUndefined();
  });

  it("never ends in anything but a world or a sentence, whatever JSON comes", () => {
    const parses = (json: unknown) => {
      try {
        parseWorld(json, "w");
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
      }
    };
    fc.assert(fc.property(fc.jsonValue(), parses), { seed: 2, numRuns: 300 });
    // A true world with one value anywhere replaced by arbitrary JSON.
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      if (path.length > 0) paths.push(path);
      if (typeof value === "object" && value !== null)
        for (const [key, item] of Object.entries(value)) walk(item, [...path, key]);
    };
    walk(tracedFile(), []);
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
        const file = tracedFile() as Loose;
        let at = file;
        for (const key of path.slice(0, -1)) at = at[key];
        at[path.at(-1)!] = value;
        parses(file);
      }),
      { seed: 3, numRuns: 500 },
    );
  });
});

describe("random grammars in a world", () => {
  it("are refused, or give samples", () => {
    const child = fc.constantFrom("a", "b", "c", "x", "y", "z");
    const rules = fc.uniqueArray(
      fc.array(child, { minLength: 2, maxLength: 4 }).map((right) => right.join(" ")),
      { minLength: 1, maxLength: 3 },
    );
    let accepted = 0;
    fc.assert(
      fc.property(rules, rules, rules, (x, y, z) => {
        const file = tracedFile();
        Object.assign(file.skeleton.rules, { x, y, z });
        try {
          expect(tuningSamples(parseWorld(file, "w"), { seed: 1, count: 4 }).count).toBe(4);
          accepted++;
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { seed: 4, numRuns: 400 },
    );
    expect(accepted).toBeGreaterThan(10);
  });
});

describe("the generator of worlds", () => {
  it("gives a sound world for any allowed options, the same for the same seed", () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.nat(),
          depth: fc.integer({ min: 4, max: 7 }),
          branching: fc.integer({ min: 2, max: 4 }),
          vocabulary: fc.integer({ min: 12, max: 60 }),
          overlap: fc.double({ min: 0, max: 1, noNaN: true }),
          grammars: fc.integer({ min: 1, max: 3 }),
          branches: fc.integer({ min: 2, max: 6 }),
          operators: fc.integer({ min: 12, max: 24 }),
        }),
        (options) => {
          const world = parseWorld(generateWorld(options), "generated");
          expect(parseWorld(generateWorld(options), "again").hash).toBe(world.hash);
          expect(worldReport(world).grammars.every((grammar) => grammar.unreachable.length === 0)).toBe(true);
          expect(world.branches).toHaveLength(options.branches);
          expect(world.operatorNames).toHaveLength(options.operators);
          // Every two branches share texts.
          expect(world.mixed).toHaveLength((options.branches * (options.branches - 1)) / 2);
        },
      ),
      { seed: 5, numRuns: 60 },
    );
  });

  it("gives another world for another seed", () => {
    const hashes = [1, 2, 3].map((seed) => parseWorld({ ...generateWorld({ seed }), name: "w" }, "w").hash);
    expect(new Set(hashes).size).toBe(3);
  });
});
