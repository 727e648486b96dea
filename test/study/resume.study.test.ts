import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { studyModels } from "../../src/study/build.js";
import type { StudyConfig } from "../../src/study/config.js";
import { type EngineSource, engineSource } from "../../src/study/engines.js";
import { type FileSystem, nodeFileSystem } from "../../src/study/fileSystem.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import type { StudyEvent } from "../../src/study/observer.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";
import { runStudy } from "../../src/study/runStudy.js";
import { type Stage, stageIdentity } from "../../src/study/stage.js";
import { stageFolder } from "../../src/study/store.js";
import { RECIPES } from "../../src/train/index.js";
import { tinyWorld } from "../cli/tinyWorld.js";
import { madeTable } from "../madeTable.js";
import { unsyncedFileSystem } from "./faultyFileSystem.js";

/** Training is cut off at every boundary between two of these many steps. */
const STEPS = 50;
const BOUNDARIES = Array.from({ length: STEPS - 1 }, (_, i) => i + 1);
/** Pretraining, and every method that a study can name. */
const TRAININGS = ["pretrain", ...RECIPES.keys()];

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-resume-"));
  await writeFile(join(root, "tiny.json"), JSON.stringify(tinyWorld));
});
afterAll(() => rm(root, { recursive: true }));

const configOf = (threads: number, saveSteps: number | "auto"): Promise<StudyConfig> =>
  resolveConfig({
    source: "smoke",
    threads,
    set: [
      `world=${join(root, "tiny.json")}`,
      "model={width: 8, blocks: 1, heads: 2, mlp: 16, residual: pre-ln}",
      `pretrain={steps: ${STEPS}, batch: 4, warmup: 5}`,
      `tune={steps: ${STEPS}, batch: 4, warmup: 3, methods: [${[...RECIPES.keys()].join(", ")}]}`,
      "tune.rates.small=null",
      "tune.controls.methods=[]",
      // Kept on the way: a part of the stage that is there before, and after, many of the boundaries.
      "tune.dynamics={fractions: [0.1, 0.5], rates: [medium]}",
      `saveSteps=${saveSteps}`,
    ],
  });

/** The training stages by their names in TRAININGS. */
async function trainings(config: StudyConfig, engine: EngineSource): Promise<Map<string, Stage>> {
  const models = studyModels(config, await loadWorld(config.world), engine);
  return new Map(models.map(({ stage, tuning }) => [tuning?.method ?? "pretrain", stage]));
}

/** sha256 of every file of the finished stage but its manifest, which holds times; and of the manifest's own list of them. */
async function bytesOf(runFolder: string, stage: Stage): Promise<Record<string, string>> {
  const folder = stageFolder(runFolder, stage);
  const files: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && entry.name !== "manifest.json")
      files[relative(folder, path)] = createHash("sha256")
        .update(await readFile(path))
        .digest("hex");
  }
  return files;
}

/** What lies beside the finished stages: there must be nothing. */
const leftovers = async (runFolder: string) =>
  (await readdir(join(runFolder, "stages"))).filter((name) => name.startsWith("."));

const THREADS = [1, 2];
/** Of each training, by threads: the bytes of an undisturbed run, and how often it was cut off and ended in them. */
const met = new Map<string, Map<number, { bytes: Record<string, string>; killed: number; stopped: number }>>(
  TRAININGS.map((name) => [name, new Map()]),
);

describe.each(THREADS)("with %i threads", (threads) => {
  let runFolder: string;
  let plain: Map<string, Stage>;
  let saving: Map<string, Stage>;
  const whole = new Map<string, Record<string, string>>();

  beforeAll(async () => {
    runFolder = join(root, `threads-${threads}`);
    const engine = engineSource({ device: "cpu", threads });
    plain = await trainings(await configOf(threads, 100_000), engine);
    saving = await trainings(await configOf(threads, 1), engine);
    const summary = await runStudy([...plain.values()], { runFolder, files: unsyncedFileSystem });
    expect(summary.diverged).toEqual([]);
    for (const [name, stage] of plain) {
      whole.set(name, await bytesOf(runFolder, stage));
      met.get(name)!.set(threads, { bytes: whole.get(name)!, killed: 0, stopped: 0 });
    }
  });

  test("saving is no part of a stage's identity", () => {
    expect([...plain.keys()].sort()).toEqual([...TRAININGS].sort());
    for (const [name, stage] of saving) expect(stageIdentity(stage)).toBe(stageIdentity(plain.get(name)!));
    expect(Object.keys(whole.get("dpo")!).sort()).toEqual([
      "config.json",
      "metrics.jsonl",
      "model.safetensors",
      "rows.json",
      "steps/25.safetensors",
      "steps/5.safetensors",
    ]);
  });

  test.each(TRAININGS)("%s killed at any boundary ends in the bytes of an undisturbed run", async (name) => {
    const stage = saving.get(name)!;
    const folder = stageFolder(runFolder, stage);
    const [attempt, aside] = [join(runFolder, "stages", `.${basename(folder)}.attempt-1`), join(runFolder, "aside")];
    await rm(folder, { recursive: true });
    // What a process that dies right after it saved leaves behind, for every boundary, from one run.
    const files: FileSystem = {
      ...unsyncedFileSystem,
      rename: async (from, to) => {
        await nodeFileSystem.rename(from, to);
        if (/\.state-\d+$/.test(to)) await cp(to, join(aside, basename(to)), { recursive: true });
      },
    };
    await mkdir(aside);
    await runStudy([stage], { runFolder, files });
    expect(await bytesOf(runFolder, stage)).toEqual(whole.get(name));
    expect(await readdir(aside)).toHaveLength(BOUNDARIES.length);
    for (const step of BOUNDARIES) {
      await rm(folder, { recursive: true });
      await mkdir(attempt);
      await writeFile(join(attempt, "metrics.jsonl"), '{"step":1,"lo');
      await rename(join(aside, `${basename(attempt)}.state-${step}`), `${attempt}.state-${step}`);
      const events: StudyEvent[] = [];
      const observer = (event: StudyEvent) => void events.push(event);
      await runStudy([plain.get(name)!], { runFolder, files: unsyncedFileSystem, observer });
      expect(events.filter((event) => event.type === "resumed")).toMatchObject([{ step }]);
      expect(events.find((event) => event.type === "progress")).toMatchObject({ step: step + 1 });
      expect(await bytesOf(runFolder, stage)).toEqual(whole.get(name));
      met.get(name)!.get(threads)!.killed++;
    }
    await rm(aside, { recursive: true });
    expect(await leftovers(runFolder)).toEqual([]);
  });

  test.each(TRAININGS)("%s stopped after a step, or after every step, ends in the same bytes", async (name) => {
    const stage = plain.get(name)!;
    const folder = stageFolder(runFolder, stage);
    const runUntil = async (stopAt: (step: number) => boolean) => {
      const controller = new AbortController();
      const resumed: number[] = [];
      const { interrupted } = await runStudy([stage], {
        runFolder,
        files: unsyncedFileSystem,
        signal: controller.signal,
        observer: (event) => {
          if (event.type === "resumed") resumed.push(event.step);
          if (event.type === "progress" && stopAt(event.step)) controller.abort(new Error("stop"));
        },
      });
      return { interrupted, resumed };
    };
    for (const boundary of [1, 24, 25, 49]) {
      await rm(folder, { recursive: true });
      expect(await runUntil((step) => step === boundary)).toEqual({ interrupted: true, resumed: [] });
      expect(await runUntil(() => false)).toEqual({ interrupted: false, resumed: [boundary] });
      expect(await bytesOf(runFolder, stage)).toEqual(whole.get(name));
    }
    await rm(folder, { recursive: true });
    for (const step of BOUNDARIES)
      expect(await runUntil(() => true)).toEqual({ interrupted: true, resumed: step === 1 ? [] : [step - 1] });
    await runUntil(() => false);
    expect(await bytesOf(runFolder, stage)).toEqual(whole.get(name));
    met.get(name)!.get(threads)!.stopped += BOUNDARIES.length;
    expect(await leftovers(runFolder)).toEqual([]);
  });
});

test("the table of boundaries; one thread and two give the same bytes", async () => {
  const rows = [...met].map(([name, byThreads]) => {
    const [one, two] = THREADS.map((threads) => byThreads.get(threads)!);
    expect(two!.bytes).toEqual(one!.bytes);
    return [name, ...[one!, two!].flatMap(({ killed, stopped }) => [String(killed), String(stopped)]), "the same"];
  });
  const head = ["training", ...THREADS.flatMap((n) => [`killed, threads ${n}`, `stopped, threads ${n}`]), "sha256"];
  await madeTable("docs/reliability.md", "boundaries", [head, ...rows]);
});
