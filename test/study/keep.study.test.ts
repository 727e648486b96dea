import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { nodeFileSystem } from "../../src/study/fileSystem.js";
import { planStages } from "../../src/study/graph.js";
import { diskUse, removeSpare } from "../../src/study/keep.js";
import { checkStage, REMOVED } from "../../src/study/manifest.js";
import { runStudy } from "../../src/study/runStudy.js";
import type { Stage } from "../../src/study/stage.js";
import { stageFolder } from "../../src/study/store.js";
import { verifyRun } from "../../src/study/verifyRun.js";
import { Crash, faultyFileSystem } from "./faultyFileSystem.js";

let root: string;
let runFolder: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-keep-"));
});
beforeEach(() => {
  runFolder = join(root, `run-${count++}`);
});
afterAll(() => rm(root, { recursive: true }));

/** A model with a step that was kept on its way, and a measure that reads it. */
function study() {
  const model = (kind: string, inputs: readonly Stage[]): Stage => ({
    ...{ kind, name: kind, version: 1, config: kind, inputs },
    run: async ({ folder, input }) => {
      for (const one of inputs) await readFile(join(input(one), "model.safetensors"));
      await mkdir(join(folder, "steps"));
      await writeFile(join(folder, "steps", "5.safetensors"), `${kind} on its way`);
      await writeFile(join(folder, "model.safetensors"), `the weights of ${kind}`);
      await writeFile(join(folder, "config.json"), "{}");
    },
  });
  const pretrain = model("pretrain", []);
  const tune = model("tune", [pretrain]);
  const measure = (name: string): Stage => ({
    ...{ kind: "measure", name, version: 1, config: name, inputs: [tune] },
    run: async ({ folder, input }) =>
      writeFile(join(folder, "seen.safetensors"), await readFile(join(input(tune), "model.safetensors"))),
  });
  return { pretrain, tune, measure: measure("measure"), another: measure("another") };
}

const kindOf = (stage: Stage, path: string) => nodeFileSystem.kind(join(stageFolder(runFolder, stage), path));
const names = (stages: readonly Stage[]) => stages.map((stage) => stage.name);

describe("--keep", () => {
  test("last removes the steps on the way, none the weights too, all nothing; the stages stay finished and verified", async () => {
    const { pretrain, tune, measure } = study();
    const all = [pretrain, tune, measure];
    await runStudy(all, { runFolder });
    const before = await diskUse(all, runFolder);
    expect(before).toMatchObject({ stages: 3 });
    expect(await removeSpare(all, runFolder, "all")).toBe(0);
    expect(await diskUse(all, runFolder)).toEqual(before);

    expect(await removeSpare(all, runFolder, "last")).toBe("pretrain on its way".length + "tune on its way".length);
    expect(await kindOf(tune, "steps/5.safetensors")).toBe("absent");
    expect(await kindOf(tune, "model.safetensors")).toBe("file");
    const freed = await removeSpare(all, runFolder, "none");
    expect(freed).toBe("the weights of pretrain".length + "the weights of tune".length);
    expect(await removeSpare(all, runFolder, "none")).toBe(0);
    expect(await kindOf(tune, "model.safetensors")).toBe("absent");
    expect(await kindOf(measure, "seen.safetensors")).toBe("file"); // of no model
    const after = await diskUse(all, runFolder);
    expect(after).toMatchObject({ stages: 3, checkpoints: 0 });
    expect(before.bytes - after.bytes).toBe(before.checkpoints);

    expect((await verifyRun(runFolder)).damaged).toEqual([]);
    expect(names((await runStudy(all, { runFolder })).already)).toEqual(["pretrain", "tune", "measure"]);
  });

  test("a stage that needs what was removed has it made again, with all that this needs; nothing else runs", async () => {
    const { pretrain, tune, measure, another } = study();
    await runStudy([measure], { runFolder });
    await removeSpare([measure], runFolder, "none");
    const plan = await planStages([measure, another], runFolder, nodeFileSystem);
    expect(plan.stages.map(({ stage, done }) => [stage.name, done])).toEqual([
      ["pretrain", false],
      ["tune", false],
      ["measure", true],
      ["another", false],
    ]);
    expect(names((await runStudy([measure, another], { runFolder })).ran)).toEqual(["pretrain", "tune", "another"]);
    for (const stage of [pretrain, tune])
      expect(await checkStage(nodeFileSystem, stageFolder(runFolder, stage))).toMatchObject({
        state: "whole",
        removed: [],
      });
    expect(await kindOf(tune, REMOVED)).toBe("absent");
  });

  test("all makes again what was removed", async () => {
    const { tune, measure } = study();
    await runStudy([measure], { runFolder });
    await removeSpare([measure], runFolder, "last");
    expect(names((await runStudy([measure], { runFolder, restore: true })).ran)).toEqual(["pretrain", "tune"]);
    expect(await kindOf(tune, "steps/5.safetensors")).toBe("file");
  });

  test("a file that is missing without having been removed on purpose is damage, and so is a record that was changed", async () => {
    const { tune, measure } = study();
    await runStudy([measure], { runFolder });
    await removeSpare([measure], runFolder, "last");
    const folder = stageFolder(runFolder, tune);
    const record = await readFile(join(folder, REMOVED), "utf8");
    await writeFile(join(folder, REMOVED), record.replace("steps/5", "model"));
    expect(await checkStage(nodeFileSystem, folder)).toMatchObject({ state: "damaged", path: REMOVED });
    await writeFile(join(folder, REMOVED), record);
    await rm(join(folder, "model.safetensors"));
    expect(await checkStage(nodeFileSystem, folder)).toMatchObject({ state: "damaged", path: "model.safetensors" });
  });

  test("killed after any operation of the removal, no stage looks damaged and the removal goes on", async () => {
    const { measure } = study();
    const undisturbed = faultyFileSystem(() => undefined);
    await runStudy([measure], { runFolder });
    await removeSpare([measure], runFolder, "none", undisturbed.files);
    const operations = undisturbed.operations.length;
    expect(operations).toBeGreaterThan(20);
    for (let at = 0; at < operations; at++) {
      runFolder = join(root, `killed-${at}`);
      await runStudy([measure], { runFolder });
      const { files } = faultyFileSystem((operation) => (operation === at ? new Crash() : undefined));
      await removeSpare([measure], runFolder, "none", files).catch((error: unknown) => {
        if (!(error instanceof Crash)) throw error;
      });
      expect((await verifyRun(runFolder)).damaged, `killed at ${at}`).toEqual([]);
      expect((await runStudy([measure], { runFolder })).ran, `killed at ${at}`).toEqual([]);
      await removeSpare([measure], runFolder, "none");
      expect(await diskUse([measure], runFolder)).toMatchObject({ checkpoints: 0 });
    }
  });
});
