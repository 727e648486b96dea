import { join } from "node:path";
import { type FileSystem, nodeFileSystem } from "./fileSystem.js";
import { namesIn } from "./runFiles.js";

/** Something in a run folder that nothing names any more. */
export interface Leftover {
  /** From the run's folder. */
  readonly path: string;
  readonly why: string;
  readonly bytes: number;
}

/**
 * What of a run no manifest names: stages and attempts that the run's configuration no longer has, attempts of finished stages, temporary
 * files. An attempt at a stage that is still to do stays: it may hold the steps done so far. Files that a person put there are not ours to judge.
 * @param named folder names of the present stages (`KIND-HASH`); undefined where they are not known, which leaves all stages alone.
 */
export async function leftovers(
  runFolder: string,
  named: ReadonlySet<string> | undefined,
  files: FileSystem = nodeFileSystem,
): Promise<Leftover[]> {
  const found: Leftover[] = [];
  const add = async (path: string, why: string) =>
    void found.push({ path, why, bytes: await bytesBelow(files, join(runFolder, path)) });
  const stages = await namesIn(files, join(runFolder, "stages"));
  for (const name of stages) {
    const attempt = /^\.(.+?)\.attempt-[0-9]+(?:\.state-[0-9]+)?(?:\.tmp)?$/.exec(name)?.[1];
    if (attempt === undefined) {
      if (/^\..+\.removed\.tmp$/.test(name)) await add(`stages/${name}`, "a temporary file");
      if (name.startsWith(".")) continue;
      if (named !== undefined && !named.has(name) && /^[a-z0-9-]+-[0-9a-f]{12}$/.test(name))
        await add(`stages/${name}`, "a stage of an earlier configuration");
    } else if (stages.includes(attempt)) await add(`stages/${name}`, "an attempt at a stage that is finished");
    else if (named !== undefined && !named.has(attempt))
      await add(`stages/${name}`, "an attempt at a stage of an earlier configuration");
  }
  for (const folder of ["", "results", "requests", "claims", "figures"])
    for (const name of await namesIn(files, join(runFolder, folder)))
      if (name.endsWith(".tmp")) await add(folder === "" ? name : `${folder}/${name}`, "a temporary file");
  return found;
}

/** Bytes of a file, or of all files below a folder. */
export async function bytesBelow(files: FileSystem, path: string): Promise<number> {
  if ((await files.kind(path)) !== "folder") return (await files.stamp(path))?.size ?? 0;
  let sum = 0;
  for (const name of await namesIn(files, path)) sum += await bytesBelow(files, join(path, name));
  return sum;
}
