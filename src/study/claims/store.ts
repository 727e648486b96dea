import { join } from "node:path";
import { UserError } from "../../errors.js";
import { errorCode, type FileSystem, nodeFileSystem } from "../fileSystem.js";
import type { RecordedClaims } from "../runConfig.js";
import { readRunConfig } from "../runConfigFile.js";
import { writeIfChanged } from "../runStudy.js";
import { parseStrictYaml } from "../strictYaml.js";
import { type ClaimsFile, parseClaims, sha256 } from "./load.js";

/** What `config.yaml` records of claims. */
export const recordedClaims = (claims: readonly ClaimsFile[]): RecordedClaims[] =>
  claims.map((one) => ({ file: one.name, sha256: one.sha256 }));

const copyOf = (runFolder: string, hash: string) => join(runFolder, "claims", `${hash.slice(0, 12)}.yaml`);

/** Keeps a copy of each claims file in `runs/NAME/claims/`: what the run was to decide, whatever becomes of the original. */
export async function storeClaims(
  runFolder: string,
  claims: readonly ClaimsFile[],
  files: FileSystem = nodeFileSystem,
): Promise<void> {
  if (claims.length === 0) return;
  await files.ensureFolder(join(runFolder, "claims"));
  for (const one of claims) await writeIfChanged(files, copyOf(runFolder, one.sha256), one.bytes);
}

/** What a run's `config.yaml` records of its claims; empty for a run without any, or without a configuration. */
export async function readRecordedClaims(
  runFolder: string,
  files: FileSystem = nodeFileSystem,
): Promise<RecordedClaims[]> {
  let config: unknown;
  try {
    config = parseStrictYaml(await readRunConfig(runFolder, files), "config.yaml");
  } catch {
    return []; // unreadable, damaged or no YAML: the study says so
  }
  const claims = (config as { versions?: { claims?: unknown } } | null)?.versions?.claims;
  if (!Array.isArray(claims)) return [];
  return claims.flatMap(({ file, sha256: hash }: Partial<RecordedClaims>) =>
    typeof file === "string" && typeof hash === "string" && /^[0-9a-f]{64}$/.test(hash) ? [{ file, sha256: hash }] : [],
  );
}

/**
 * The claims that a run has recorded, from its own copies.
 * @throws UserError when a copy is missing or was changed: claims are fixed before the run.
 */
export async function readStoredClaims(
  runFolder: string,
  files: FileSystem = nodeFileSystem,
): Promise<readonly ClaimsFile[]> {
  const stored: ClaimsFile[] = [];
  for (const { file, sha256: hash } of await readRecordedClaims(runFolder, files)) {
    const path = copyOf(runFolder, hash);
    const bytes = await files.read(path).catch((error: unknown) => {
      if (errorCode(error) === undefined) throw error;
      return undefined;
    });
    if (bytes === undefined || sha256(bytes) !== hash)
      throw new UserError(
        `${path} is not the claims file that this run began with (${bytes === undefined ? "it cannot be read" : "its hash differs"}); run the study again, it writes the file anew.`,
      );
    stored.push({ name: file, sha256: hash, bytes, claims: parseClaims(new TextDecoder().decode(bytes), path) });
  }
  return stored;
}
