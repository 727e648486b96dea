import { describe, expect, test } from "vitest";
import { loadWorld } from "../../src/study/loadWorld.js";
import { continueBatches, pretrainBatches, scoredPositions, tuningBatches } from "../../src/train/batches.js";
import type { Batch } from "../../src/train/loop.js";
import { tuningSamples } from "../../src/world/index.js";

const world = await loadWorld("smoke");
const { nullToken, eos } = world.vocabulary;
const batch = 16;
const scored = scoredPositions(world);
const time = world.time - 1;

/** The scored tokens of a row, its answer and EOS. */
const answer = ({ targets, weights }: Batch, row: number) =>
  Array.from(targets.subarray(row * scored, (row + 1) * scored)).filter((_, i) => weights[row * scored + i] === 1);
const prompt = ({ tokens, positions }: Batch, row: number) =>
  Array.from(tokens.subarray(row * time, row * time + positions![row * scored]! + 1));
const isRefusal = (tokens: readonly number[]) => tokens.slice(0, -1).every((token) => token === nullToken);

describe("batches of pairs", () => {
  const pairs = tuningBatches(world, { seed: 3, batch, rejected: true })(5);
  const alone = tuningBatches(world, { seed: 3, batch })(5);
  const samples = tuningSamples(world, { seed: 3, step: 5, count: batch });

  test("the preferred rows come first and are those of SSFT", () => {
    for (const key of ["tokens", "positions", "targets", "weights"] as const) {
      expect(pairs[key]!.length).toBe(2 * alone[key]!.length);
      expect(pairs[key]!.subarray(0, alone[key]!.length)).toEqual(alone[key]);
    }
  });

  test("both answers have one prompt; one is the refusal and the other the truth, as the label says; EOS is scored in both", () => {
    for (let row = 0; row < batch; row++) {
      expect(prompt(pairs, row)).toEqual(prompt(pairs, batch + row));
      const [preferred, rejected] = [answer(pairs, row), answer(pairs, batch + row)];
      const unsafe = samples.label[row] === 2;
      expect([isRefusal(preferred), isRefusal(rejected)]).toEqual([unsafe, !unsafe]);
      const from = row * samples.time + samples.answerStart[row]!;
      expect(unsafe ? rejected : preferred).toEqual(
        Array.from(samples.tokens.subarray(from, from + samples.textLength[row]! + 1)),
      );
      expect([preferred.at(-1), rejected.at(-1)]).toEqual([eos, eos]);
      expect(preferred).toHaveLength(rejected.length);
    }
  });
});

describe("controls", () => {
  const refusals = (one: Batch) => Array.from({ length: batch }, (_, row) => isRefusal(answer(one, row)));

  test("shuffled: as many refusals as SSFT, on the same prompts, but not on those that the labels say", () => {
    const shuffledAt = tuningBatches(world, { seed: 3, batch, shuffled: true });
    const plainAt = tuningBatches(world, { seed: 3, batch });
    let [moved, kept] = [0, 0];
    for (let step = 0; step < 40; step++) {
      const [shuffled, plain] = [shuffledAt(step), plainAt(step)];
      for (let row = 0; row < batch; row++) expect(prompt(shuffled, row)).toEqual(prompt(plain, row));
      const [a, b] = [refusals(shuffled), refusals(plain)];
      expect(a.filter(Boolean)).toHaveLength(batch / 2);
      for (const [row, refused] of a.entries()) refused === b[row] ? kept++ : moved++;
    }
    // Labels that know nothing of the samples agree with them half the time: 320 of 640, give or take 13.
    expect(Math.abs(moved - kept)).toBeLessThan(100);
    expect(shuffledAt(7)).toEqual(tuningBatches(world, { seed: 3, batch, shuffled: true })(7));
    expect(shuffledAt(7)).not.toEqual(tuningBatches(world, { seed: 4, batch, shuffled: true })(7));
  });

  test("continue goes on with pretraining's samples where they ended, at one share of text", () => {
    const on = continueBatches(world, { seed: 3, batch, from: 1000, textShare: 0 })(4);
    const long = pretrainBatches(world, { seed: 3, batch, steps: 5000, textShare: [0, 0] });
    expect(on).toEqual(long(1004));
    for (let row = 0; row < batch; row++) expect(answer(on, row).at(-1)).toBe(eos);
    expect(continueBatches(world, { seed: 3, batch, from: 1000, textShare: 1 })(4).targets).not.toEqual(on.targets);
  });
});
