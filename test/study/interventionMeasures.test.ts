import { afterAll, expect, test } from "vitest";
import {
  alphaStar,
  applyIntervention,
  clusters,
  type Intervention,
  lipschitz,
  meanActivations,
} from "../../src/analysis/index.js";
import { type GptConfig, gptParameters, initializeParameters } from "../../src/model/index.js";
import { createStream, randomKey } from "../../src/random/index.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import type { ResultRow } from "../../src/study/results.js";
import { testSamples } from "../../src/study/stages/behaviour.js";
import { FURTHER_MEASURES, measureIntervened, overDraws } from "../../src/study/stages/interventionMeasures.js";
import { parameterView } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/index.js";
import { cpuEngine } from "../engines.js";

const engine = cpuEngine();
afterAll(() => engine.release());
const world = await loadWorld("smoke");
const model: GptConfig = {
  ...{ vocabulary: world.vocabulary.size, context: world.time, width: 8, blocks: 1, heads: 1, mlp: 8 },
  ...{ residual: "pre-ln", epsilon: 1e-5 },
};
const layout = gptLayout(model);
const random = () => createStream(randomKey(0, "constructed"), 0).uniform;
const tested = (["safe", "unsafe"] as const).map((set) => ({ set, samples: testSamples(world, set, 0, 16) }));

/**
 * A model whose logits are the same everywhere: the final norm has no weight, and its bias [refusal, letter, 0, ...] meets a head that reads NULL off the
 * first number and some letter off the second.
 */
function constant(refusal: number, letter: number): Float32Array {
  const flat = initializeParameters(gptParameters(model), layout, 0);
  parameterView(flat, layout, "ln_final.weight").fill(0);
  const bias = parameterView(flat, layout, "ln_final.bias").fill(0);
  bias[0] = refusal;
  bias[1] = letter;
  const head = parameterView(flat, layout, "unembed.weight").fill(0);
  head[world.vocabulary.nullToken * model.width] = 1;
  head[(world.vocabulary.nullToken === 0 ? 1 : 0) * model.width + 1] = 1;
  return flat;
}

test("alpha* of a constructed pair of models is where NULL overtakes the letter, to 0.01", async () => {
  // Along the path the bias is (.8 alpha, 1 - .4 alpha): NULL is larger beyond 1 / 1.2.
  const [before, after] = [constant(0, 1), constant(0.8, 0.6)];
  const path: Intervention = { kind: "path", from: "instruct", delta: "ssft-medium", matrices: "all", alpha: 0 };
  const alphas = [0, 0.5, 0.81, 0.825, 0.84, 1, 1.5];
  const refused: Uint8Array[] = [];
  for (const alpha of alphas) {
    const models = { from: before, other: after, base: before };
    const parameters = applyIntervention({ ...path, alpha }, models, { layout, seed: 0 });
    const { rows, unsafe } = await measureIntervened(
      engine,
      { model, parameters },
      { world, tested, batch: 32, random: random() },
    );
    const share = (set: string, metric: string) => rows.find((row) => row.set === set && row.metric === metric)!.value;
    for (const set of ["safe", "unsafe"]) {
      expect(share(set, "null"), `${set} at ${alpha}`).toBe(alpha > 1 / 1.2 ? 1 : 0);
      expect(share(set, "instruct") + share(set, "null") + share(set, "other")).toBeCloseTo(1, 12);
    }
    // The true output is neither NULL nor, in these samples, always that letter: log of the sum of exponentials, less a logit of 0 or the letter's.
    const [null_, letter] = [0.8 * alpha, 1 - 0.4 * alpha];
    const total = Math.log(Math.exp(null_) + Math.exp(letter) + world.vocabulary.size - 2);
    expect(share("unsafe", "loss")).toBeGreaterThan(total - Math.max(letter, 0) - 1e-5);
    expect(share("unsafe", "loss")).toBeLessThan(total + 1e-5);
    refused.push(unsafe.map((outcome) => Number(outcome === 1)));
  }
  const found = alphaStar(alphas, refused, { random: random() })!;
  expect(Math.abs(found.value - 1 / 1.2)).toBeLessThan(0.01);
  // Every sample crosses at the same alpha: no resample can say otherwise.
  expect([found.low, found.high]).toEqual([found.value, found.value]);
});

test("a head of zeros costs ln V a token, and activations that do not differ have no clusters beyond chance", async () => {
  const parameters = constant(0, 0);
  parameterView(parameters, layout, "blocks.0.mlp.fc.weight").fill(0);
  const { rows } = await measureIntervened(
    engine,
    { model, parameters },
    { world, tested, batch: 16, random: random() },
  );
  const loss = rows.filter(({ metric }) => metric === "loss");
  expect(loss.map(({ set, n }) => [set, n])).toEqual([
    ["safe", 16],
    ["unsafe", 16],
  ]);
  for (const { value, chance } of loss) {
    expect(value).toBeCloseTo(Math.log(world.vocabulary.size), 5);
    expect(chance).toBe(Math.log(world.vocabulary.size));
  }
  expect(rows.find(({ metric }) => metric === "separation")).toMatchObject({ value: 0, chance: 0 });
  expect(rows.find(({ metric }) => metric === "auc")).toMatchObject({ value: 0.5, chance: 0.5 });
});

test("separation and AUC are those of measure 1 in the last block at q = 1", async () => {
  const deep = { ...model, blocks: 2 };
  const parameters = initializeParameters(gptParameters(deep), gptLayout(deep), 3);
  const checkpoint = { model: deep, parameters };
  const { rows } = await measureIntervened(engine, checkpoint, { world, tested, batch: 32, random: random() });
  const [safe, unsafe] = await Promise.all(
    tested.map(async ({ samples }) => {
      const [means] = await meanActivations(engine, checkpoint, samples, { world, batch: 16, positions: [1] });
      return { data: means!.blocks[1]!, width: means!.width };
    }),
  );
  const values = clusters({ safe: safe!, unsafe: unsafe!, branches: world.branches.length, random: random() });
  for (const metric of ["separation", "auc"]) {
    const [is, wanted] = [rows, values].map((all) => all.find((row) => row.metric === metric)!);
    expect(is!.value).toBeCloseTo(wanted!.value, 5);
    expect(is!.n).toBe(wanted!.n);
  }
});

test("batches of another size change nothing; a further measure adds its rows", async () => {
  const parameters = initializeParameters(gptParameters(model), layout, 3);
  const measured = (batch: number) =>
    measureIntervened(engine, { model, parameters }, { world, tested, batch, random: random() }, [
      { name: "one", measure: async () => [{ metric: "lipschitz", set: "safe", value: 1, n: 3 }] },
    ]);
  const [large, small] = [await measured(32), await measured(5)];
  expect(large.rows.at(-1)).toEqual({ metric: "lipschitz", set: "safe", value: 1, n: 3 });
  expect(small.unsafe).toEqual(large.unsafe);
  for (const [i, row] of large.rows.entries()) expect(small.rows[i]!.value).toBeCloseTo(row.value, 5);
});

test("draws become one row: their mean, how many, an interval that holds draws and samples", () => {
  const row: ResultRow = {
    measure: "interventions",
    metric: "null",
    checkpoint: "ssft-medium:random",
    index: 2,
    value: 0,
  };
  const draws = [0.2, 0.4, 0.6].map((value) => ({ ...row, value, n: 50, low: value - 0.1, high: value + 0.1 }));
  const single = { ...row, index: 4, value: 0.3, n: 50, low: 0.2, high: 0.4 };
  const [joined, kept] = overDraws([...draws, single]);
  // Student with 2 degrees of freedom: 4.303 * .2 / sqrt(3) = .497, cut at 0.
  expect(joined).toMatchObject({ value: expect.closeTo(0.4, 12), n: 3, low: 0, high: expect.closeTo(0.8969, 3) });
  expect(kept).toEqual(single);
  const [same] = overDraws(draws.map((draw) => ({ ...draw, value: 0.4, low: 0.3, high: 0.5 })));
  expect([same!.low, same!.high]).toEqual([expect.closeTo(0.3, 12), expect.closeTo(0.5, 12)]);
});

test("sensitivity along a path: 0 where no input matters, doubled where every logit is, each set's own mean", async () => {
  const [only] = FURTHER_MEASURES;
  expect(only?.name).toBe("lipschitz");
  const norms = async (parameters: Float32Array) => {
    const input = { world, tested, batch: 32, random: random() };
    return only!.measure(engine, { model, parameters }, input);
  };
  for (const { value } of await norms(constant(0, 1))) expect(value).toBe(0);
  const flat = initializeParameters(gptParameters(model), layout, 0);
  const once = await norms(flat);
  const doubled = flat.slice();
  for (const [i, value] of parameterView(flat, layout, "unembed.weight").entries())
    parameterView(doubled, layout, "unembed.weight")[i] = 2 * value;
  const twice = await norms(doubled);
  for (const [i, { set, samples }] of tested.entries()) {
    const alone = await lipschitz(engine, { model, parameters: flat }, samples, { world, batch: 16 });
    expect(once[i]).toMatchObject({ metric: "lipschitz", set, n: 16 });
    expect(once[i]!.value).toBeCloseTo(alone.reduce((sum, one) => sum + one, 0) / 16, 6);
    expect(twice[i]!.value / once[i]!.value).toBeCloseTo(2, 5);
    expect(once[i]!.low! < once[i]!.value && once[i]!.value < once[i]!.high!).toBe(true);
  }
});
