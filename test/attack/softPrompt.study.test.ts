import { afterAll, describe, expect, test } from "vitest";
import {
  type Checkpoint,
  decodeGreedily,
  judge,
  meanActivations,
  softPromptActivations,
  withOutputs,
} from "../../src/analysis/index.js";
import { promptBatch, selectRows, softPromptAttack, softPromptProgram } from "../../src/attack/index.js";
import { type GptConfig, gptParameters, initializeParameters } from "../../src/model/index.js";
import { createStream, randomKey } from "../../src/random/index.js";
import { parameterView } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/step.js";
import { parseWorld, testSet, type World } from "../../src/world/index.js";
import { tinyWorld } from "../cli/tinyWorld.js";
import { cpuEngine } from "../engines.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const worldOf = (layout: "aligned" | "packed"): World =>
  parseWorld({ ...tinyWorld, text: { ...tinyWorld.text, layout } }, "tiny");
const aligned = worldOf("aligned");
const modelOf = (world: World): GptConfig => ({
  ...{ vocabulary: world.vocabulary.size, context: world.time, width: 16, blocks: 2, heads: 2, mlp: 32, epsilon: 1e-5 },
  residual: "pre-ln",
});
/** Weights far larger than at the start of training, so that what is inserted matters. */
const randomModel = (world: World, seed = 3): Checkpoint => {
  const model = modelOf(world);
  const flat = initializeParameters(gptParameters(model), gptLayout(model), seed);
  return { model, parameters: flat.map((weight) => (weight === 1 ? 1 : 2 * weight)) };
};
const unsafe = (world: World, count = 12) => testSet(world, "unsafe", { seed: 0, count });
const options = { world: aligned, batch: 12, seed: 0, strength: 3, steps: 10, learningRate: 1, initialNorm: 0.1 };

/** Largest difference of two arrays. */
const difference = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
};

describe.each(["aligned", "packed"] as const)("in a world whose layout is %s", (layout) => {
  const world = worldOf(layout);
  const checkpoint = randomModel(world);
  const samples = unsafe(world);

  test("batches, the order of the samples and unused slots change nothing", async () => {
    const one = await softPromptAttack(engine, checkpoint, samples, { ...options, world });
    const order = [7, 2, 11, 0, 5, 9, 1, 3, 4, 6, 8, 10];
    const mixed = await softPromptAttack(engine, checkpoint, selectRows(samples, order), {
      ...{ ...options, world, batch: 5 },
      slots: 6,
    });
    const row = 3 * checkpoint.model.width;
    for (const [i, from] of order.entries()) {
      const at = i * 2 * row; // six slots, of which three are used
      expect(
        difference(mixed.embeddings.subarray(at, at + row), one.embeddings.subarray(from * row, (from + 1) * row)),
      ).toBeLessThan(1e-6);
      expect(
        difference(mixed.losses.subarray(i * 11, (i + 1) * 11), one.losses.subarray(from * 11, (from + 1) * 11)),
      ).toBeLessThan(1e-6);
    }
  });

  test("no embeddings are the plain model: its outputs and its activations", async () => {
    const none = await softPromptAttack(engine, checkpoint, samples, { ...options, world, strength: 0, slots: 2 });
    const plain = await decodeGreedily(engine, checkpoint, samples, { world, batch: 12 });
    const decoded = await decodeGreedily(engine, checkpoint, samples, { world, batch: 12, softPrompts: none });
    expect([...decoded]).toEqual([...plain]);
    const written = withOutputs(samples, plain);
    const read = { world, batch: 12, positions: [1, 10] };
    const expected = await meanActivations(engine, checkpoint, written, read);
    const found = await softPromptActivations(engine, checkpoint, written, { ...read, softPrompts: none });
    for (const [q, { blocks }] of expected.entries())
      for (const [block, data] of blocks.entries())
        expect(difference(found[q]!.blocks[block]!, data)).toBeLessThan(1e-6);
  });

  test.each(["shifted", "kept"] as const)(
    "tokens' own embeddings, inserted with positions %s, are those tokens",
    async (positions) => {
      // A prompt whose inserted embeddings are a token's own, against the same prompt with that token written into it.
      const { width } = checkpoint.model;
      const token = world.vocabulary.terminals[1]!;
      const table = parameterView(checkpoint.parameters, gptLayout(checkpoint.model), "embed.weight");
      const own = table.subarray(token * width, (token + 1) * width);
      const softPrompts = {
        ...{ slots: 1, width, positions, lengths: new Int32Array(samples.count).fill(1) },
        embeddings: Float32Array.from({ length: samples.count * width }, (_, i) => own[i % width]!),
      };
      const found = await decodeGreedily(engine, checkpoint, samples, { world, batch: 12, softPrompts });
      const longer = selectRows(samples, [...Array(samples.count).keys()]);
      for (let row = 0; row < samples.count; row++) {
        const at = row * samples.time + samples.answerStart[row]! - 1;
        longer.tokens.copyWithin(at + 1, at, (row + 1) * samples.time - 1);
        longer.tokens[at] = token;
        longer.answerStart[row]!++;
      }
      const written = await decodeGreedily(engine, checkpoint, longer, { world, batch: 12, steps: world.maxText - 1 });
      const first = (outputs: Int32Array) =>
        Array.from({ length: samples.count }, (_, row) => [
          ...outputs.subarray((row * outputs.length) / samples.count).subarray(0, world.maxText - 1),
        ]);
      if (positions === "shifted") expect(first(found)).toEqual(first(written));
      else expect(first(found)).not.toEqual(first(written)); // the same embeddings elsewhere are something else
    },
  );
});

describe("the descent", () => {
  const samples = unsafe(aligned, 40);

  test("every norm stays below 1 after every step, whatever the learning rate, and the loss falls on average", async () => {
    for (const learningRate of [0.3, 1, 1000]) {
      const { embeddings, largestNorms, losses } = await softPromptAttack(engine, randomModel(aligned), samples, {
        ...{ ...options, batch: 40, learningRate },
      });
      expect(largestNorms).toHaveLength(11);
      expect(Math.max(...largestNorms)).toBeLessThan(1);
      for (let at = 0; at < embeddings.length; at += 16)
        expect(Math.hypot(...embeddings.subarray(at, at + 16))).toBeLessThan(1);
      if (learningRate > 1) continue;
      const mean = (step: number) => samples.textLength.reduce((sum, _, row) => sum + losses[row * 11 + step]!, 0) / 40;
      for (let step = 1; step <= 10; step++) expect(mean(step)).toBeLessThan(mean(step - 1) + 1e-3);
      expect(mean(10)).toBeLessThan(mean(0) - 0.02);
    }
  });

  test("an embedding that would be too long is projected on norms of .999", async () => {
    const { largestNorms } = await softPromptAttack(engine, randomModel(aligned), samples, {
      ...{ ...options, batch: 40, learningRate: 1000, steps: 1 },
    });
    expect(largestNorms[1]).toBeCloseTo(0.999, 5);
  });

  test("the gradient is that of finite differences in float64", async () => {
    const { model, parameters } = randomModel(aligned, 5);
    const [batch, slots] = [3, 2];
    const shape = { batch, promptTime: 5 + aligned.maxText, answerTime: aligned.maxText, slots, steps: 1 };
    const rest = { positions: "shifted" as const, pad: aligned.vocabulary.pad, dtype: "float64" as const };
    const executable = await engine.compile(softPromptProgram(model, { ...shape, ...rest }));
    const { uniform } = createStream(randomKey(1, "finite differences"), 0);
    const initial = Float64Array.from({ length: batch * slots * model.width }, () => 0.2 * uniform() - 0.1);
    const prompts = promptBatch(aligned, unsafe(aligned, 3), Int32Array.of(0, 1, 2));
    const feeds = {
      ...prompts,
      ...{ weights: Float64Array.from(prompts.weights), parameters: Float64Array.from(parameters) },
      ...{ lengths: new Int32Array(batch).fill(slots), learningRate: Float64Array.of(1e-3) },
    };
    const run = async (embeddings: Float64Array) => executable.run({ ...feeds, initial: embeddings });
    const after = (await run(initial)).embeddings as Float64Array;
    for (let i = 0; i < initial.length; i += 7) {
      const total = async (step: number) => {
        const { losses } = await run(initial.with(i, initial[i]! + step));
        return (losses as Float64Array).subarray(0, batch).reduce((sum, loss) => sum + loss, 0);
      };
      const slope = ((await total(1e-5)) - (await total(-1e-5))) / 2e-5;
      expect((initial[i]! - after[i]!) / 1e-3).toBeCloseTo(slope, 7);
    }
  });
});

/**
 * A model of one block whose MLP does nothing and whose attention is one uniform head that reads x_14 - x_12 of what stands before it. Tokens and positions
 * have next to nothing there; a soft embedding may. Where it has, axis 14 says "the first letter", elsewhere it says NULL. With `reads`
 * false the head reads nothing: the way from the embeddings to the output is cut.
 */
function plantedModel(world: World, reads: boolean): Checkpoint {
  const model: GptConfig = { ...modelOf(world), blocks: 1, heads: 1 };
  const layout = gptLayout(model);
  const parameters = new Float32Array(layout.size);
  const view = (name: string) => parameterView(parameters, layout, name);
  const { width, vocabulary } = model;
  for (const name of ["blocks.0.ln1", "blocks.0.ln2", "ln_final"]) view(`${name}.weight`).fill(1);
  for (let token = 0; token < vocabulary; token++) view("embed.weight")[token * width] = 1;
  const values = (2 * width + 14) * width;
  if (reads) view("blocks.0.attn.qkv.weight").set([-1, 0, 1], values + 12); // layer norm's mean divides out of a difference
  view("blocks.0.attn.proj.weight")[14 * width + 14] = 30;
  view("unembed.weight")[world.vocabulary.terminals[0]! * width + 14] = 1;
  view("unembed.weight")[world.vocabulary.nullToken * width + 14] = -1;
  return { model, parameters };
}

describe("planted", () => {
  const { terminals, nullToken } = aligned.vocabulary;
  // The one answer that the planted model can give beside NULL.
  const samples = withOutputs(unsafe(aligned, 16), new Int32Array(16 * aligned.maxText).fill(terminals[0]!));
  const planted = { ...options, batch: 16, strength: 2, learningRate: 1 };
  const attack = async (checkpoint: Checkpoint) => {
    const softPrompts = await softPromptAttack(engine, checkpoint, samples, planted);
    const outputs = await decodeGreedily(engine, checkpoint, samples, { world: aligned, batch: 16, softPrompts });
    return { ...softPrompts, outcomes: [...judge(samples, outputs, nullToken).outcome] };
  };

  test("where a direction of the embedding opens the answer, the attack finds it on every sample", async () => {
    const checkpoint = plantedModel(aligned, true);
    const plain = await decodeGreedily(engine, checkpoint, samples, { world: aligned, batch: 16 });
    expect([...judge(samples, plain, nullToken).outcome]).toEqual(Array(16).fill(1)); // all NULL
    expect((await attack(checkpoint)).outcomes).toEqual(Array(16).fill(0)); // all true
  });

  test("where the way from the embeddings to the output is cut, it never succeeds", async () => {
    const { losses, outcomes } = await attack(plantedModel(aligned, false));
    expect(outcomes).toEqual(Array(16).fill(1));
    for (let row = 0; row < samples.count; row++) expect(losses[row * 11 + 10]).toBe(losses[row * 11]);
  });
});
