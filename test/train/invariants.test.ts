import { afterAll, expect, test } from "vitest";
import { gradients, mul, program, sum, tokenNll, unflatten } from "../../src/tensor/index.js";
import { gptScorer, type Scorer } from "../../src/train/objective.js";
import { ssft } from "../../src/train/objectives/ssft.js";
import { linearSchedule, warmupCosine } from "../../src/train/schedule.js";
import { cpuEngine } from "../engines.js";
import { atIndexOf, maxDifference } from "../numbers.js";
import { TINY, TINY_LAYOUT, tinyWeights } from "./tinyGpt.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const PAD = 0;
const [model, layout] = [TINY, TINY_LAYOUT];
const flat = tinyWeights(1, 10);

/** SSFT's loss and gradients, with respect to the weights and to the logits, of rows of [tokens, targets, weights]. */
async function run(rows: readonly { tokens: number[]; targets: number[]; weights: number[] }[]) {
  const shape = [rows.length, rows[0]!.tokens.length] as const;
  const compiled = await engine.compile(
    program(
      "ssft",
      {
        flat: { shape: [layout.size], dtype: "float64" },
        tokens: { shape, dtype: "int32" },
        targets: { shape, dtype: "int32" },
        weights: { shape, dtype: "float64" },
      },
      (inputs) => {
        const parameters = unflatten(inputs.flat, layout);
        const loss = ssft.loss({ policy: gptScorer(model, [parameters], PAD), preferred: inputs });
        return { loss, gradient: gradients(loss, [inputs.flat])[0]! };
      },
    ),
  );
  const all = (key: "tokens" | "targets" | "weights") => rows.flatMap((row) => row[key]);
  const out = await compiled.run({
    flat,
    tokens: Int32Array.from(all("tokens")),
    targets: Int32Array.from(all("targets")),
    weights: Float64Array.from(all("weights")),
  });
  return { loss: Number(out.loss[0]), gradient: out.gradient as Float64Array };
}

const row = (tokens: number[], from: number, to: number, length = tokens.length) => {
  const padded = [...tokens, ...Array(length + 1 - tokens.length).fill(PAD)] as number[];
  return {
    tokens: padded.slice(0, length),
    targets: padded.slice(1),
    weights: padded.slice(1).map((_, t) => Number(t >= from && t < to)),
  };
};
const rows = [row([3, 7, 2, 9, 4, 5], 2, 5), row([5, 1, 8, 2, 6, 3], 3, 5), row([11, 12, 2, 2, 7, 1], 2, 4)];

test("padding changes neither loss nor gradient", async () => {
  const [bare, padded] = [
    await run(rows),
    await run([
      row([3, 7, 2, 9, 4, 5], 2, 5, 11),
      row([5, 1, 8, 2, 6, 3], 3, 5, 11),
      row([11, 12, 2, 2, 7, 1], 2, 4, 11),
    ]),
  ];
  expect(padded.loss).toBeCloseTo(bare.loss, 13);
  expect(maxDifference(padded.gradient, bare.gradient)).toBeLessThan(1e-13);
});

test("the order of a batch changes nothing", async () => {
  const [one, other] = [await run(rows), await run([rows[2]!, rows[0]!, rows[1]!])];
  expect(other.loss).toBeCloseTo(one.loss, 13);
  expect(maxDifference(other.gradient, one.gradient)).toBeLessThan(1e-13);
});

test("splitting a batch changes nothing, when each part counts by its scored tokens", async () => {
  const whole = await run(rows);
  const parts = await Promise.all(
    rows.map(async (r) => ({ ...(await run([r])), count: r.weights.reduce((a, b) => a + b) })),
  );
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  expect(parts.reduce((sum, part) => sum + (part.loss * part.count) / total, 0)).toBeCloseTo(whole.loss, 13);
  const gradient = whole.gradient.map((_, i) =>
    parts.reduce((sum, part) => sum + (part.gradient[i]! * part.count) / total, 0),
  );
  expect(maxDifference(gradient, whole.gradient)).toBeLessThan(1e-13);
});

test("prompt tokens get zero gradient in SSFT: every logit that scores no answer token, and no other", async () => {
  const scored = rows[0]!;
  const time = scored.tokens.length;
  const compiled = await engine.compile(
    program(
      "logit-gradient",
      {
        logits: { shape: [1, time, model.vocabulary], dtype: "float64" },
        targets: { shape: [1, time], dtype: "int32" },
        weights: { shape: [1, time], dtype: "float64" },
      },
      ({ logits, targets, weights }) => {
        const policy: Scorer = {
          tokenNll: () => tokenNll(logits, targets),
          nll: () => sum(mul(tokenNll(logits, targets), weights), { axis: -1 }),
        };
        const loss = ssft.loss({ policy, preferred: { tokens: targets, targets, weights } });
        return { gradient: gradients(loss, [logits])[0]! };
      },
    ),
  );
  const logits = Float64Array.from({ length: time * model.vocabulary }, (_, i) => Math.sin(i));
  const { gradient } = await compiled.run({
    logits,
    targets: Int32Array.from(scored.targets),
    weights: Float64Array.from(scored.weights),
  });
  for (let t = 0; t < time; t++) {
    const row = atIndexOf(gradient, t, model.vocabulary, model.vocabulary);
    expect(
      row.some((value) => value !== 0),
      `position ${t}`,
    ).toBe(scored.weights[t] === 1);
  }
});

test("the schedule rises linearly to its peak and ends exactly at its final rate", () => {
  const options = { peak: 1e-3, final: 1e-6, warmup: 10, steps: 101 };
  expect(warmupCosine(0, options)).toBeCloseTo(1e-4, 15);
  expect(warmupCosine(9, options)).toBeCloseTo(1e-3, 15);
  expect(warmupCosine(10, options)).toBeCloseTo(1e-3, 15);
  expect(warmupCosine(100, options)).toBeCloseTo(1e-6, 15);
  expect(warmupCosine(55, options)).toBeCloseTo((1e-3 + 1e-6) / 2, 15);
  expect([0, 50, 100].map((step) => linearSchedule(step, 101, 1, 0))).toEqual([1, 0.5, 0]);
});
