import { join } from "node:path";
import { UserError } from "../errors.js";
import type { FileSystem } from "./fileSystem.js";
import { checkSeal } from "./seal.js";

/** The configuration of a run, beside its stages. */
export const CONFIG_FILE = "config.yaml";

/**
 * The text of a run's `config.yaml`. A file without a seal is taken as it stands: it may be of a person's hand.
 * @throws Node's error where it cannot be read; UserError where it is not what its seal says.
 */
export async function readRunConfig(runFolder: string, files: FileSystem): Promise<string> {
  const path = join(runFolder, CONFIG_FILE);
  return unbroken(await files.read(path), path);
}

/** The text of a configuration that may be sealed. @throws UserError where the seal is broken. */
export function unbroken(bytes: Uint8Array, path: string): string {
  if (checkSeal(bytes) === "broken")
    throw new UserError(
      `${path} was changed after it was written; if you changed it, delete its last line, the seal, or else run the study again, it rebuilds the file.`,
    );
  return new TextDecoder().decode(bytes);
}
