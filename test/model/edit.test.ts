import { afterAll, describe, expect, test } from "vitest";
import {
  type Edit,
  type GptConfig,
  gptForward,
  gptParameters,
  initializeParameters,
  recorder,
} from "../../src/model/index.js";
import { add, constant, mul, program, slice, type Tensor, unflatten } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/step.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const [batch, time] = [2, 5];

describe.each(["pre-ln", "released"] as const)("an edit of a forward pass (%s)", (residual) => {
  const model: GptConfig = {
    ...{ vocabulary: 9, context: 8, width: 8, blocks: 1, heads: 2, mlp: 16, epsilon: 1e-5 },
    residual,
  };
  const layout = gptLayout(model);
  const flat = Float64Array.from(initializeParameters(gptParameters(model), layout, 5));
  const tokens = Int32Array.from({ length: batch * time }, (_, i) => (i * 7) % 9);
  const asked = Int32Array.of(4, 2);

  /** Logits under each edit, all in one program; those of asked positions only where `some`. */
  const logitsWith = async (edits: readonly Edit[], some = false) => {
    const specs = {
      flat: { shape: [layout.size], dtype: "float64" },
      tokens: { shape: [batch, time], dtype: "int32" },
      asked: { shape: [batch, 1], dtype: "int32" },
    } as const;
    const traced = program<keyof typeof specs, string>("edited", specs, (input) => {
      const parameters = unflatten(input.flat, layout);
      const positions = some ? { askedPositions: input.asked } : {};
      const one = (edit: Edit) => gptForward(model, parameters, { tokens: input.tokens, pad: -1, edit, ...positions });
      return Object.fromEntries(edits.map((edit, i): [string, Tensor] => [`logits${i}`, one(edit).logits]));
    });
    const out = await (await engine.compile(traced)).run({ flat, tokens, asked });
    return edits.map((_, i) => out[`logits${i}`] as Float64Array);
  };

  test("that gives back what it got changes nothing; of any recorded activation it changes the logits", async () => {
    const names: string[] = [];
    const [plain] = await logitsWith([
      (name, x) => {
        names.push(name);
        return x;
      },
    ]);
    expect(names).toContain("blocks.0.attn.pattern");
    // Not the same factor everywhere: layer norm and softmax would undo one.
    const factors = ({ shape }: Tensor) =>
      constant(
        Array.from({ length: shape.at(-1)! }, (_, i) => 1 + i / 4),
        [shape.at(-1)!],
        "float64",
      );
    const edits = names.map(
      (edited): Edit =>
        (name, x) =>
          name === edited ? mul(x, factors(x)) : x,
    );
    const [same, ...changed] = await logitsWith([(_, x) => x, ...edits]);
    expect(maxDifference(same!, plain!)).toBeLessThan(1e-12);
    for (const [i, logits] of changed.entries()) expect(maxDifference(logits, plain!), names[i]!).toBeGreaterThan(1e-6);
  });

  test("reaches asked positions as it reaches all", async () => {
    const edit: Edit = (name, x) => (name === "blocks.0.mlp_out" ? mul(x, slice(x, 2, 0, 1)) : x);
    const [all] = await logitsWith([edit]);
    const [some] = await logitsWith([edit], true);
    const { vocabulary } = model;
    for (const [row, position] of asked.entries()) {
      const from = (row * time + position) * vocabulary;
      const own = some!.subarray(row * vocabulary, (row + 1) * vocabulary);
      expect(maxDifference(own, all!.subarray(from, from + vocabulary))).toBeLessThan(1e-12);
    }
  });
});

test("an edit that changes a shape is refused by name", () => {
  const { record } = recorder((_, x) => slice(x, 0, 0, 1));
  const x = add(constant([1, 2], [2], "float32"), 1);
  expect(() => record("embed", x)).toThrow(/edit of embed.*\[2\] became \[1\]/);
});
