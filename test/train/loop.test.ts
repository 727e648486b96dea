import { afterAll, expect, test } from "vitest";
import { DivergedError } from "../../src/errors.js";
import { type GptConfig, gptParameters, initializeParameters } from "../../src/model/index.js";
import { freshState, type TrainOptions, train } from "../../src/train/loop.js";
import { ssft } from "../../src/train/objectives/ssft.js";
import { gptLayout } from "../../src/train/step.js";
import { cpuEngine } from "../engines.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const model: GptConfig = {
  vocabulary: 7,
  context: 6,
  width: 8,
  blocks: 1,
  heads: 2,
  mlp: 16,
  residual: "pre-ln",
  epsilon: 1e-5,
};
const [batch, time] = [4, 5];
const start = () => freshState(initializeParameters(gptParameters(model), gptLayout(model), 3));
const options = (peak: number, steps = 30): TrainOptions => ({
  model,
  objective: ssft,
  adamw: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 1e-4 },
  clip: 1,
  schedule: { peak, final: 0, warmup: 2, steps },
  batch,
  time,
  pad: 0,
  batchAt: (step) => {
    const tokens = Int32Array.from({ length: batch * time }, (_, i) => 1 + ((i * 5 + step) % 6));
    return { tokens, targets: tokens.map((id) => 1 + (id % 6)), weights: new Float32Array(batch * time).fill(1) };
  },
  batchName: "a test, seed 3",
});

test("a rule that each token tells the next is learned", async () => {
  const losses: number[] = [];
  await train(engine, start(), { ...options(2e-2, 60), onStep: ({ loss }) => losses.push(loss) });
  expect(losses[0]).toBeGreaterThan(1.5);
  expect(losses.at(-1)).toBeLessThan(0.1);
});

test("going on from a state in the middle ends in the same bytes as never stopping", async () => {
  const whole = await train(engine, start(), options(1e-2));
  const middle = await train(engine, start(), { ...options(1e-2), until: 13 });
  expect(middle.step).toBe(13);
  const resumed = await train(engine, middle, options(1e-2));
  expect(Buffer.from(resumed.parameters.buffer).equals(Buffer.from(whole.parameters.buffer))).toBe(true);
  expect(Buffer.from(resumed.secondMoment.buffer).equals(Buffer.from(whole.secondMoment.buffer))).toBe(true);
});

test("asked to stop, it stops after the step in hand with the reason given", async () => {
  const stop = new AbortController();
  const steps: number[] = [];
  const onStep = ({ step }: { step: number }) => {
    steps.push(step);
    if (step === 5) stop.abort("enough");
  };
  await expect(train(engine, start(), { ...options(1e-2), onStep, signal: stop.signal })).rejects.toBe("enough");
  expect(steps).toEqual([1, 2, 3, 4, 5]);
});

test("a loss that explodes stops training with the step, the batch and what to do", async () => {
  const exploding = train(engine, start(), options(1e6));
  await expect(exploding).rejects.toBeInstanceOf(DivergedError);
  await expect(train(engine, start(), options(1e6))).rejects.toThrow(
    /loss became .* at step \d+ of 30; lower the learning rate/,
  );
});
