import { basename, dirname, join } from "node:path";
import { type FileSystem, nodeFileSystem } from "./fileSystem.js";
import { inDependencyOrder } from "./graph.js";
import { checkOutputs, REMOVED, readManifest, removedText, type StageManifest } from "./manifest.js";
import type { Stage } from "./stage.js";
import { stageIdentity } from "./stage.js";
import { stageFolder } from "./store.js";

/** Which checkpoints of a study stay once it is done: all; each model as it ended, without the steps on its way; none. */
export const KEEP = ["all", "last", "none"] as const;
export type Keep = (typeof KEEP)[number];

/** Stages whose outputs are models. */
const MODELS: ReadonlySet<string> = new Set(["pretrain", "tune"]);
const isWeights = (path: string) => path.endsWith(".safetensors");
const isStep = (path: string) => path.startsWith("steps/");

/** Bytes that a study's finished stages take, and how many of them are checkpoints. What was removed takes none. */
export interface DiskUse {
  readonly stages: number;
  readonly bytes: number;
  readonly checkpoints: number;
}

/** Sums the sizes that the manifests tell; no output is read. */
export async function diskUse(
  stages: readonly Stage[],
  runFolder: string,
  files: FileSystem = nodeFileSystem,
): Promise<DiskUse> {
  let [count, bytes, checkpoints] = [0, 0, 0];
  await eachFinished(stages, runFolder, files, async (stage, manifest, folder) => {
    const { removed } = await checkOutputs(files, folder, manifest, { hash: false });
    const here = manifest.outputs.filter(({ path }) => !removed.includes(path));
    const sum = (of: typeof here) => of.reduce((total, { size }) => total + size, 0);
    count++;
    bytes += sum(here);
    if (MODELS.has(stage.kind)) checkpoints += sum(here.filter(({ path }) => isWeights(path)));
  });
  return { stages: count, bytes, checkpoints };
}

/**
 * Removes the checkpoints that `keep` does not keep from the study's finished stages; returns the bytes that are free now. A stage without
 * them stays finished: `removed.json` names them, durably, before the first is gone. The run's lock must be held.
 */
export async function removeCheckpoints(
  stages: readonly Stage[],
  runFolder: string,
  keep: Keep,
  files: FileSystem = nodeFileSystem,
): Promise<number> {
  let freed = 0;
  if (keep === "all") return freed;
  await eachFinished(stages, runFolder, files, async (stage, { outputs }, folder) => {
    if (!MODELS.has(stage.kind)) return;
    const goes = outputs.filter(({ path }) => isWeights(path) && (keep === "none" || isStep(path)));
    const before = (await checkOutputs(files, folder, { outputs } as StageManifest, { hash: false })).removed;
    const now = goes.filter(({ path }) => !before.includes(path));
    if (now.length === 0) return;
    const record = join(folder, REMOVED);
    const paths = [...new Set([...before, ...now.map(({ path }) => path)])].sort();
    // Beside the stage until it is whole: a half-written file inside would make the stage look damaged.
    const aside = join(dirname(folder), `.${basename(folder)}.removed.tmp`);
    await files.write(aside, new TextEncoder().encode(removedText(paths)));
    await files.sync(aside);
    await files.rename(aside, record);
    await files.sync(folder);
    for (const { path, size } of now) {
      await files.remove(join(folder, path));
      freed += size;
    }
    for (const parent of new Set(now.map(({ path }) => dirname(join(folder, path))))) await files.sync(parent);
  });
  return freed;
}

async function eachFinished(
  stages: readonly Stage[],
  runFolder: string,
  files: FileSystem,
  visit: (stage: Stage, manifest: StageManifest, folder: string) => Promise<void>,
): Promise<void> {
  for (const stage of inDependencyOrder(stages)) {
    const folder = stageFolder(runFolder, stage);
    const check = await readManifest(files, folder, stageIdentity(stage));
    if (check.state === "whole") await visit(stage, check.manifest, folder);
  }
}
