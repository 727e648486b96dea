import { expect, test } from "vitest";
import { type Rope, ropeFrequencies } from "../../src/model/index.js";
import { readGolden } from "../fixtures.js";
import { maxDifference } from "../numbers.js";

const llama31: Rope = {
  theta: 500000,
  scaling: { type: "llama3", factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64 },
};

test("frequencies are Hugging Face's, plain and with the scaling of Llama 3.1", () => {
  const plain: Rope = { theta: 10000, scaling: null };
  for (const [folder, rope, headWidth] of [
    ["a_llama2", plain, 16],
    ["b_llama3_sharded", { theta: 500000, scaling: null }, 8],
    ["c_llama31_rope", llama31, 16],
  ] as const) {
    const wanted = readGolden(`checkpoints/${folder}/golden.safetensors`).get("rope.inv_freq.f64")!.data;
    expect(maxDifference(ropeFrequencies(rope, headWidth), wanted)).toBeLessThan(1e-15);
  }
});

test("short waves are kept, long ones divided by the factor, and between them the frequencies fall without a jump", () => {
  const long = { ...llama31, theta: 1e6 };
  const plain = ropeFrequencies({ ...long, scaling: null }, 2048);
  const kept = ropeFrequencies(long, 2048).map((frequency, i) => frequency / plain[i]!);
  expect(kept[0]).toBe(1);
  expect(kept.at(-1)).toBeCloseTo(1 / 8, 12);
  for (let i = 1; i < kept.length; i++) {
    expect(kept[i]!).toBeLessThanOrEqual(kept[i - 1]! + 1e-12);
    expect(kept[i - 1]! - kept[i]!).toBeLessThan(0.02);
  }
});

test("linear scaling divides every frequency", () => {
  const plain = ropeFrequencies({ theta: 10000, scaling: null }, 8);
  const scaled = ropeFrequencies({ theta: 10000, scaling: { type: "linear", factor: 4 } }, 8);
  expect([...scaled]).toEqual([...plain.map((frequency) => frequency / 4)]);
});
