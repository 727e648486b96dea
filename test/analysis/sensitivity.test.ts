import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { afterAll, describe, expect, test } from "vitest";
import {
  gradientNorm,
  lipschitz,
  powerStep,
  sensitivityProgram,
  spectralNorms,
  spectralStepProgram,
} from "../../src/analysis/sensitivity.js";
import { promptBatch, promptTime, selectRows } from "../../src/attack/index.js";
import {
  type Checkpoint,
  type GptConfig,
  gptForward,
  gptParameters,
  initializeParameters,
} from "../../src/model/index.js";
import {
  constant,
  matmul,
  mul,
  parameterView,
  program,
  reshape,
  type Tensor,
  unflatten,
} from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/step.js";
import { parseWorld, testSet, type World } from "../../src/world/index.js";
import { tinyWorld } from "../cli/tinyWorld.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";

const engine = cpuEngine();
afterAll(() => engine.release());

/** A matrix [3, 4] with singular values 5, 2, 1: two reflections around a diagonal. */
const planted = (() => {
  const reflection = (v: number[]) => {
    const scale = 2 / v.reduce((total, one) => total + one * one, 0);
    return new Matrix(v.map((a, i) => v.map((b, j) => Number(i === j) - scale * a * b)));
  };
  const diagonal = Matrix.zeros(3, 4);
  for (const [i, value] of [2, 5, 1].entries()) diagonal.set(i, i, value);
  return reflection([1, 2, -1])
    .mmul(diagonal)
    .mmul(reflection([2, -1, 1, 3]));
})();

/** x [batch, 2, 2] -> W vec(x), W [3, 4] */
const linearMap =
  (matrix: Matrix, scale = 1) =>
  (x: Tensor): Tensor =>
    mul(
      matmul(reshape(x, [x.shape[0]!, 4]), constant(matrix.to1DArray(), [3, 4], "float64"), { transposeB: true }),
      scale,
    );

describe("of a linear map", () => {
  const x = Float64Array.from({ length: 12 }, (_, i) => Math.sin(3 * i + 1));
  const spec = { x: { shape: [3, 2, 2], dtype: "float64" } } as const;

  test("the gradient's norm is that of the matrix's row whose output is largest, for every row of a batch", async () => {
    const { run } = await engine.compile(
      program("norm", spec, (input) => ({ norm: gradientNorm(linearMap(planted), input.x) })),
    );
    const { norm } = await run({ x });
    const expected = [0, 1, 2].map((row) => {
      const outputs = planted.mmul(Matrix.columnVector(Array.from(x.subarray(4 * row, 4 * row + 4)))).to1DArray();
      return planted.getRowVector(outputs.indexOf(Math.max(...outputs))).norm();
    });
    expect(new Set(expected.map((one) => one.toFixed(6))).size).toBeGreaterThan(1); // rows of several outputs are met
    expect(maxDifference(norm, expected)).toBeLessThan(1e-12);
  });

  test("power iteration ends at the largest singular value, from below", async () => {
    const specs = { ...spec, u: { shape: [3, 3], dtype: "float64" } } as const;
    const { run } = await engine.compile(
      program("step", specs, ({ x, u }) => ({ ...powerStep(linearMap(planted), x, u) })),
    );
    let u = Float64Array.from({ length: 9 }, (_, i) => 3 * Math.cos(2 * i + 1)); // of no particular length
    const norms: Float64Array[] = [];
    for (let step = 0; step < 20; step++) {
      const out = await run({ x, u });
      u = out.next as Float64Array<ArrayBuffer>;
      norms.push(out.norm as Float64Array);
    }
    expect(maxDifference(norms.at(-1)!, [5, 5, 5])).toBeLessThan(1e-12);
    for (const [step, norm] of norms.entries())
      for (let row = 0; row < 3; row++)
        expect(norm[row]!).toBeGreaterThanOrEqual((norms[step - 1]?.[row] ?? 0) - 1e-12);
    expect(norms[0]![0]).toBeLessThan(4.999); // it had a way to go
  });

  test("of slope 0 both are 0, and no number is lost", async () => {
    const specs = { ...spec, u: { shape: [3, 3], dtype: "float64" } } as const;
    const { run } = await engine.compile(
      program("flat", specs, ({ x, u }) => ({
        ...powerStep(linearMap(planted, 0), x, u),
        flat: gradientNorm(linearMap(planted, 0), x),
      })),
    );
    const { norm, next, flat } = await run({ x, u: new Float64Array(9).fill(1) });
    for (const values of [norm, next, flat]) expect([...values].every((value) => value === 0)).toBe(true);
  });
});

const worldOf = (layout: "aligned" | "packed"): World =>
  parseWorld({ ...tinyWorld, text: { ...tinyWorld.text, layout } }, "tiny");
const modelOf = (world: World): GptConfig => ({
  ...{ vocabulary: world.vocabulary.size, context: world.time, width: 8, blocks: 2, heads: 2, mlp: 16, epsilon: 1e-5 },
  residual: "pre-ln",
});
const randomModel = (world: World): Checkpoint => {
  const model = modelOf(world);
  const flat = initializeParameters(gptParameters(model), gptLayout(model), 3);
  return { model, parameters: flat.map((weight) => (weight === 1 ? 1 : 2 * weight)) };
};

describe.each(["aligned", "packed"] as const)("of a transformer in a world whose layout is %s", (layout) => {
  const world = worldOf(layout);
  const { model, parameters } = randomModel(world);
  const samples = testSet(world, "unsafe", { seed: 0, count: 10 });

  /** Logits at k of two samples for given embeddings, in float64: an ordinary forward pass. */
  const setting = async () => {
    const rows = Int32Array.of(0, 3);
    const { tokens, lastIndex } = promptBatch(world, samples, rows);
    const [batch, time] = [2, promptTime(world)];
    const flat = Float64Array.from(parameters);
    const table = parameterView(flat, gptLayout(model), "embed.weight");
    const embeddings = new Float64Array(batch * time * model.width);
    for (const [i, token] of tokens.entries())
      embeddings.set(table.subarray(token * model.width, (token + 1) * model.width), i * model.width);
    const forward = await engine.compile(
      program(
        "forward",
        {
          flat: { shape: [flat.length], dtype: "float64" },
          tokens: { shape: [batch, time], dtype: "int32" },
          embeddings: { shape: [batch, time, model.width], dtype: "float64" },
        },
        (input) => ({
          logits: gptForward(model, unflatten(input.flat, gptLayout(model)), { ...input, pad: world.vocabulary.pad })
            .logits,
        }),
      ),
    );
    const logits = async (at: Float64Array) => {
      const all = (await forward.run({ flat, tokens, embeddings: at })).logits as Float64Array;
      return [0, 1].map((i) => all.slice((i * time + lastIndex[i]!) * model.vocabulary).subarray(0, model.vocabulary));
    };
    /** Central differences: the Jacobian of each sample, [vocabulary][time * width]. */
    const size = time * model.width;
    const jacobians = [0, 1].map(() => Matrix.zeros(model.vocabulary, size));
    const h = 1e-5;
    for (let j = 0; j < size; j++) {
      const moved = [h, -h].map((by) => embeddings.map((e, i) => (i % size === j ? e + by : e)));
      const [above, below] = [await logits(moved[0]!), await logits(moved[1]!)];
      for (const i of [0, 1])
        for (let v = 0; v < model.vocabulary; v++) jacobians[i]!.set(v, j, (above[i]![v]! - below[i]![v]!) / (2 * h));
    }
    const shape = { batch, promptTime: time, pad: world.vocabulary.pad, dtype: "float64" } as const;
    return { feeds: { parameters: flat, tokens, lastIndex }, shape, jacobians, logits: await logits(embeddings) };
  };

  test("norms of the gradient and of the Jacobian are those that finite differences give", async () => {
    const { feeds, shape, jacobians, logits } = await setting();
    const norm = (await (await engine.compile(sensitivityProgram(model, shape))).run(feeds)).norm;
    // Central differences of 1e-5 are good to about 1e-9 in float64.
    const largest = logits.map((row, i) => jacobians[i]!.getRowVector(row.indexOf(Math.max(...row))).norm());
    expect(maxDifference(norm, largest)).toBeLessThan(1e-7);
    expect(Math.min(...largest)).toBeGreaterThan(0.1);

    const step = await engine.compile(spectralStepProgram(model, shape));
    let direction = Float64Array.from({ length: 2 * model.vocabulary }, (_, i) => Math.sin(i + 1));
    let spectral: ArrayLike<number | bigint> = [];
    for (let i = 0; i < 60; i++) {
      const out = await step.run({ ...feeds, direction });
      [direction, spectral] = [out.next as Float64Array<ArrayBuffer>, out.norm];
    }
    const singular = jacobians.map((one) => new SingularValueDecomposition(one.transpose()).diagonal[0]!);
    expect(maxDifference(spectral, singular)).toBeLessThan(1e-6);
    for (const i of [0, 1]) expect(singular[i]!).toBeGreaterThan(largest[i]!); // no row is longer than the whole
  });

  test("batches and the order of the samples change nothing", async () => {
    const checkpoint = { model, parameters };
    const options = { world, seed: 0, iterations: 5 };
    const order = [7, 2, 0, 5, 9, 1, 3, 4, 6, 8];
    const mixed = selectRows(samples, order);
    const whole = await lipschitz(engine, checkpoint, samples, { ...options, batch: 10 });
    const parts = await lipschitz(engine, checkpoint, mixed, { ...options, batch: 4 });
    const spectral = await spectralNorms(engine, checkpoint, samples, { ...options, batch: 10 });
    const spectralParts = await spectralNorms(engine, checkpoint, mixed, { ...options, batch: 4 });
    for (const [i, row] of order.entries()) {
      expect(parts[i]).toBeCloseTo(whole[row]!, 5);
      expect(spectralParts.norms[i]).toBeCloseTo(spectral.norms[row]!, 5);
      expect(spectral.norms[row]!).toBeGreaterThan(0.1);
      expect(spectral.changes[row]!).toBeLessThan(0.2);
      expect(spectral.changes[row]!).toBeGreaterThan(-1e-5);
    }
    expect(new Set(whole).size).toBeGreaterThan(3);
  });
});

test("fewer than two iterations cannot show convergence", async () => {
  const world = worldOf("aligned");
  const samples = testSet(world, "safe", { seed: 0, count: 2 });
  const options = { world, seed: 0, batch: 2, iterations: 1 };
  await expect(spectralNorms(engine, randomModel(world), samples, options)).rejects.toThrow("at least 2");
});
