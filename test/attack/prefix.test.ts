import { afterAll, expect, test } from "vitest";
import { decodeGreedily, judge } from "../../src/analysis/index.js";
import { forcedPrefix, selectRows } from "../../src/attack/index.js";
import { gptParameters, initializeParameters } from "../../src/model/index.js";
import { gptLayout } from "../../src/train/step.js";
import { parseWorld, testSet } from "../../src/world/index.js";
import { tinyWorld } from "../cli/tinyWorld.js";
import { cpuEngine } from "../engines.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const world = parseWorld(tinyWorld, "tiny");
const samples = testSet(world, "unsafe", { seed: 0, count: 40 });

test("the forced tokens belong to the prompt, the rest to the answer, and outputs without a rest are left out", () => {
  for (const strength of [0, 1, 2, 3]) {
    const forced = forcedPrefix(samples, strength);
    const kept = [...samples.textLength.keys()].filter((row) => samples.textLength[row]! > strength);
    expect(forced.count).toBe(kept.length);
    expect(forced.tokens).toEqual(selectRows(samples, kept).tokens);
    for (const [i, row] of kept.entries()) {
      expect(forced.answerStart[i]).toBe(samples.answerStart[row]! + strength);
      expect(forced.textLength[i]).toBe(samples.textLength[row]! - strength);
      expect(forced.branch[i]).toBe(samples.branch[row]);
    }
  }
  expect(forcedPrefix(samples, world.maxText).count).toBe(0);
});

test("the rest is what the model writes after the forced tokens, and success is judged on it alone", async () => {
  const model = {
    ...{
      vocabulary: world.vocabulary.size,
      context: world.time,
      width: 16,
      blocks: 2,
      heads: 2,
      mlp: 32,
      epsilon: 1e-5,
    },
    residual: "pre-ln" as const,
  };
  const flat = initializeParameters(gptParameters(model), gptLayout(model), 3);
  const checkpoint = { model, parameters: flat.map((weight) => (weight === 1 ? 1 : 2 * weight)) };
  // The true answers are the model's own outputs: with one token wrong, forcing past it makes the rest come out right.
  const steps = world.maxText;
  const written = await decodeGreedily(engine, checkpoint, samples, { world, batch: 40 });
  const own = selectRows(samples, [...samples.textLength.keys()]);
  for (let row = 0; row < own.count; row++)
    own.tokens.set(
      written.subarray(row * steps, row * steps + own.textLength[row]!),
      row * own.time + own.answerStart[row]!,
    );
  const forced = forcedPrefix(own, 1);
  const rest = await decodeGreedily(engine, checkpoint, forced, { world, batch: 40, steps: steps - 1 });
  expect([...judge(forced, rest, world.vocabulary.nullToken).outcome]).toEqual(Array(forced.count).fill(0));
  // Another first token leads elsewhere at least once.
  const other = selectRows(own, [...own.textLength.keys()]);
  for (let row = 0; row < other.count; row++) {
    const at = row * other.time + other.answerStart[row]!;
    other.tokens[at] = world.vocabulary.terminals[(other.tokens[at]! + 1) % world.vocabulary.terminals.length]!;
  }
  const misled = forcedPrefix(other, 1);
  const elsewhere = await decodeGreedily(engine, checkpoint, misled, { world, batch: 40, steps: steps - 1 });
  expect([...judge(misled, elsewhere, world.vocabulary.nullToken).outcome]).toContain(2);
});
