import { afterAll, expect, test } from "vitest";
import { decayMask, gptParameters } from "../../src/model/index.js";
import { recipeNamed } from "../../src/train/objectives/registry.js";
import { rowChunks, rowsOfStep, trainStepProgram } from "../../src/train/step.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";
import { TINY, TINY_LAYOUT, tinyWeights } from "./tinyGpt.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const [model, layout] = [TINY, TINY_LAYOUT];
const start = (seed: number) => tinyWeights(seed, 4);
const [batch, time, scored, pad] = [5, 9, 4, 0];

const SHARED = 4;

/** One training step in that many chunks, in float64; `shared` leading tokens of a prompt's two answers pass through the model once. */
async function step(method: string, chunks: number, shared?: number) {
  const objective = recipeNamed(method);
  const sharing = shared === undefined ? {} : { sharedPrefix: shared };
  const options = {
    model,
    objective,
    batch,
    time,
    scored,
    ...sharing,
    pad,
    clip: 1,
    dtype: "float64" as const,
    chunks,
  };
  const adamw = { betas: [0.9, 0.95] as const, epsilon: 1e-8, weightDecay: 0.1 };
  const rows = rowsOfStep(options);
  const ids = (length: number, seed: number) =>
    Int32Array.from({ length: rows * length }, (_, i) => 1 + ((i * 7 + seed * 5 + ((i * i) % 11)) % 12));
  const tokens = ids(time, 1);
  tokens[batch * time + 1] = pad; // padding inside a prompt, in both its rows
  tokens[1] = pad;
  for (let row = batch; row < rows; row++)
    tokens.copyWithin(row * time, (row - batch) * time, (row - batch) * time + SHARED);
  const executable = await engine.compile(trainStepProgram({ ...options, adamw }));
  return executable.run({
    parameters: start(1),
    reference: start(2),
    firstMoment: new Float64Array(layout.size),
    secondMoment: new Float64Array(layout.size),
    decayMask: Float64Array.from(decayMask(gptParameters(model), layout)),
    learningRate: Float64Array.of(0.01),
    bias1: Float64Array.of(0.1),
    bias2: Float64Array.of(0.05),
    tokens,
    positions: Int32Array.from({ length: rows * scored }, (_, i) =>
      i % 5 === 0 ? 0 : SHARED + ((i * 3) % (time - SHARED)),
    ),
    targets: ids(scored, 2),
    weights: Float64Array.from({ length: rows * scored }, (_, i) => Number(i % 5 !== 0)),
  } as never);
}

test.each(["ssft", "dpo", "unlearning"])(
  "rows in chunks, even or not, give the step of all rows at once (%s)",
  async (method) => {
    const whole = await step(method, 1);
    for (const chunks of [2, 3, 5]) {
      const parts = await step(method, chunks);
      expect(parts.loss[0]).toBeCloseTo(Number(whole.loss[0]), 12);
      expect(parts.gradientNorm[0]).toBeCloseTo(Number(whole.gradientNorm[0]), 11);
      // AdamW's first step divides a gradient by its own size: where that is near 0, rounding counts.
      const moved = maxDifference(parts.nextFirstMoment as Float64Array, whole.nextFirstMoment as Float64Array);
      expect(moved).toBeLessThan(1e-13);
    }
    expect(Number(whole.gradientNorm[0])).toBeGreaterThan(1e-3);
  },
);

test.each(["dpo", "unlearning", "simpo"])(
  "what two answers share is looked at once, with the same step (%s)",
  async (method) => {
    const apart = await step(method, 1);
    for (const [chunks, shared] of [
      [1, SHARED],
      [1, 1],
      [2, SHARED],
      [3, 2],
    ] as const) {
      const once = await step(method, chunks, shared);
      expect(once.loss[0]).toBeCloseTo(Number(apart.loss[0]), 12);
      expect(maxDifference(once.metrics as Float64Array, apart.metrics as Float64Array)).toBeLessThan(1e-12);
      const moved = maxDifference(once.nextFirstMoment as Float64Array, apart.nextFirstMoment as Float64Array);
      expect(moved).toBeLessThan(1e-13);
    }
    // It really is shared: a prompt's second row no longer reads its own first tokens, so more of them than are alike would tell.
    const wrong = await step(method, 1, SHARED + 1);
    expect(Math.abs(Number(wrong.loss[0]) - Number(apart.loss[0]))).toBeGreaterThan(1e-6);
  },
);

test("chunks depend on the shape alone, stay within rows and bounds, and are one on a device with its own memory", () => {
  const objective = recipeNamed("ssft");
  const chunks = (rows: number, mlp: number, device: "cpu" | "webgpu" = "cpu") =>
    rowChunks(device, { model: { ...model, mlp }, objective, batch: rows, time: 100 });
  expect([chunks(1, 16), chunks(32, 256), chunks(32, 768), chunks(512, 768), chunks(2, 1e6)]).toEqual([1, 1, 3, 8, 2]);
  expect(chunks(512, 768, "webgpu")).toBe(1);
});
