import { basename, join } from "node:path";
import { errorCode, type FileSystem } from "./fileSystem.js";
import { type Damage, sha256 } from "./manifest.js";
import { CONFIG_FILE } from "./runConfigFile.js";
import { checkSeal, sealFault } from "./seal.js";

/**
 * The files of a run beside its stages that are not as they were written: `config.yaml`, `claims/`, `requests/`, `results/*.json`. Each
 * carries its own hash, at its end or in its name. `results.parquet` has none: it follows from the others. Never throws for what it finds.
 * `ownConfig`: the run's configuration is of a person's hand, which seals nothing.
 */
export async function damagedRunFiles(
  runFolder: string,
  files: FileSystem,
  { ownConfig = false } = {},
): Promise<Damage[]> {
  const found: Damage[] = [];
  const look = async (path: string, faultOf: (bytes: Uint8Array) => string | undefined) => {
    const reason = await files.read(join(runFolder, path)).then(faultOf, (error: unknown) => {
      if (errorCode(error) === undefined) throw error;
      return errorCode(error) === "ENOENT" ? undefined : `it cannot be read (${errorCode(error)})`;
    });
    if (reason !== undefined) found.push({ path, reason: `${path} is damaged: ${reason}` });
  };
  await look(CONFIG_FILE, (bytes) => (ownConfig && checkSeal(bytes) === "none" ? undefined : sealFault(bytes)));
  for (const name of await namesIn(files, join(runFolder, "claims")))
    if (name.endsWith(".yaml"))
      await look(`claims/${name}`, (bytes) =>
        sha256(bytes).startsWith(basename(name, ".yaml")) ? undefined : "its hash is not the one in its name",
      );
  for (const name of await namesIn(files, join(runFolder, "requests")))
    if (/\.json(\.copy)?$/.test(name)) await look(`requests/${name}`, sealFault);
  for (const name of await namesIn(files, join(runFolder, "results")))
    if (name.endsWith(".json")) await look(`results/${name}`, sealFault);
  return found;
}

/** Names in a folder, sorted; none where there is no such folder. */
export async function namesIn(files: FileSystem, folder: string): Promise<string[]> {
  return files.list(folder).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    throw error;
  });
}
