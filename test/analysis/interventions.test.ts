import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  applyIntervention,
  crossing,
  directionsOf,
  fullRank,
  type Intervention,
  interventionName,
  interventionSchema,
  sumOfDirections,
} from "../../src/analysis/index.js";
import { type GptConfig, gptParameters, initializeParameters } from "../../src/model/index.js";
import { fillNormal, randomKey } from "../../src/random/index.js";
import { parameterView } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/index.js";

const model: GptConfig = {
  ...{ vocabulary: 7, context: 8, width: 8, blocks: 2, heads: 2, mlp: 12 },
  ...{ residual: "pre-ln", epsilon: 1e-5 },
};
const layout = gptLayout(model);
const weights = (seed: number) => initializeParameters(gptParameters(model), layout, seed);
// Tuning leaves some weights alone, moves some far, and makes zeros of either sign.
const base = weights(1);
const tuned = (seed: number) => {
  const noise = new Float32Array(layout.size);
  fillNormal(randomKey(seed, "tuned"), 0, noise);
  return base.map((w, i) => [w, w + 0.01 * noise[i]!, 1e30 * noise[i]!, 0, -0, 1e-30 * noise[i]!][i % 6]!);
};
const [ssft, dpo] = [tuned(2), tuned(3)];
base[0] = -0;

const path: Intervention = { kind: "path", from: "instruct", delta: "ssft-medium", matrices: "all", alpha: 1 };
const transfer: Intervention = { ...path, kind: "transfer", from: "dpo-medium" };
const line: Intervention = { kind: "line", from: "ssft-medium", to: "dpo-medium", matrices: "all", alpha: 1 };
const rank: Extract<Intervention, { kind: "rank" }> = { ...path, kind: "rank", rank: 1, directions: "top", draw: 0 };
const options = { layout, seed: 5 };
const onPath = (alpha: number) => applyIntervention({ ...path, alpha }, { from: base, other: ssft, base }, options);
const bits = (x: Float32Array) => Buffer.from(x.buffer, x.byteOffset, x.byteLength).toString("hex");

describe("paths, lines and transfers", () => {
  test("alpha 0 is W_IT and alpha 1 is W_ST, bit for bit, and neither is written to", () => {
    const before = [bits(base), bits(ssft)];
    expect(bits(onPath(0))).toBe(bits(base));
    expect(bits(onPath(1))).toBe(bits(ssft));
    onPath(1.5).fill(9);
    expect([bits(base), bits(ssft)]).toEqual(before);
  });

  test("the ends of a line are its models, bit for bit, and its middle is their mean", () => {
    const at = (alpha: number) => applyIntervention({ ...line, alpha }, { from: ssft, other: dpo, base }, options);
    expect(bits(at(0))).toBe(bits(ssft));
    expect(bits(at(1))).toBe(bits(dpo));
    expect(at(0.5)).toEqual(ssft.map((w, i) => (w + dpo[i]!) / 2));
  });

  test("between and beyond, every weight is W_IT + alpha dW to half a unit of its last place", () => {
    for (const alpha of [0.25, 0.5, 1.3, -1]) {
      const moved = onPath(alpha);
      for (let i = 0; i < layout.size; i++)
        expect(moved[i]).toBe(ssft[i] === base[i] ? base[i] : Math.fround((1 - alpha) * base[i]! + alpha * ssft[i]!));
    }
  });

  test("a transfer adds dW of the other tuning, not the other tuned model", () => {
    const models = { from: dpo, other: ssft, base };
    expect(bits(applyIntervention({ ...transfer, alpha: 0 }, models, options))).toBe(bits(dpo));
    const moved = applyIntervention({ ...transfer, alpha: 0.5 }, models, options);
    expect(moved).toEqual(dpo.map((w, i) => w + 0.5 * (ssft[i]! - base[i]!)));
  });

  test("only the matrices that are named change, in every block", () => {
    const models = { from: base, other: ssft, base };
    const moved = applyIntervention({ ...path, matrices: ["mlp.fc", "attn.proj"] }, models, options);
    for (const { name } of layout.slots) {
      const is = /(mlp\.fc|attn\.proj)\.weight$/.test(name) ? ssft : base;
      expect(bits(parameterView(moved, layout, name)), name).toBe(bits(parameterView(is, layout, name)));
    }
  });
});

describe("low rank", () => {
  const small = base.map((w, i) => w + 0.1 * (dpo[i]! === 0 ? 1 : Math.sin(i * i)));
  const models = { from: base, other: small, base };
  const at = (more: Partial<typeof rank>, seed = 5) =>
    applyIntervention({ ...rank, ...more }, models, { layout, seed });
  const deltaOf = (moved: Float32Array, name: string) =>
    parameterView(moved, layout, name).map((w, i) => w - parameterView(base, layout, name)[i]!);

  test("full rank is dW of the four matrices of every block to 1e-6, and everything else stays at W_IT", () => {
    expect(fullRank(rank, layout)).toBe(8);
    for (const directions of ["top", "random"] as const) {
      const moved = at({ rank: 8, directions });
      for (const { name } of layout.slots) {
        const reduced = /^blocks\.\d\.(attn|mlp)\.\w+\.weight$/.test(name);
        const [is, wanted] = [parameterView(moved, layout, name), parameterView(reduced ? small : base, layout, name)];
        for (let i = 0; i < is.length; i++) expect(Math.abs(is[i]! - wanted[i]!), name).toBeLessThan(1e-6);
        if (!reduced) expect(bits(is)).toBe(bits(wanted));
      }
    }
  });

  test("rank k changes every matrix by rank k, and the top directions hold at least as much of dW as random ones", () => {
    const name = "blocks.1.mlp.fc.weight";
    const energy = (x: ArrayLike<number>) => Array.from(x).reduce((sum, one) => sum + one * one, 0);
    const whole = directionsOf(deltaOf(small, name), 12, 8).singularValues;
    for (const k of [1, 2, 5]) {
      const top = deltaOf(at({ rank: k }), name);
      const kept = directionsOf(top, 12, 8).singularValues;
      for (const [i, s] of kept.entries()) expect(s).toBeCloseTo(i < k ? whole[i]! : 0, 5);
      const draws = [0, 1, 2].map((draw) => energy(deltaOf(at({ rank: k, directions: "random", draw }), name)));
      for (const random of draws) expect(random).toBeLessThanOrEqual(energy(top) * (1 + 1e-6));
      if (k < 5) expect(Math.min(...draws)).toBeLessThan(0.95 * energy(top));
    }
  });

  test("random directions are a function of seed and draw alone", () => {
    const random = { rank: 2, directions: "random", draw: 1 } as const;
    expect(bits(at(random))).toBe(bits(at(random)));
    expect(bits(at({ ...random, draw: 2 }))).not.toBe(bits(at(random)));
    expect(bits(at(random, 6))).not.toBe(bits(at(random)));
    // Factors that are kept change nothing.
    const factors = new Map();
    applyIntervention(rank, models, { ...options, factors });
    expect(factors.size).toBe(8);
    expect(bits(applyIntervention({ ...rank, ...random }, models, { ...options, factors }))).toBe(bits(at(random)));
  });

  test("a matrix of known directions is taken apart into them, largest first", () => {
    const [u, v] = [
      [0.6, 0.8, 0],
      [-0.8, 0.6, 0],
    ];
    // 2 u e_1' + 5 v e_0', [3, 2]
    const matrix = u!.flatMap((one, row) => [5 * v![row]!, 2 * one]);
    const { singularValues, left } = directionsOf(matrix, 3, 2);
    expect(Array.from(singularValues)).toEqual([expect.closeTo(5, 12), expect.closeTo(2, 12)]);
    expect(Math.abs(left[0]!.reduce((sum, one, i) => sum + one * v![i]!, 0))).toBeCloseTo(1, 12);
    const first = sumOfDirections(directionsOf(matrix, 3, 2), [0]);
    expect(Array.from(first)).toEqual(v!.flatMap((one) => [expect.closeTo(5 * one, 12), expect.closeTo(0, 12)]));
    // Wide matrices too.
    const wide = directionsOf([1, 0, 0, 0, 0, 3], 2, 3);
    expect(Array.from(wide.singularValues)).toEqual([expect.closeTo(3, 12), expect.closeTo(1, 12)]);
    expect(Array.from(sumOfDirections(wide, [0, 1]))).toEqual([1, 0, 0, 0, 0, 3].map((x) => expect.closeTo(x, 12)));
  });
});

describe("interventions as data", () => {
  test("names and kinds that results use", () => {
    expect([path, transfer, line, rank, { ...rank, directions: "random" as const }].map(interventionName)).toEqual([
      "ssft-medium",
      "dpo-medium+ssft-medium",
      "ssft-medium..dpo-medium",
      "ssft-medium:top",
      "ssft-medium:random",
    ]);
    for (const one of [path, transfer, line, rank]) expect(interventionSchema.parse(one)).toEqual(one);
  });

  test.each<[string, object]>([
    ["a kind that is none", { ...path, kind: "paths" }],
    ["a key that the kind has not", { ...path, rank: 2 }],
    ["no rank", { ...rank, rank: undefined }],
    ["rank 0", { ...rank, rank: 0 }],
    ["a matrix that is none", { ...path, matrices: ["mlp.up"] }],
    ["a matrix named twice", { ...path, matrices: ["mlp.fc", "mlp.fc"] }],
    ["an alpha that is no number", { ...path, alpha: "1" }],
    ["a line with a delta", { ...line, delta: "dpo-medium" }],
  ])("%s is refused", (_what, one) => expect(interventionSchema.safeParse(one).success).toBe(false));
});

describe("where a share crosses one half", () => {
  test("linear between the alphas: exactly where a broken line says", () => {
    expect(crossing([0, 0.5, 1], [0, 0.2, 1])).toBeCloseTo(0.6875, 12);
    expect(crossing([0, 1, 2], [0, 0.5, 0.1])).toBe(1);
    expect(crossing([0, 1, 2, 3], [0.4, 0.6, 0.1, 0.9])).toBeCloseTo(0.5, 12); // the first time
    expect(crossing([0, 1], [0, 0.49])).toBeUndefined();
    expect(crossing([0, 1], [0.5, 1])).toBeUndefined();
  });

  test("any line through one half is found where it crosses", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 1.45, noNaN: true }),
        fc.double({ min: 0.3, max: 5, noNaN: true }),
        (at, slope) => {
          const alphas = [0, 0.25, 0.5, 0.75, 1, 1.1, 1.2, 1.3, 1.4, 1.5];
          expect(
            crossing(
              alphas,
              alphas.map((alpha) => 0.5 + slope * (alpha - at)),
            )!,
          ).toBeCloseTo(at, 10);
        },
      ),
      { seed: 1 },
    );
  });
});
