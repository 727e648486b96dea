import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assembleResults } from "../../src/study/assembleResults.js";
import { buildStudy } from "../../src/study/build.js";
import type { StudyConfig } from "../../src/study/config.js";
import type { StudySummary } from "../../src/study/graph.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import { openRun } from "../../src/study/openRun.js";
import { tuningOfMethod } from "../../src/study/programs.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";
import { loadRunCheckpoint } from "../../src/study/runCheckpoint.js";
import { runConfigText } from "../../src/study/runConfig.js";
import { runStudy } from "../../src/study/runStudy.js";
import { stageIdentity } from "../../src/study/stage.js";
import { dynamicsSteps, tuningsOf } from "../../src/study/stages/tunings.js";
import { stageFolder } from "../../src/study/store.js";
import { RECIPES } from "../../src/train/index.js";

const root = await mkdtemp(join(tmpdir(), "nullscope-tunings-"));
afterAll(() => rm(root, { recursive: true }));

/** A study of seconds: nothing is learned in it, everything is done. */
const TINY = [
  "model={width: 16, blocks: 1, heads: 2, mlp: 32, residual: pre-ln}",
  "pretrain={steps: 3, batch: 8, warmup: 1}",
  "tune={steps: 10, batch: 8}",
  "evaluate={samples: 8, dynamicsSamples: 8, batch: 8}",
  "measures=[behaviour, clusters]",
];
const tiny = (...set: string[]) => resolveConfig({ source: "smoke", set: [...TINY, ...set] });
const world = await loadWorld("smoke");

async function run(config: StudyConfig, name: string): Promise<{ folder: string; summary: StudySummary }> {
  const folder = join(root, name);
  const stages = buildStudy(config, world);
  const finish = () => assembleResults(stages, folder);
  return { folder, summary: await runStudy(stages, { runFolder: folder, configText: runConfigText(config), finish }) };
}

describe("the tunings of a study", () => {
  test("methods at every rate, controls at theirs, dynamics where they are asked for", async () => {
    const config = await tiny("tune.dynamics.fractions=[0.01, 0.05, 0.1, 0.25, 0.5, 1]");
    const names = tuningsOf(config, 0).map(({ method, rate }) => `${method}-${rate}`);
    const methods = ["ssft", "dpo", "unlearning"];
    expect(names).toEqual([
      ...methods.map((method) => `${method}-medium`),
      ...methods.map((method) => `${method}-small`),
      "continue-medium",
      "shuffled-medium",
    ]);
    const steps = (method: string, rate: string) => dynamicsSteps(config, { method, rate, seed: 0 });
    expect(steps("dpo", "medium")).toEqual([1, 3, 5, 10]); // 1%, 5% and 10% of ten steps are one step
    expect(steps("dpo", "small")).toEqual([]);
    expect(steps("continue", "medium")).toEqual([]);
  });

  test("a tuning's identity knows its own options and no others", async () => {
    const identities = async (...set: string[]) =>
      new Map(buildStudy(await tiny(...set), world).map((stage) => [stage.name, stageIdentity(stage)]));
    const measures = "measures=[behaviour, clusters, column-space, overlap]";
    const [base, changed] = [
      await identities(measures),
      await identities(measures, "tune.options.dpo.gamma.small=0.5"),
    ];
    const different = [...base].filter(([name, identity]) => changed.get(name) !== identity).map(([name]) => name);
    expect(different).toEqual([
      "tune dpo-small seed 0",
      "behaviour dpo-small seed 0",
      "svd dpo-small seed 0",
      "column space dpo-small seed 0",
      "activations dpo-small seed 0",
      "overlap ssft-small~dpo-small seed 0",
      "overlap dpo-small~unlearning-small seed 0",
    ]);
    const more = await identities("tune.methods=[ssft, npo]", "tune.controls.methods=[]");
    expect(more.get("tune ssft-medium seed 0")).toBe(base.get("tune ssft-medium seed 0"));
  });

  test("graphs and profiles name one by its method", async () => {
    const config = await tiny();
    expect(tuningOfMethod(config)).toMatchObject({ method: "ssft", rate: "medium" });
    expect(tuningOfMethod(config, "shuffled")).toMatchObject({ method: "shuffled" });
    expect(() => tuningOfMethod(config, "npo")).toThrow(
      'no tuning "npo"; it has ssft, dpo, unlearning, continue, shuffled',
    );
  });
});

describe("a study of every method", () => {
  let folder: string;
  let summary: StudySummary;
  let config: StudyConfig;
  beforeAll(async () => {
    config = await tiny(
      `tune.methods=[${[...RECIPES.keys()].join(", ")}]`,
      "tune.rates.small=null",
      "tune.dynamics.fractions=[0.3, 1]",
    );
    ({ folder, summary } = await run(config, "all"));
  });

  test("tunes, measures and logs each one", async () => {
    expect([summary.diverged, summary.skipped]).toEqual([[], []]);
    const study = await openRun(folder);
    const checkpoints = async (measure: string) =>
      [...new Set((await study.results(measure).rows()).map((row) => row.checkpoint))].sort();
    const all = ["instruct", ...[...RECIPES.keys(), "continue", "shuffled"].map((name) => `${name}-medium`)].sort();
    expect(await checkpoints("behaviour")).toEqual(all);
    expect(await checkpoints("clusters")).toEqual(all);
    const metrics = async (checkpoint: string) =>
      [...new Set((await study.results("training").where({ checkpoint })).map((row) => row.metric))].sort();
    const plain = ["gradient-norm", "learning-rate", "loss", "nll-preferred"];
    expect(await metrics("ssft-medium")).toEqual(plain);
    expect(await metrics("unlearning-medium")).toEqual([...plain, "nll-rejected"].sort());
    const rewards = ["accuracies", "chosen", "margins", "rejected"].map((name) => `rewards-${name}`);
    expect(await metrics("dpo-medium")).toEqual([...plain, "nll-rejected", ...rewards].sort());
    const first = await study.results("training").where({ checkpoint: "dpo-medium", metric: "loss", step: 1 });
    expect(first[0]!.value).toBeCloseTo(Math.LN2, 5);
  });

  test("every step is in metrics.jsonl, under the names of the code", async () => {
    const stage = buildStudy(config, world).find((one) => one.name === "tune dpo-medium seed 0")!;
    const lines = (await readFile(join(stageFolder(folder, stage), "metrics.jsonl"), "utf8")).trim().split("\n");
    expect(lines).toHaveLength(10);
    expect(Object.keys(JSON.parse(lines[9]!) as object)).toEqual([
      "step",
      "loss",
      "nllPreferred",
      "nllRejected",
      "rewardsChosen",
      "rewardsRejected",
      "rewardsAccuracies",
      "rewardsMargins",
      "learningRate",
      "gradientNorm",
    ]);
  });

  test("behaviour and clusters along the way carry their step; saturation is measured where refusing is right", async () => {
    const study = await openRun(folder);
    for (const measure of ["behaviour", "clusters"]) {
      const rows = await study.results(measure).where({ checkpoint: "npo-medium" });
      expect(new Set(rows.map((row) => row.step))).toEqual(new Set([undefined, 3, 10]));
    }
    const saturation = await study.results("behaviour").where({ metric: "saturation" });
    expect(new Set(saturation.map((row) => row.set))).toEqual(new Set(["unsafe"]));
    // The last step is the final model, on as many samples of the same set here.
    const last = await study.results("behaviour").where({ checkpoint: "npo-medium", step: 10 });
    const final = await study.results("behaviour").where({ checkpoint: "npo-medium", step: undefined });
    expect(last.map(({ step: _, ...row }) => row)).toEqual(final);
  });

  test("any model of the run is loaded by its name, and after any kept step", async () => {
    const load = (name: string) => loadRunCheckpoint(folder, name);
    const [before, after] = [await load("instruct"), await load("dpo-medium")];
    expect((await load("dpo-medium@0")).parameters).toEqual(before.parameters);
    expect((await load("dpo-medium@10")).parameters).toEqual(after.parameters);
    const distance = async (name: string) =>
      Math.hypot(...(await load(name)).parameters.map((weight, i) => weight - before.parameters[i]!));
    const [three, all] = [await distance("dpo-medium@3"), await distance("dpo-medium")];
    expect(0 < three && three < all).toBe(true);
    await expect(load("dpo-large")).rejects.toThrow(/has no checkpoint "dpo-large"; it has instruct, ssft-medium/);
    await expect(load("dpo-medium@4")).rejects.toThrow(/no step "4"; steps kept: 0, 3, 10\./);
    await expect(load("instruct@1")).rejects.toThrow(/steps kept: none/);
    await expect(loadRunCheckpoint(folder, "instruct", { seed: 9 })).rejects.toThrow("has no seed 9; its seeds: 0");
  });

  test("a step is stored once, and a damaged one is named and made again by the study", async () => {
    const stage = buildStudy(config, world).find((one) => one.name === "tune simpo-medium seed 0")!;
    const steps = join(stageFolder(folder, stage), "steps");
    expect(await readdir(steps)).toEqual(["3.safetensors"]);
    await writeFile(join(steps, "3.safetensors"), "torn");
    await expect(loadRunCheckpoint(folder, "simpo-medium@3")).rejects.toThrow(/simpo-medium.*run the study again/);
    const again = await run(config, "all");
    expect(again.summary.ran.map((one) => one.name)).toEqual(["tune simpo-medium seed 0"]);
    await loadRunCheckpoint(folder, "simpo-medium@3");
  }, 30_000);
});

test("a method that diverges at an absurd rate is recorded; the other tunings and their measures go on", async () => {
  const config = await tiny(
    "tune.methods=[dpo, unlearning]",
    "tune.rates={absurd: 9, small: null}",
    "tune.options.dpo.gamma.absurd=0.01",
    "tune.options.unlearning.gamma.absurd=0.1",
    "tune.clip=1000000",
    "tune.controls.methods=[]",
    "tune.dynamics.fractions=[0.1]",
  );
  const { folder, summary } = await run(config, "diverging");
  const names = (stages: readonly { name: string }[]) => stages.map(({ name }) => name);
  expect(names(summary.diverged)).toEqual(["tune dpo-absurd seed 0", "tune unlearning-absurd seed 0"]);
  expect(names(summary.skipped)).toContain("behaviour dpo-absurd seed 0");
  expect(names(summary.ran)).toContain("dynamics dpo-medium seed 0");
  const record = JSON.parse(
    await readFile(join(stageFolder(folder, summary.diverged[0]!), "diverged.json"), "utf8"),
  ) as { message: string; step: number; batch: string; lastGoodStep: number };
  expect(record.message).toMatch(/at step \d+ of 10; lower the learning rate/);
  // One step was kept, after the first; the loss that went wrong is that of the weights before its step.
  expect(record.lastGoodStep).toBe(record.step > 2 ? 1 : 0);
  expect(record.message).toMatch(
    /The last good weights (that were kept are those after step 1|are those that it began with)\.$/,
  );
  expect(record.batch).toMatch(/^tune dpo-absurd, seed 0, step \d+$/);
  await expect(loadRunCheckpoint(folder, "dpo-absurd")).rejects.toThrow("has no model (it diverged)");
});
