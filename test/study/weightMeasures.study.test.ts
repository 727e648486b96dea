import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { columnSpaceOf, energyRank, sinThetaAll } from "../../src/analysis/columnSpace.js";
import { sinThetas, svd, weightDelta, weightMatrix } from "../../src/analysis/index.js";
import { assembleResults } from "../../src/study/assembleResults.js";
import { buildStudy } from "../../src/study/build.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import { openRun } from "../../src/study/openRun.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";
import type { ResultRow } from "../../src/study/results.js";
import { loadRunCheckpoint } from "../../src/study/runCheckpoint.js";
import { runConfigText } from "../../src/study/runConfig.js";
import { runStudy } from "../../src/study/runStudy.js";

const root = await mkdtemp(join(tmpdir(), "nullscope-weights-"));
afterAll(() => rm(root, { recursive: true }));

const MATRICES = ["attn.proj", "attn.qkv", "mlp.fc", "mlp.proj"];

/** A study of seconds with the measures of weights and activations; `frozen` tunes at rate 0, so that its dW is zero. */
const config = await resolveConfig({
  source: "smoke",
  set: [
    "model={width: 16, blocks: 2, heads: 2, mlp: 32, residual: pre-ln}",
    "pretrain={steps: 3, batch: 8, warmup: 1}",
    "tune={steps: 4, batch: 8, finalLearningRate: 0}",
    "tune.methods=[ssft, dpo]",
    "tune.rates={small: null, frozen: 0}",
    "tune.options.dpo.gamma={medium: 0.01, frozen: 0.01}",
    "tune.controls={methods: [continue], rates: [medium]}",
    "tune.dynamics={fractions: [1], rates: [medium]}",
    "evaluate={samples: 16, dynamicsSamples: 8, batch: 8}",
    "attacks.run=[]",
  ],
});

describe("the measures of weights and activations in a study", () => {
  const folder = join(root, "run");
  const rows = new Map<string, ResultRow[]>();
  const all = (measure: string, where: { readonly [column in keyof ResultRow]?: ResultRow[column] | undefined } = {}) =>
    rows
      .get(measure)!
      .filter((row) => Object.entries(where).every(([column, cell]) => row[column as keyof ResultRow] === cell));
  const of = <K extends keyof ResultRow>(column: K, from: readonly ResultRow[]) => [
    ...new Set(from.map((row) => row[column])),
  ];

  beforeAll(async () => {
    const stages = buildStudy(config, await loadWorld("smoke"));
    const finish = () => assembleResults(stages, folder);
    const summary = await runStudy(stages, { runFolder: folder, configText: runConfigText(config), finish });
    expect([summary.diverged, summary.skipped]).toEqual([[], []]);
    const run = await openRun(folder);
    for (const measure of ["column-space", "row-space", "activation-space", "overlap", "clusters"])
      rows.set(measure, [...(await run.results(measure).rows())]);
  });

  test("column space: every tuned checkpoint, block and matrix, with its nulls beside it", () => {
    const sines = all("column-space", { metric: "sin-theta", step: undefined });
    expect(of("checkpoint", sines).sort()).toEqual(["continue-medium", "dpo-medium", "ssft-medium"]);
    expect(of("matrix", sines).sort()).toEqual(MATRICES);
    expect(of("block", sines)).toEqual([1, 2]);
    for (const { checkpoint, block, matrix, index, value, chance } of sines) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1 + 1e-12);
      const where = { checkpoint: checkpoint!, block: block!, matrix: matrix!, index: index! };
      const random = all("column-space", { ...where, metric: "null-random" })[0]!;
      expect(random).toMatchObject({ n: 1000, value: chance });
      const matched = all("column-space", { ...where, metric: "null-matched" })[0]!;
      expect(matched.n).toBe(100);
      // Two samples of one distribution, of 1000 and 100 draws; the smaller one's standard error is a quarter of its half-interval at most.
      expect(Math.abs(matched.value - random.value)).toBeLessThan((matched.high! - matched.low!) / 4 + 1e-9);
      const control = all("column-space", { ...where, metric: "null-continue" });
      const same = all("column-space", { ...where, checkpoint: "continue-medium", metric: "sin-theta" })[0]!;
      if (checkpoint === "continue-medium") expect(control).toEqual([]);
      else expect(control.map((row) => row.value)).toEqual([same.value]);
    }
  });

  test("column space: the numbers are those of the run's own matrices", async () => {
    const [before, after] = [
      await loadRunCheckpoint(folder, "instruct"),
      await loadRunCheckpoint(folder, "dpo-medium"),
    ];
    for (const matrix of ["mlp.fc", "attn.qkv"] as const) {
      const weights = svd(weightMatrix(before, 1, matrix));
      const delta = weightDelta(before, after, 1, matrix);
      const where = { checkpoint: "dpo-medium", block: 2, matrix, step: undefined };
      const value = (metric: string, index?: number) => all("column-space", { ...where, metric, index })[0]!.value;
      expect(value("rank")).toBe(energyRank(weights.singularValues));
      expect(value("sin-theta-all")).toBeCloseTo(sinThetaAll(columnSpaceOf(weights), delta)!, 12);
      const sines = sinThetas(columnSpaceOf(weights), svd(delta), 15);
      for (const [i, sine] of sines.entries()) expect(value("sin-theta", i + 1)).toBeCloseTo(sine, 12);
    }
  });

  test("a zero dW has a norm of 0 and rank of W_IT, and neither angles nor effects", () => {
    const frozen = all("column-space", { checkpoint: "ssft-frozen" });
    expect(of("metric", frozen).sort()).toEqual(["effective-rank", "norm", "rank"]);
    for (const row of frozen) expect(row.value > 0).toBe(row.metric === "rank");
    const effects = all("row-space", { checkpoint: "ssft-frozen" });
    expect(of("metric", effects)).toEqual(["gain"]);
    for (const { value, chance } of effects) expect([value, chance]).toEqual([0, 0]);
    expect(all("overlap", { checkpoint: "ssft-frozen~dpo-frozen" })).toEqual([]);
    // Its activations are those of W_IT: the null itself.
    for (const row of all("activation-space", { checkpoint: "ssft-frozen" })) expect(row.value).toBe(row.chance);
  });

  test("row space: both MLP matrices on every set, the squares of all directions within the gain", () => {
    const gains = all("row-space", { metric: "gain", checkpoint: "ssft-medium", outcome: undefined });
    expect(of("matrix", gains).sort()).toEqual(["mlp.fc", "mlp.proj"]);
    expect(of("set", gains)).toEqual(of("set", all("clusters", { metric: "tau" })).sort());
    for (const { value, low, high, n, matrix, block, set } of gains) {
      expect(low! <= value && value <= high! && n === 16).toBe(true);
      const where = { checkpoint: "ssft-medium", matrix: matrix!, block: block!, set: set! };
      const means = all("row-space", { ...where, metric: "projection" });
      const spreads = all("row-space", { ...where, metric: "projection-sd" });
      expect(means).toHaveLength(15);
      // E (sigma v'a)² = mean² + (n-1)/n sd²: summed over 15 of 16 directions at most E |dW a|².
      const inside = means.reduce((sum, row, i) => sum + row.value ** 2 + (15 / 16) * spreads[i]!.value ** 2, 0);
      expect(inside).toBeGreaterThan(0.8 * value ** 2);
      if (set === "unsafe") for (const row of means) expect(row.value).toBeGreaterThanOrEqual(0);
    }
    expect(all("row-space", { checkpoint: "instruct" })).toEqual([]);
    const ratio = all("row-space", { metric: "gain-ratio", checkpoint: "dpo-medium", block: 1, matrix: "mlp.fc" })[0]!;
    const gain = (set: string) =>
      all("row-space", { metric: "gain", checkpoint: "dpo-medium", block: 1, matrix: "mlp.fc", set })[0]!.value;
    expect(ratio.value).toBeCloseTo(gain("unsafe") / gain("safe"), 12);
    const control = all("row-space", {
      metric: "gain-ratio",
      checkpoint: "continue-medium",
      block: 1,
      matrix: "mlp.fc",
    });
    expect(ratio.chance).toBe(control[0]!.value);
    expect(control[0]!.chance).toBe(1);
    expect(all("row-space", { metric: "neuron-cosine", checkpoint: "dpo-medium" })).toHaveLength(4);
  });

  test("activation space: safe and unsafe apart, W_IT against itself is the null of all", () => {
    const whole = all("activation-space", { metric: "sin-theta-all" });
    expect(of("set", whole).sort()).toEqual(["safe", "unsafe"]);
    for (const { block, set, chance } of whole) {
      const own = whole.find((row) => row.checkpoint === "instruct" && row.block === block && row.set === set)!;
      expect(chance).toBe(own.value);
    }
    expect(whole.find((row) => row.checkpoint === "ssft-medium")!.value).toBeGreaterThan(0);
  });

  test("overlap: tunings of one rate in pairs, of k dimensions in m", () => {
    expect(of("checkpoint", all("overlap")).sort()).toEqual([
      "dpo-medium~continue-medium",
      "ssft-medium~continue-medium",
      "ssft-medium~dpo-medium",
    ]);
    const rows = all("overlap", { checkpoint: "ssft-medium~dpo-medium", matrix: "attn.qkv", block: 1 });
    expect(rows.map((row) => [row.index, row.chance])).toEqual([1, 2, 3, 5, 10, 15].map((k) => [k, k / 48]));
    for (const { value } of rows) expect(value > 0 && value <= 1).toBe(true);
  });

  test("clusters have the spectrum of each class, and the column space follows the steps of tuning", () => {
    const shares = all("clusters", { metric: "sigma-share", checkpoint: "dpo-medium", set: "unsafe", block: 2 });
    expect(shares.map((row) => row.index)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const first = all("clusters", { metric: "sigma1-share", checkpoint: "dpo-medium", set: "unsafe", block: 2 });
    expect(shares[0]!.value).toBeCloseTo(first.find((row) => row.index === 1 && row.step === undefined)!.value, 6);
    const rank = all("clusters", { metric: "effective-rank", checkpoint: "dpo-medium", set: "unsafe", block: 2 })[0]!;
    expect(rank.value > 1 && rank.value <= 15.000001).toBe(true); // 16 samples around their mean span 15 dimensions
    const steps = all("column-space", {
      metric: "sin-theta-all",
      checkpoint: "dpo-medium",
      block: 1,
      matrix: "mlp.fc",
    });
    expect(of("step", steps)).toEqual([undefined, 4]);
    const [final, last] = steps;
    expect(last!.value).toBeCloseTo(final!.value, 12);
  });
});
