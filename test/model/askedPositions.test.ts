import { afterAll, expect, test } from "vitest";
import { type GptConfig, gptForward, gptParameters, initializeParameters } from "../../src/model/index.js";
import { gradients, logSoftmax, mul, neg, program, sum, tokenNll, unflatten } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/step.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const [batch, time, asked, PAD] = [3, 7, 3, 0];
const base = { vocabulary: 11, context: 9, width: 8, blocks: 2, heads: 2, mlp: 16, epsilon: 1e-5 };
const ids = (...shape: number[]) => ({ shape, dtype: "int32" as const });

test.each(["pre-ln", "released"] as const)(
  "positions asked for alone have the logits and the gradient of the whole pass (%s)",
  async (residual) => {
    const model: GptConfig = { ...base, residual };
    const layout = gptLayout(model);
    const flat = Float64Array.from(initializeParameters(gptParameters(model), layout, 3), (w) => (w === 1 ? 1 : 5 * w));
    // Padding inside the last row; one position asked twice, one out of order.
    const tokens = Int32Array.of(4, 5, 6, 7, 8, 9, 10, 3, 2, 1, 9, 8, 4, 1, 7, 8, PAD, PAD, 2, 5, 6);
    const positions = Int32Array.of(2, 4, 6, 0, 5, 5, 6, 4, 1);
    const targets = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
    // The last asked position lies on padding's place: it counts for nothing, in both.
    const weights = Float64Array.of(1, 0.5, 2, 1, 1, 3, 1, 1, 0);

    const partial = await engine.compile(
      program(
        "asked",
        {
          flat: { shape: [layout.size], dtype: "float64" },
          tokens: ids(batch, time),
          positions: ids(batch, asked),
          targets: ids(batch, asked),
          weights: { shape: [batch, asked], dtype: "float64" },
        },
        (input) => {
          const { logits } = gptForward(model, unflatten(input.flat, layout), {
            tokens: input.tokens,
            pad: PAD,
            askedPositions: input.positions,
          });
          const loss = sum(mul(tokenNll(logits, input.targets), input.weights));
          return { logits, loss, gradient: gradients(loss, [input.flat])[0]! };
        },
      ),
    );
    const got = await partial.run({ flat, tokens, positions, targets, weights });

    // The same from the whole pass: every position's weight for every target. [batch, time, vocabulary]
    const weightOf = new Float64Array(batch * time * model.vocabulary);
    for (const [i, position] of positions.entries())
      weightOf[(Math.floor(i / asked) * time + position) * model.vocabulary + targets[i]!]! += weights[i]!;
    const whole = await engine.compile(
      program(
        "whole",
        {
          flat: { shape: [layout.size], dtype: "float64" },
          tokens: ids(batch, time),
          weights: { shape: [batch, time, model.vocabulary], dtype: "float64" },
        },
        (input) => {
          const { logits } = gptForward(model, unflatten(input.flat, layout), { tokens: input.tokens, pad: PAD });
          const loss = neg(sum(mul(logSoftmax(logits), input.weights)));
          return { logits, loss, gradient: gradients(loss, [input.flat])[0]! };
        },
      ),
    );
    const reference = await whole.run({ flat, tokens, weights: weightOf });

    const { vocabulary } = model;
    for (const [i, position] of positions.entries()) {
      const from = (Math.floor(i / asked) * time + position) * vocabulary;
      const [mine, theirs] = [got.logits as Float64Array, reference.logits as Float64Array];
      expect(
        maxDifference(mine.slice(i * vocabulary, (i + 1) * vocabulary), theirs.slice(from, from + vocabulary)),
      ).toBeLessThan(1e-12); // rounding of sums in another order
    }
    expect(got.loss[0]).toBeCloseTo(Number(reference.loss[0]), 11);
    const gradient = reference.gradient as Float64Array;
    expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(0.1);
    expect(maxDifference(got.gradient as Float64Array, gradient)).toBeLessThan(1e-11);
  },
);
