/** A world file of four letters and three operators: a study in it takes seconds. */
export const tinyWorld = {
  schema: "nullscope/world@2",
  name: "tiny",
  terminals: ["a", "b", "c", "d"],
  text: { min: 2, max: 4, layout: "aligned" },
  skeleton: {
    root: "v",
    dominant: { A: ["s"], B: ["u"] },
    rules: { v: ["s u", "u s"], s: ["x y", "y x"], u: ["x x", "y y"] },
  },
  grammars: [
    {
      name: "one",
      rules: { x: ["a b", "b a"], y: ["c d", "d c"] },
      operators: { f0: "a b c d", f1: "b a d c", f2: "c d a b" },
    },
  ],
  operators: { names: ["f0", "f1", "f2"] },
  safety: { A: { safe: ["f0", "f1"], unsafe: ["f2"] }, B: { safe: ["f0"], unsafe: ["f1", "f2"] } },
};
