import { basename, dirname, join } from "node:path";
import { UserError } from "../errors.js";
import { errorCode, type FileSystem } from "./fileSystem.js";
import { checkStage, listOutputs, MANIFEST, type StageManifest, sealManifest } from "./manifest.js";
import { type Stage, stageFolderName, stageIdentity } from "./stage.js";
import { removeStates } from "./stageState.js";

/** A stage that is being made: its own folder, beside the finished ones, under a name no reader takes for a stage. */
export interface Attempt {
  readonly folder: string;
  /** Counts the times that this stage was started, from 1. */
  readonly number: number;
}

/** What a commit says beside the outputs. Times are for people; no result depends on them. */
export interface CommitFacts {
  readonly outcome: StageManifest["outcome"];
  readonly started: Date;
  readonly finished: Date;
}

/** `.KIND-HASH.attempt-N`: the leading dot keeps it apart from finished stages. */
const attemptName = (stageFolder: string, number: number) => `.${basename(stageFolder)}.attempt-${number}`;

/** What attempts left beside the stage: their folders, their states, and states that were being written. */
async function attemptTraces(files: FileSystem, stageFolder: string) {
  const prefix = attemptName(stageFolder, 0).slice(0, -1);
  const traces: { path: string; number: number; kind: "attempt" | "state" | "half" }[] = [];
  for (const name of await files.list(dirname(stageFolder))) {
    const match =
      name.startsWith(prefix) && /^([0-9]{1,9})(?:\.state-[0-9]{1,9}(\.tmp)?)?$/.exec(name.slice(prefix.length));
    if (!match) continue;
    const kind = match[2] ? "half" : match[0] === match[1] ? "attempt" : "state";
    traces.push({ path: join(dirname(stageFolder), name), number: Number(match[1]), kind });
  }
  return traces;
}

const newestOf = (traces: readonly { number: number }[]) => Math.max(0, ...traces.map((trace) => trace.number));

/** Where a stage's outputs lie once it is finished. */
export function stageFolder(runFolder: string, stage: Stage): string {
  return join(runFolder, "stages", stageFolderName(stage));
}

/**
 * Begins a stage: claims the next attempt number, which makes every older attempt the loser, and clears their folders away. The states that
 * they saved stay: this attempt may go on from them.
 */
export async function beginAttempt(files: FileSystem, folder: string): Promise<Attempt> {
  await files.ensureFolder(dirname(folder));
  for (;;) {
    const older = await attemptTraces(files, folder);
    const number = newestOf(older) + 1;
    const own = join(dirname(folder), attemptName(folder, number));
    try {
      await files.makeFolder(own); // exactly one process can make it
    } catch (error) {
      if (errorCode(error) === "EEXIST") continue;
      throw error;
    }
    // The claim is durable before the older attempts go, or a crash here could hand their number out again.
    await files.sync(dirname(folder));
    for (const { path, kind } of older) if (kind !== "state") await files.remove(path);
    return { folder: own, number };
  }
}

/** Throws away an attempt that came to nothing. */
export async function abandonAttempt(files: FileSystem, attempt: Attempt): Promise<void> {
  await files.remove(attempt.folder);
}

/**
 * Makes an attempt the stage: fsync every output, write and fsync the manifest, fsync the folder, rename it to its final
 * name, fsync the parent. Killed anywhere in between, the stage is there whole or not at all.
 * @throws UserError when a newer attempt exists or the stage was finished meanwhile: a late writer overwrites nothing.
 */
export async function commitAttempt(
  files: FileSystem,
  stage: Stage,
  folder: string,
  attempt: Attempt,
  { outcome, started, finished }: CommitFacts,
): Promise<StageManifest> {
  const found = await listOutputs(files, attempt.folder);
  const outputs = [];
  for (const path of found.files) {
    outputs.push({ path, ...(await files.digest(join(attempt.folder, path))) });
    await files.sync(join(attempt.folder, path));
  }
  const manifest = sealManifest({
    kind: stage.kind,
    name: stage.name,
    identity: stageIdentity(stage),
    version: stage.version,
    config: stage.config as StageManifest["config"],
    inputs: stage.inputs.map((input) => ({ name: input.name, identity: stageIdentity(input) })),
    outcome,
    outputs,
    attempt: attempt.number,
    started: started.toISOString(),
    finished: finished.toISOString(),
    durationSeconds: Math.max(0, finished.getTime() - started.getTime()) / 1000,
  });
  const manifestPath = join(attempt.folder, MANIFEST);
  await files.write(manifestPath, new TextEncoder().encode(manifest));
  await files.sync(manifestPath);
  for (const path of found.folders) await files.sync(join(attempt.folder, path));
  await files.sync(attempt.folder);
  await refuseLateWriter(files, stage, folder, attempt);
  const there = await checkStage(files, folder, stageIdentity(stage));
  if (there.state === "whole" && there.removed.length === 0) throw overtaken(stage, "finished by another process");
  if (there.state !== "absent") await files.remove(folder);
  try {
    await files.rename(attempt.folder, folder); // fails where a stage with files in it already has the name
  } catch (error) {
    if (errorCode(error) === "ENOTEMPTY" || errorCode(error) === "EEXIST")
      throw overtaken(stage, "finished by another process");
    throw error;
  }
  await files.sync(dirname(folder));
  // Only now: until here a power cut may take the name back, and then the states are what is left.
  await removeStates(files, { stageFolder: folder, attempt: attempt.number });
  return JSON.parse(manifest) as StageManifest;
}

/** @throws UserError when a newer attempt at the stage has begun. */
export async function refuseLateWriter(
  files: FileSystem,
  stage: Stage,
  folder: string,
  attempt: Attempt,
): Promise<void> {
  const newest = newestOf(await attemptTraces(files, folder));
  if (newest > attempt.number)
    throw overtaken(stage, `started again as attempt ${newest}, and this is attempt ${attempt.number}`);
}

function overtaken(stage: Stage, how: string): UserError {
  return new UserError(
    `The stage "${stage.name}" was ${how}; what this process made is thrown away. Run the same command again.`,
  );
}
