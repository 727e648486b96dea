import { afterAll, expect, test } from "vitest";
import {
  type GptConfig,
  gptForward,
  gptParameters,
  greedyDecode,
  initializeParameters,
} from "../../src/model/index.js";
import { program, unflatten } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/step.js";
import { cpuEngine } from "../engines.js";

const engine = cpuEngine();
afterAll(() => engine.release());

// The padding's id is one that the model cannot write, so that its own outputs are never taken for padding.
const [batch, time, steps, PAD] = [3, 7, 5, -1];
const base = { vocabulary: 11, context: 12, width: 8, blocks: 2, heads: 2, mlp: 16, epsilon: 1e-5 };

test.each(["pre-ln", "released"] as const)(
  "greedy decoding with stored keys writes what recomputing everything writes (%s)",
  async (residual) => {
    const model: GptConfig = { ...base, residual };
    const layout = gptLayout(model);
    // Weights far larger than at the start of training: the outputs then differ from row to row and step to step.
    const flat = Float64Array.from(initializeParameters(gptParameters(model), layout, 5), (w) => (w === 1 ? 1 : 4 * w));
    // Rows of different length, one with padding inside, as aligned worlds have it.
    const prompts = [
      [4, 5, 6, 7, 8, 9, 10],
      [3, 2, 1],
      [7, 8, PAD, PAD, 2],
    ];
    const tokens = Int32Array.from(prompts.flatMap((row) => [...row, ...Array(time - row.length).fill(PAD)]));
    const lastIndex = Int32Array.from(prompts, (row) => row.length - 1);

    const decode = await engine.compile(
      program(
        "decode",
        {
          flat: { shape: [layout.size], dtype: "float64" },
          tokens: { shape: [batch, time], dtype: "int32" },
          lastIndex: { shape: [batch], dtype: "int32" },
        },
        (inputs) => ({
          output: greedyDecode(model, unflatten(inputs.flat, layout), {
            tokens: inputs.tokens,
            lastIndex: inputs.lastIndex,
            pad: PAD,
            steps,
          }),
        }),
      ),
    );
    const { output } = await decode.run({ flat, tokens, lastIndex });

    const naive = await engine.compile(
      program(
        "forward",
        { flat: { shape: [layout.size], dtype: "float64" }, tokens: { shape: [1, model.context], dtype: "int32" } },
        (inputs) => ({
          logits: gptForward(model, unflatten(inputs.flat, layout), { tokens: inputs.tokens, pad: PAD }).logits,
        }),
      ),
    );
    const written: number[] = [];
    for (const prompt of prompts) {
      const row = [...prompt];
      for (let step = 0; step < steps; step++) {
        const padded = Int32Array.from([...row, ...Array(model.context - row.length).fill(PAD)]);
        const { logits } = await naive.run({ flat, tokens: padded });
        const at = [...(logits as Float64Array)].slice(
          (row.length - 1) * model.vocabulary,
          row.length * model.vocabulary,
        );
        row.push(at.indexOf(Math.max(...at)));
      }
      written.push(...row.slice(prompt.length));
    }
    expect([...output]).toEqual(written);
    expect(new Set(written).size).toBeGreaterThan(3);
  },
);
