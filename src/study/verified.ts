import { join } from "node:path";
import { z } from "zod";
import { type FileSystem, nodeFileSystem, writeAtomically } from "./fileSystem.js";
import { checkOutputs, readManifest, type StageCheck, type StageManifest } from "./manifest.js";
import { readSealedJson, sealJson } from "./seal.js";
import { type Stage, stageIdentity } from "./stage.js";
import { stageFolder } from "./store.js";

/** Which files of a run were hashed before, and how they stood then: so that a long study does not read all its checkpoints at every start. */
const VERIFIED = "verified.json";
/** Below this, hashing everything takes less than a second and is not worth a file. */
const WORTH_BYTES = 64 * 2 ** 20;
/** A file that changed so short a time ago may change again within one tick of the file system's clock. */
const SETTLED_MS = 3_000;
/** Stages that are looked at side by side; more would only queue. */
const AT_ONCE = 16;

const schema = z.strictObject({
  schema: z.literal("nullscope/verified@1"),
  /** By the seal of a stage's manifest: the stamps of its outputs, in the manifest's order. */
  stages: z.record(z.string(), z.array(z.string())),
});
type Known = ReadonlyMap<string, readonly string[]>;

/** What became of the stages of a study, and what to remember for the next start. */
export interface CheckedStages {
  readonly checks: ReadonlyMap<Stage, StageCheck>;
  readonly verified: Known;
  /** Bytes that were read and hashed now. */
  readonly hashed: number;
}

/**
 * Checks each stage against its manifest. An output is hashed unless it stands exactly as it did when it was hashed before: same size, same
 * inode, same times of writing and of change. What a disk does to bytes behind the file system's back is then not noticed here; a
 * stage hashes its inputs again before it reads them, and `nullscope verify` hashes everything.
 */
export async function checkStages(
  stages: readonly Stage[],
  runFolder: string,
  files: FileSystem,
): Promise<CheckedStages> {
  const known = await readVerified(runFolder, files);
  const checks = new Map<Stage, StageCheck>();
  const verified = new Map<string, readonly string[]>();
  let hashed = 0;
  const check = async (stage: Stage): Promise<StageCheck> => {
    const folder = stageFolder(runFolder, stage);
    const read = await readManifest(files, folder, stageIdentity(stage));
    if (read.state !== "whole") return read;
    const { manifest } = read;
    const before = known.get(manifest.sha256);
    // Taken before the bytes are read: a change in between is noticed the next time.
    const now = await stampsOf(files, folder, manifest);
    const same = before !== undefined && now !== undefined && before.join() === now.stamps.join();
    const { damaged, removed } = await checkOutputs(files, folder, manifest, { hash: !same });
    if (damaged[0] !== undefined) return { state: "damaged", ...damaged[0] };
    if (!same) hashed += manifest.outputs.reduce((sum, { size }) => sum + size, 0);
    if (now !== undefined && (same || now.settled)) verified.set(manifest.sha256, now.stamps);
    return { ...read, removed };
  };
  const open = [...stages];
  const worker = async () => {
    for (let stage = open.shift(); stage !== undefined; stage = open.shift()) checks.set(stage, await check(stage));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { checks, verified, hashed };
}

/** Remembers what was verified, where that saves the next start something. The run's lock must be held. */
export async function rememberVerified(
  runFolder: string,
  { verified, hashed }: CheckedStages,
  files: FileSystem = nodeFileSystem,
  worthBytes = WORTH_BYTES,
): Promise<void> {
  if (hashed < worthBytes) return;
  const content = { schema: "nullscope/verified@1", stages: Object.fromEntries([...verified].sort()) };
  const text = new TextEncoder().encode(sealJson(`${JSON.stringify(content)}\n`));
  await writeAtomically(files, join(runFolder, VERIFIED), text);
}

/** After damage that the remembered stamps did not show. */
export async function forgetVerified(runFolder: string, files: FileSystem): Promise<void> {
  await files.remove(join(runFolder, VERIFIED));
}

/** What is remembered; nothing where the file is missing or damaged, which costs time and nothing else. */
async function readVerified(runFolder: string, files: FileSystem): Promise<Known> {
  try {
    const json = await readSealedJson(files, join(runFolder, VERIFIED), "it is written anew");
    const parsed = schema.safeParse(json);
    return new Map(parsed.success ? Object.entries(parsed.data.stages) : []);
  } catch {
    return new Map();
  }
}

async function stampsOf(files: FileSystem, folder: string, { outputs }: StageManifest) {
  const stamps: string[] = [];
  let newest = 0;
  for (const { path } of outputs) {
    const found = await files.stamp(join(folder, path));
    if (found === undefined) return undefined;
    stamps.push(`${found.size}:${found.stamp}`);
    newest = Math.max(newest, found.changedMs);
  }
  return { stamps, settled: newest < Date.now() - SETTLED_MS };
}
