import { mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeRows } from "../../src/study/assembleResults.js";
import { type FileSystem, nodeFileSystem } from "../../src/study/fileSystem.js";
import { planStages } from "../../src/study/graph.js";
import { runStudy } from "../../src/study/runStudy.js";
import type { Stage } from "../../src/study/stage.js";
import { stageFolder } from "../../src/study/store.js";
import { checkStages, rememberVerified } from "../../src/study/verified.js";

const STAGES = 1_000;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-long-"));
});
afterAll(() => rm(root, { recursive: true }));

/** Nothing here is killed, so nothing has to be durable: the real file system without its waiting. */
const quick: FileSystem = { ...nodeFileSystem, sync: async () => {} };

/** Chains of ten stages: a checkpoint of a few bytes, then measures of it. */
function manyStages(): Stage[] {
  const stages: Stage[] = [];
  for (let i = 0; i < STAGES; i++)
    stages.push({
      kind: i % 10 === 0 ? "tune" : "measure",
      name: `stage ${i}`,
      version: 1,
      config: { i },
      inputs: i % 10 === 0 ? [] : [stages[i - (i % 10)]!],
      run: async (context) => {
        await writeFile(join(context.folder, "model.safetensors"), `weights ${i}`);
        await writeRows(context, [{ measure: "behaviour", metric: "instruct", index: i, value: i / STAGES, n: 1 }]);
      },
    });
  return stages;
}

/** The real file system, counting calls and the bytes that are read. */
function counting() {
  const count = { calls: 0, bytes: 0, digests: 0 };
  const files = Object.fromEntries(
    Object.entries(nodeFileSystem).map(([name, call]) => [
      name,
      async (...parameters: unknown[]) => {
        count.calls++;
        if (name === "digest") count.digests++;
        const result: unknown = await (call as (...all: unknown[]) => Promise<unknown>)(...parameters);
        if (result instanceof Uint8Array) count.bytes += result.length;
        return result;
      },
    ]),
  ) as unknown as FileSystem;
  return { files, count };
}

describe("a study of 1,000 stages", () => {
  const stages = manyStages();
  let runFolder: string;
  beforeAll(async () => {
    runFolder = join(root, "long");
    expect((await runStudy(stages, { runFolder, files: quick })).ran).toHaveLength(STAGES);
  });

  test("starts after a bounded number of calls and bytes for each stage, and within seconds", async () => {
    const { files, count } = counting();
    const heap = process.memoryUsage().heapUsed;
    const began = performance.now();
    const plan = await planStages(stages, runFolder, files);
    const seconds = (performance.now() - began) / 1000;
    expect(plan.stages.every((stage) => stage.done)).toBe(true);
    expect(count.calls / STAGES).toBeLessThanOrEqual(16);
    expect(count.bytes / STAGES).toBeLessThan(2_000);
    expect((process.memoryUsage().heapUsed - heap) / STAGES).toBeLessThan(100_000);
    // 0.85 s where this was last looked at, beside other work; many times that for a machine with more to do.
    expect(seconds).toBeLessThan(15);
  });

  test("once remembered, an unchanged file is not read again, and a changed one is found whatever its times say", async () => {
    const settled: FileSystem = {
      ...nodeFileSystem,
      // As if all was written an hour ago.
      stamp: async (path) => {
        const found = await nodeFileSystem.stamp(path);
        return found && { ...found, changedMs: 0 };
      },
    };
    const path = join(stageFolder(runFolder, stages[123]!), "model.safetensors");
    await utimes(path, 1_000, 1_000);
    const first = await checkStages(stages, runFolder, settled);
    expect(first.hashed).toBeGreaterThan(STAGES);
    await rememberVerified(runFolder, first, nodeFileSystem, 0);
    const { files, count } = counting();
    const again = await checkStages(stages, runFolder, { ...files, stamp: settled.stamp });
    expect({ hashed: again.hashed, digests: count.digests }).toEqual({ hashed: 0, digests: 0 });
    expect([...again.checks.values()].every((check) => check.state === "whole")).toBe(true);

    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace("w", "W")); // the same size
    await utimes(path, 1_000, 1_000); // and the same time of writing
    const found = await checkStages(stages, runFolder, settled);
    expect(found.checks.get(stages[123]!)).toMatchObject({ state: "damaged", path: "model.safetensors" });
    expect([...found.checks.values()].filter((check) => check.state === "whole")).toHaveLength(STAGES - 1);
    await writeFile(path, text);
  });

  test("a file that was written a moment ago is hashed again, and so is everything when what is remembered is damaged", async () => {
    const fresh: FileSystem = {
      ...nodeFileSystem,
      stamp: async (path) => {
        const found = await nodeFileSystem.stamp(path);
        return found && { ...found, changedMs: Date.now() };
      },
    };
    await rm(join(runFolder, "verified.json"));
    expect((await checkStages(stages, runFolder, fresh)).verified.size).toBe(0);
    await writeFile(join(runFolder, "verified.json"), '{"schema":"nullscope/verified@1","stages":{}}');
    expect((await checkStages(stages, runFolder, nodeFileSystem)).hashed).toBeGreaterThan(STAGES);
    await rm(join(runFolder, "verified.json"));
  });
});

test("an input that is damaged after it was verified is named by the stage that needs it, and made again by the next run", async () => {
  const runFolder = join(root, "late");
  const [checkpoint, measure] = manyStages();
  const breaking: Stage = {
    ...measure!,
    kind: "breaks",
    name: "breaks",
    config: "breaks",
    inputs: [checkpoint!],
    run: async ({ input }) => writeFile(join(input(checkpoint!), "model.safetensors"), "weights 1"),
  };
  const after: Stage = { ...measure!, inputs: [checkpoint!, breaking] };
  await expect(runStudy([checkpoint!, breaking, after], { runFolder })).rejects.toThrow(
    /^The stage "stage 0" of \S+, which "stage 1" needs, was damaged after it was verified \(model\.safetensors does not have/,
  );
  const summary = await runStudy([checkpoint!, after], { runFolder });
  expect(summary.ran.map((stage) => stage.name)).toEqual(["stage 0", "stage 1"]);
});
