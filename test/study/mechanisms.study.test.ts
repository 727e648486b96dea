import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assembleResults } from "../../src/study/assembleResults.js";
import { buildStudy } from "../../src/study/build.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import { openRun } from "../../src/study/openRun.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";
import { runConfigText } from "../../src/study/runConfig.js";
import { runStudy } from "../../src/study/runStudy.js";
import { parseWorld } from "../../src/world/index.js";
import { threeBranchFile } from "../world/smallWorlds.js";

const root = await mkdtemp(join(tmpdir(), "nullscope-mechanisms-"));
afterAll(() => rm(root, { recursive: true }));

/** A study of seconds: nothing is learned in it, everything is measured. */
const TINY = [
  "model={width: 16, blocks: 2, heads: 2, mlp: 32, residual: pre-ln}",
  "pretrain={steps: 3, batch: 8, warmup: 1}",
  "tune={steps: 4, batch: 8, methods: [ssft]}",
  "tune.rates.small=null",
  "tune.controls.methods=[]",
  "tune.dynamics.fractions=[0.5]",
  "evaluate={samples: 24, dynamicsSamples: 8, mechanismSamples: 16, batch: 8}",
  "measures=[behaviour, sensitivity, refusal-direction, probes, patching]",
  "attacks.run=[]",
];

describe("a study of how its models decide", async () => {
  const world = await loadWorld("smoke");
  let folder: string;
  beforeAll(async () => {
    const config = await resolveConfig({ source: "smoke", set: TINY });
    folder = join(root, "one");
    const stages = buildStudy(config, world);
    const finish = () => assembleResults(stages, folder);
    const summary = await runStudy(stages, { runFolder: folder, configText: runConfigText(config), finish });
    expect([summary.diverged, summary.skipped]).toEqual([[], []]);
  });
  const rowsOf = async (measure: string, where = {}) => (await openRun(folder)).results(measure).where(where);
  const one = async (measure: string, where: object) => {
    const rows = await rowsOf(measure, where);
    expect(rows).toHaveLength(1);
    return rows[0]!;
  };

  test("has the sensitivity of both models on every set, and its change on the same samples", async () => {
    const sets = new Set((await rowsOf("behaviour")).map((row) => row.set));
    const last = { metric: "lipschitz", outcome: undefined, step: undefined };
    for (const checkpoint of ["instruct", "ssft-medium"]) {
      const rows = await rowsOf("sensitivity", { ...last, checkpoint });
      expect(new Set(rows.map((row) => row.set))).toEqual(sets);
      for (const { value, low, high, n } of rows) expect(low! < value && value < high! && n === 16).toBe(true);
    }
    expect(await rowsOf("sensitivity", { metric: "lipschitz-change", checkpoint: "instruct" })).toEqual([]);
    for (const set of ["safe", "unsafe"]) {
      const value = async (checkpoint: string) => (await one("sensitivity", { ...last, checkpoint, set })).value;
      const change = await one("sensitivity", { metric: "lipschitz-change", set });
      expect(change.value).toBeCloseTo((await value("ssft-medium")) - (await value("instruct")), 10);
    }
    expect(await rowsOf("sensitivity", { metric: "lipschitz", step: 2 })).toHaveLength(sets.size);
  });

  test("has quantiles in order, and Jacobian norms that are no smaller than its rows on average", async () => {
    const where = { checkpoint: "ssft-medium", set: "unsafe" };
    const quantiles = await rowsOf("sensitivity", { ...where, metric: "lipschitz-quantile" });
    expect(quantiles.map((row) => row.index)).toEqual(Array.from({ length: 19 }, (_, i) => 5 * (i + 1)));
    for (let i = 1; i < 19; i++) expect(quantiles[i]!.value).toBeGreaterThanOrEqual(quantiles[i - 1]!.value);
    expect((await one("sensitivity", { ...where, metric: "spectral-norm" })).n).toBe(4);
    expect((await one("sensitivity", { ...where, metric: "spectral-converged" })).value).toBeGreaterThanOrEqual(0);
  });

  test("steers every block on the half that gave no direction, with a null and the plain model beside it", async () => {
    for (const set of ["safe", "unsafe"])
      for (const metric of ["null", "instruct"]) {
        const where = { checkpoint: "ssft-medium", set };
        for (const intervention of ["ablation", "addition"]) {
          const rows = await rowsOf("refusal-direction", { ...where, metric: `${intervention}-${metric}` });
          expect(rows.map((row) => [row.block, row.n])).toEqual([
            [1, 8],
            [2, 8],
          ]);
          for (const row of rows) expect(row.chance).toBeGreaterThanOrEqual(0);
        }
        expect((await one("refusal-direction", { ...where, metric: `plain-${metric}` })).chance).toBeUndefined();
      }
  });

  test("reads the label in every block; a model that never refuses has no probe for refusing, and no decision to patch", async () => {
    const probes = await rowsOf("probes", { checkpoint: "instruct" });
    expect(probes.map((row) => [row.metric, row.block, row.n])).toEqual([
      ["unsafe-accuracy", 1, 16],
      ["unsafe-accuracy", 2, 16],
    ]);
    const patching = await rowsOf("patching", { checkpoint: "instruct" });
    expect(patching.map((row) => [row.metric, row.set, row.n]).sort()).toEqual([
      ["decision", "safe", 8],
      ["decision", "unsafe", 8],
    ]);
  });
});

test("fewer samples than both halves of every branch need are refused", async () => {
  const world = parseWorld(threeBranchFile(), "three");
  const config = await resolveConfig({ source: "smoke", set: ["measures=[probes]", "evaluate.mechanismSamples=11"] });
  expect(() => buildStudy(config, world)).toThrow("evaluate.mechanismSamples gives 11 samples a set, too few");
});
