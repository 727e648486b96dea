import { afterAll, expect, test } from "vitest";
import { selectRows, textAttack } from "../../src/attack/index.js";
import { gptParameters, initializeParameters } from "../../src/model/index.js";
import { gptLayout } from "../../src/train/step.js";
import { parseWorld, readRow, testSet } from "../../src/world/index.js";
import { tinyWorld } from "../cli/tinyWorld.js";
import { cpuEngine } from "../engines.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const world = parseWorld({ ...tinyWorld, text: { ...tinyWorld.text, layout: "packed" } }, "tiny");
const model = {
  ...{ vocabulary: world.vocabulary.size, context: world.time, width: 16, blocks: 2, heads: 2, mlp: 32, epsilon: 1e-5 },
  residual: "pre-ln" as const,
};
const flat = initializeParameters(gptParameters(model), gptLayout(model), 3);
const checkpoint = { model, parameters: flat.map((weight) => (weight === 1 ? 1 : 2 * weight)) };
const samples = testSet(world, "unsafe", { seed: 0, count: 20 });
const options = { world, batch: 16, seed: 0, strength: 2, topK: 3, candidates: 4, budget: 40 };

test("only as many letters as the strength change, and the true output is that of the changed text", async () => {
  for (const strength of [1, 2]) {
    const { samples: found } = await textAttack(engine, checkpoint, samples, { ...options, strength });
    let changed = 0;
    for (let row = 0; row < samples.count; row++) {
      const [before, after] = [readRow(world, samples, row), readRow(world, found, row)];
      expect(after.tasks).toEqual(before.tasks);
      expect([...after.answer]).toEqual([...after.truth]);
      const differences = after.text.filter((letter, i) => letter !== before.text[i]).length;
      expect(differences).toBeLessThanOrEqual(strength);
      expect([...after.text].every((letter) => world.vocabulary.terminals.includes(letter))).toBe(true);
      changed += differences;
    }
    expect(changed).toBeGreaterThan(0);
  }
});

test("a larger budget finds no worse texts, a budget of one leaves the text as it is, and no budget is exceeded", async () => {
  const run = (budget: number) => textAttack(engine, checkpoint, samples, { ...options, budget });
  const [one, some, many] = [await run(1), await run(12), await run(40)];
  expect(one.samples.tokens).toEqual(samples.tokens);
  for (const [budget, { passes }] of [
    [1, one],
    [12, some],
    [40, many],
  ] as const)
    expect(Math.max(...passes)).toBeLessThanOrEqual(budget);
  const total = (losses: Float64Array) => losses.reduce((sum, loss) => sum + loss, 0);
  for (let row = 0; row < samples.count; row++) {
    expect(some.losses[row]!).toBeLessThanOrEqual(one.losses[row]!);
    expect(many.losses[row]!).toBeLessThanOrEqual(some.losses[row]! + 1e-5);
  }
  expect(total(some.losses)).toBeLessThan(total(one.losses) - 1);
});

test("batches and the order of the samples change nothing", async () => {
  const order = [13, 4, 0, 19, 7];
  const all = await textAttack(engine, checkpoint, samples, options);
  const few = await textAttack(engine, checkpoint, selectRows(samples, order), { ...options, batch: 3 });
  expect(few.samples.tokens).toEqual(selectRows(all.samples, order).tokens);
  for (const [i, row] of order.entries()) expect(few.losses[i]!).toBeCloseTo(all.losses[row]!, 5);
});
