import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, test } from "vitest";
import { type GptConfig, gptParameters, initializeParameters } from "../../src/model/index.js";
import { probeDevice } from "../../src/study/devices.js";
import { placements } from "../../src/study/doctor.js";
import {
  argmax,
  concat,
  createEngine,
  type Engine,
  type FloatDType,
  gradients,
  onnxRuntime,
  program,
  sizeOf,
} from "../../src/tensor/index.js";
import { freshState, gptLayout, ssft, train } from "../../src/train/index.js";
import { cpuEngine } from "../engines.js";
import { type Case, cases, numbers, probe, specs } from "./cases.js";

// The check runs in a process of its own: a driver that does not work may end it.
const check = await probeDevice("webgpu");
if (check.usable) console.log(`WebGPU tests run on: ${check.adapter ?? "an adapter without a name"}`);
else console.log(`WebGPU tests are skipped: ${check.reason}`);

const cpu = cpuEngine(2);
const gpu = createEngine(onnxRuntime(ort, { device: "webgpu" }));
afterAll(async () => {
  await cpu.release();
  if (check.usable) await gpu.release();
});

/** The value and all gradients of a case, one after another. */
async function evaluate(engine: Engine, dtype: FloatDType, { shapes, range = [-2, 2], body }: Case): Promise<number[]> {
  const compiled = await engine.compile(
    program("case", specs(shapes, dtype), (inputs) => {
      const x = Object.values(inputs);
      const y = body(...x);
      return { y, ...Object.fromEntries(gradients(probe(y), x).map((g, index) => [`g${index}`, g])) };
    }),
  );
  const Type = dtype === "float32" ? Float32Array : Float64Array;
  const out = await compiled.run(
    Object.fromEntries(shapes.map((shape, i) => [`x${i}`, Type.from(numbers(sizeOf(shape), range, i))])),
  );
  return Object.values(out).flatMap((array) => Array.from(array as Float64Array));
}

describe.skipIf(!check.usable)("on WebGPU", () => {
  // WGSL promises sin and cos to 2^-11 absolute, and other functions to a few units in the last place: looser than on the CPU.
  const tolerance = (name: string) => (name === "sin" || name === "cos" ? 2 ** -11 : 1e-4);

  test.each(cases)("$name in float32 agrees with the CPU's float64, gradients included", async (one) => {
    const [got, want] = [await evaluate(gpu, "float32", one), await evaluate(cpu, "float64", one)];
    expect(got).toHaveLength(want.length);
    for (const [index, value] of want.entries())
      expect(Math.abs(got[index]! - value)).toBeLessThan(tolerance(one.name) * Math.max(1, Math.abs(value)));
  });

  test("argmax gives the first of equal values, and many tensors can be joined", async () => {
    const build = program("p", { x: { shape: [2, 3], dtype: "float32" } }, ({ x }) => ({
      best: argmax(x),
      joined: concat(
        Array.from({ length: 50 }, () => x),
        0,
      ),
    }));
    const x = Float32Array.of(1, 5, 5, 9, 2, 3);
    const { best, joined } = await (await gpu.compile(build)).run({ x });
    expect([...best]).toEqual([1, 0]);
    expect([...joined]).toEqual(Array.from({ length: 50 }, () => [...x]).flat());
  });

  test("a training curve of 50 steps is the CPU's to 1e-3, weights and moments staying on the device", async () => {
    const model: GptConfig = {
      vocabulary: 23,
      context: 12,
      width: 16,
      blocks: 2,
      heads: 2,
      mlp: 64,
      residual: "pre-ln",
      epsilon: 1e-5,
    };
    const [steps, batch, time] = [50, 8, 12];
    const curve = async (engine: Engine) => {
      const losses: number[] = [];
      const start = freshState(initializeParameters(gptParameters(model), gptLayout(model), 0));
      const end = await train(engine, start, {
        model,
        objective: ssft,
        adamw: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 1e-4 },
        clip: 1,
        schedule: { peak: 3e-3, final: 0, warmup: 5, steps },
        batch,
        time,
        pad: 0,
        // Counting modulo the vocabulary from a start that changes: something to learn in 50 steps.
        batchAt: (step) => {
          const token = (shift: number) =>
            Int32Array.from(
              { length: batch * time },
              (_, i) => 1 + ((step * 7 + Math.floor(i / time) * 5 + (i % time) + shift) % 22),
            );
          return { tokens: token(0), targets: token(1), weights: new Float32Array(batch * time).fill(1) };
        },
        batchName: "counting",
        onStep: ({ loss }) => losses.push(loss),
      });
      return { losses, end };
    };
    const [a, b] = [await curve(cpu), await curve(gpu)];
    expect(a.losses[49]!).toBeLessThan(0.7 * a.losses[0]!);
    const apart = a.losses.map((loss, step) => Math.abs(b.losses[step]! - loss) / loss);
    console.log(`largest relative difference of the loss over ${steps} steps: ${Math.max(...apart).toExponential(1)}`);
    expect(Math.max(...apart)).toBeLessThan(1e-3);
    expect(b.end.parameters).toBeInstanceOf(Float32Array);
    expect(b.end.parameters).toHaveLength(a.end.parameters.length);
  });

  test("no operation of any program of the project falls back to the CPU", async () => {
    const found = await placements("webgpu", "smoke");
    expect(found.map(({ program: name }) => name.split(" ")[0])).toEqual(["pretrain", "tune", "behaviour", "clusters"]);
    for (const { operations, elsewhere } of found) {
      expect(operations).toBeGreaterThan(100);
      expect(elsewhere).toEqual([]);
    }
  });
});
