import { afterAll, expect, test } from "vitest";
import { constant, gradients, mul, program, slice, sum, tokenNll, weightedMean } from "../../src/tensor/index.js";
import { cpuEngine } from "../engines.js";
import { readGolden, readJson } from "../fixtures.js";
import { maxDifference } from "../numbers.js";

const golden = readGolden("losses/losses.safetensors");
const { float64 } = readJson<{
  float64: Record<`ce_${string}`, { mean: number; sum: number; per_sequence_sum: number[] }>;
}>("losses/losses.json");
const engine = cpuEngine();
afterAll(() => engine.release());

const [batch, time, vocabulary] = [4, 12, 17];

test.each(["completion", "all_tokens"])(
  "cross-entropy over %s is PyTorch's, value and gradient, in float64 to 1e-12",
  async (set) => {
    const labels = golden.get(`ce.${set}.labels`)!.data;
    // Our batches are shifted beforehand: position t scores label t + 1.
    const next = Array.from(
      { length: batch * (time - 1) },
      (_, i) => labels[Math.floor(i / (time - 1)) * time + (i % (time - 1)) + 1]!,
    );
    const shape = [batch, time - 1];
    const compiled = await engine.compile(
      program("cross-entropy", { logits: { shape: [batch, time, vocabulary], dtype: "float64" } }, ({ logits }) => {
        const targets = constant(
          next.map((id) => Math.max(id, 0)),
          shape,
          "int32",
        );
        const weights = constant(
          next.map((id) => Number(id >= 0)),
          shape,
          "float64",
        );
        const nll = tokenNll(slice(logits, 1, 0, -1), targets);
        const loss = weightedMean(nll, weights);
        return { loss, summed: sum(mul(nll, weights), { axis: 1 }), gradient: gradients(loss, [logits])[0]! };
      }),
    );
    const out = await compiled.run({ logits: golden.get("policy.chosen.logits")!.data });
    const wanted = float64[`ce_${set}`]!;
    expect(Math.abs(Number(out.loss[0]) - wanted.mean)).toBeLessThan(1e-12);
    expect(maxDifference(out.summed, wanted.per_sequence_sum)).toBeLessThan(1e-12);
    expect(maxDifference(out.gradient, golden.get(`ce.${set}.grad_mean.f64`)!.data)).toBeLessThan(1e-12);
  },
);

test("a batch in which nothing is scored has loss 0 and moves nothing", async () => {
  const compiled = await engine.compile(
    program("empty", { logits: { shape: [2, 3, 5], dtype: "float64" } }, ({ logits }) => {
      const loss = weightedMean(
        tokenNll(logits, constant(new Int32Array(6), [2, 3], "int32")),
        constant(new Float64Array(6), [2, 3], "float64"),
      );
      return { loss, gradient: gradients(loss, [logits])[0]! };
    }),
  );
  const out = await compiled.run({ logits: Float64Array.from({ length: 30 }, (_, i) => Math.sin(i)) });
  expect([out.loss[0], ...out.gradient]).toEqual(Array(31).fill(0));
});
