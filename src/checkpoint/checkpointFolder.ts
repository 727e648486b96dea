import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.js";
import { encodeSafetensors } from "./encodeSafetensors.js";
import { openSafetensors, type SafetensorsFile, type TensorValue } from "./safetensors.js";
import { parseStrictJson } from "./strictJson.js";

/** A Hugging Face folder that holds one model in one file. */
export interface CheckpointFolder {
  /** `config.json`. Foreign: check every field before its use. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `model.safetensors`, open; close it. */
  readonly tensors: SafetensorsFile;
}

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
/** Nobody's configuration is larger; a file that claims to be is not read into memory. */
const MAX_CONFIG_BYTES = 10_000_000;
const PICKLES = /\.(bin|pt|pth|pkl|ckpt)$/;

/**
 * Writes `config.json` and `model.safetensors` into `folder`, which is made where missing. Equal models give equal bytes.
 * The metadata `format: pt` is what Hugging Face's loaders ask for.
 */
export async function writeCheckpointFolder(
  folder: string,
  { config, tensors }: { config: object; tensors: Iterable<readonly [string, TensorValue]> },
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, WEIGHTS), encodeSafetensors(tensors, { format: "pt" }));
  await writeFile(join(folder, CONFIG), `${JSON.stringify(config, null, 2)}\n`);
}

/**
 * Opens a Hugging Face folder with one `model.safetensors`. Code it may name (`auto_map`) is never run.
 * @throws UserError for a missing or damaged file, and for a folder that has its weights only as a pickle.
 */
export async function readCheckpointFolder(folder: string): Promise<CheckpointFolder> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      `${folder} cannot be read as a checkpoint folder (${error.code ?? error.message}); check the path.`,
    );
  });
  if (!names.includes(WEIGHTS)) {
    const pickle = names.find((name) => PICKLES.test(name));
    if (pickle !== undefined)
      throw new UserError(
        `${folder} has its weights in ${pickle}, a pickle, which can run any code when it is opened and is never read here; convert it in a sandbox with convert.py of https://huggingface.co/docs/safetensors/convert-weights.`,
      );
    throw new UserError(`${folder} holds no ${WEIGHTS}; give a folder with ${CONFIG} and ${WEIGHTS}.`);
  }
  if (!names.includes(CONFIG))
    throw new UserError(`${folder} holds no ${CONFIG}; copy it from where the model came from.`);
  const config = await readConfig(join(folder, CONFIG));
  return { config, tensors: await openSafetensors(join(folder, WEIGHTS)) };
}

async function readConfig(path: string): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${path} cannot be read (${error.code ?? error.message}).`);
  });
  if (bytes.length > MAX_CONFIG_BYTES)
    throw new UserError(`${path} has ${bytes.length} bytes, too many for a configuration.`);
  const text = bytes.toString("utf8");
  if (!(parseStrictJson(text, path) instanceof Map)) throw new UserError(`${path} is not a JSON object.`);
  return JSON.parse(text) as Record<string, unknown>;
}
