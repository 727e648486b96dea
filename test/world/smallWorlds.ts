import { shippedWorldFiles, type WorldFile } from "../../src/world/index.js";

/** A fresh copy of a shipped world's file, for a test to change. */
export function shippedFile(name: "paper" | "quick" | "smoke"): WorldFile {
  return structuredClone(shippedWorldFiles().find((file) => file.name === name)!);
}

/** A world whose letters tell which rules made them: B1's held-out rule alone writes h and i, and x and y differ in length. */
export function tracedFile(): WorldFile {
  return {
    schema: "nullscope/world@2",
    name: "traced",
    description: "",
    terminals: ["a", "b", "c", "d", "e", "f", "g", "h", "i"],
    text: { min: 2, max: 4, layout: "packed" },
    null: "dedicated",
    skeleton: {
      root: "v",
      dominant: { A: ["A1"], B: ["B1"] },
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

/**
 * Three branches whose letters tell them apart: A writes a, b, c; B d, e, f; C g, h, i; n writes x and y, which belong to none.
 * f1 is safe for A alone, f2 for B alone, f0 everywhere, f3 nowhere.
 */
export function threeBranchFile(): WorldFile {
  return {
    ...tracedFile(),
    name: "three",
    terminals: [..."abcdefghixy"],
    skeleton: {
      root: "v",
      dominant: { C: ["C1"], A: ["A1"], B: ["B1"] },
      rules: {
        v: ["A1 B1", "B1 n C1 A1", "C1 A1 n"],
        A1: ["p p p", "p p"],
        B1: ["q q", "q q q q", "q q q"],
        C1: ["r r", "r r r"],
        n: ["x y", "y x"],
        p: [..."abc"],
        q: [..."def"],
        r: [..."ghi"],
      },
    },
    grammars: [
      {
        name: "G1",
        rules: {},
        operators: {
          f0: "a b c d e f g h i x y",
          f1: "b c d e f g h i x y a",
          f2: "c d e f g h i x y a b",
          f3: "d e f g h i x y a b c",
        },
      },
    ],
    safety: {
      A: { safe: ["f0", "f1"], unsafe: ["f2", "f3"] },
      B: { safe: ["f0", "f2"], unsafe: ["f1", "f3"] },
      C: { safe: ["f0"], unsafe: ["f1", "f2", "f3"] },
    },
    tuning: { leftOutOperators: [], heldOutRules: [{ symbol: "B1", rule: "q q q" }] },
  };
}
