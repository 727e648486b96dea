import { basename, dirname, join } from "node:path";
import { type FileSystem, nodeFileSystem } from "./fileSystem.js";
import { inDependencyOrder } from "./graph.js";
import { checkOutputs, REMOVED, readManifest, removedText, type StageManifest } from "./manifest.js";
import type { Stage } from "./stage.js";
import { stageIdentity } from "./stage.js";
import { stageFolder } from "./store.js";

/** Which large outputs stay once a run is done: all; of a study's checkpoints each model as it ended, without the steps on its way; none. */
export const KEEP = ["all", "last", "none"] as const;
export type Keep = (typeof KEEP)[number];

/** Outputs that only other stages read, and that are large. */
interface Spare {
  /** A study's models, or what an audit keeps between two blocks and two tokens. */
  readonly kind: "checkpoints" | "states";
  is(path: string): boolean;
}

const MODELS: Spare = { kind: "checkpoints", is: (path) => path.endsWith(".safetensors") };
const STATES: Spare = {
  kind: "states",
  is: (path) => /^((hidden|gradient)-[0-9]+|states\/.+)\.safetensors$/.test(path),
};
/** By the kind of their stage. */
const SPARE: Readonly<Record<string, Spare>> = {
  ...{ pretrain: MODELS, tune: MODELS },
  ...{ "audit-embed": STATES, "audit-forward": STATES, "audit-backward": STATES, "audit-generate": STATES },
};
/** A model on its way: what `last` removes. States have no last one. */
const isStep = (path: string) => path.startsWith("steps/");

/** Bytes that a run's finished stages take, and how many of them are spare. What was removed takes none. */
export interface DiskUse {
  readonly stages: number;
  readonly bytes: number;
  /** Of a study's models. */
  readonly checkpoints: number;
  /** Of an audit's states. */
  readonly states: number;
}

/** Sums the sizes that the manifests tell; no output is read. */
export async function diskUse(
  stages: readonly Stage[],
  runFolder: string,
  files: FileSystem = nodeFileSystem,
): Promise<DiskUse> {
  let [count, bytes] = [0, 0];
  const spare = { checkpoints: 0, states: 0 };
  await eachFinished(stages, runFolder, files, async (stage, manifest, folder) => {
    const { removed } = await checkOutputs(files, folder, manifest, { hash: false });
    const here = manifest.outputs.filter(({ path }) => !removed.includes(path));
    const sum = (of: typeof here) => of.reduce((total, { size }) => total + size, 0);
    count++;
    bytes += sum(here);
    const of = SPARE[stage.kind];
    if (of !== undefined) spare[of.kind] += sum(here.filter(({ path }) => of.is(path)));
  });
  return { stages: count, bytes, ...spare };
}

/**
 * Removes the spare outputs that `keep` does not keep from the run's finished stages; returns the bytes that are free now. A stage without
 * them stays finished: `removed.json` names them, durably, before the first is gone. The run's lock must be held.
 */
export async function removeSpare(
  stages: readonly Stage[],
  runFolder: string,
  keep: Keep,
  files: FileSystem = nodeFileSystem,
): Promise<number> {
  let freed = 0;
  if (keep === "all") return freed;
  await eachFinished(stages, runFolder, files, async (stage, { outputs }, folder) => {
    const spare = SPARE[stage.kind];
    if (spare === undefined) return;
    const goes = outputs.filter(({ path }) => spare.is(path) && (keep === "none" || isStep(path)));
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
