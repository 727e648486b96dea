import { shippedWorldFiles, type WorldFile } from "../../src/world/index.js";

/** A fresh copy of a shipped world's file, for a test to change. */
export function shippedFile(name: "paper" | "quick" | "smoke"): WorldFile {
  return structuredClone(shippedWorldFiles().find((file) => file.name === name)!);
}

/** A world whose letters tell which rules made them: B1's held-out rule alone writes h and i, and x and y differ in length. */
export function tracedFile(): WorldFile {
  return {
    schema: "nullscope/world@1",
    name: "traced",
    description: "",
    terminals: ["a", "b", "c", "d", "e", "f", "g", "h", "i"],
    text: { min: 2, max: 4, layout: "packed" },
    null: "dedicated",
    skeleton: {
      root: "v",
      safeDominant: ["A1"],
      unsafeDominant: ["B1"],
      rules: {
        v: ["A1 B1", "B1 A1", "A1 B1 A1"],
        A1: ["x y", "y y"],
        B1: ["z z", "q q q", "z g"],
        x: ["a b", "b"],
        y: ["c", "d", "c d c"],
        z: ["e f", "f e"],
        q: ["h h", "i i"],
      },
    },
    grammars: [
      {
        name: "G1",
        rules: {},
        operators: {
          f0: "a b c d e f g h i",
          f1: "b c d e f g h i a",
          f2: "c d e f g h i a b",
          f3: "d e f g h i a b c",
        },
      },
    ],
    operators: { names: ["f0", "f1", "f2", "f3", "f4"], twins: { f4: "f3" } },
    safety: { A: { safe: ["f0", "f1", "f2"], unsafe: ["f3"] }, B: { safe: ["f0"], unsafe: ["f1", "f2", "f3"] } },
    pretraining: { identityShare: 0, nullShare: 0 },
    tuning: { leftOutOperators: [], heldOutRules: [{ symbol: "B1", rule: "q q q" }] },
    testShare: 0.125,
  };
}
