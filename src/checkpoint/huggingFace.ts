import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { UserError } from "../errors.js";
import { type DecoderConfig, decoderParameters, type Family, outerNames } from "../model/index.js";
import { decodeFloatsInto, dtypeWidth, FLOAT_DTYPES } from "./dtypes.js";
import { fileInside, readForeignJson } from "./foreignJson.js";
import { decoderConfigOf } from "./huggingFaceConfig.js";
import { openSafetensors, type SafetensorsFile, type TensorInfo } from "./safetensors.js";
import { checkIndex, weightMapOf } from "./shardedIndex.js";
import { quoteName } from "./strictJson.js";

/** A tensor of the model and where it lies. */
export interface CheckpointTensor extends TensorInfo {
  /** Name of its file in the folder. */
  readonly file: string;
}

/** An open Hugging Face folder: everything is checked, nothing but headers is read. Close it. */
export interface HuggingFaceCheckpoint {
  readonly architecture: Family;
  readonly config: DecoderConfig;
  readonly dir: string;
  /** Every parameter of the model by its name in `decoderParameters`. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** Tensors of the files that the model does not use: buffers of older versions, parts of another head. */
  readonly unused: ReadonlyMap<string, CheckpointTensor>;
  /** Remarks for the user, one sentence each without its full stop: code that was not run, tensors that are not used. */
  readonly notes: readonly string[];
  /** All numbers of a tensor: F64 as float64; F32, F16 and BF16 as float32, exactly. */
  readFloats(name: string): Promise<Float32Array | Float64Array>;
  /** Rows from..to-1 of its first axis, in the same way. @throws RangeError outside the tensor. */
  readRows(name: string, from: number, to: number): Promise<Float32Array | Float64Array>;
  /**
   * Fills `target` with the numbers from row `from` on, without allocating: what streams keeps its arrays. Rounded where the target is narrower.
   * @throws RangeError when it does not hold whole rows of the tensor.
   */
  fill(name: string, target: Float32Array | Float64Array, from?: number): Promise<void>;
  /** Bytes as they stand in the file: all of them, or those from `begin` to before `end`, counted from the tensor's first. */
  readBytes(name: string, begin?: number, end?: number): Promise<Uint8Array>;
  /** The checkpoint's identity, whatever its path and its shards are called. sha256, hexadecimal. */
  fingerprint(): Promise<string>;
  close(): Promise<void>;
}

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const HEAD = "lm_head.weight";
const PICKLES = /\.(bin|pt|pth|pkl|ckpt)$/;
/** Nobody's configuration is larger, nor the index of the largest model. */
const MAX_CONFIG_BYTES = 4_000_000;
const MAX_INDEX_BYTES = 64_000_000;
/** As many shards as no model has; each is an open file. */
const MAX_SHARDS = 1000;
/** Two tensors are compared in pieces of this many bytes. */
const PIECE = 2 ** 24;
/** Numbers are widened in pieces of this many bytes: they stay in the cache between the reading and the widening. */
const WIDENED_AT_A_TIME = 2 ** 20;

/**
 * Opens a Hugging Face folder: `config.json` with one `model.safetensors` or shards and their index. Before anything is allocated for
 * a tensor, the shapes computed from the configuration are compared with the files'. Code that it may name (`auto_map`) is never run.
 * @throws UserError, one sentence, for what is missing, damaged, hostile or of an unknown architecture.
 */
export async function openHuggingFace(dir: string): Promise<HuggingFaceCheckpoint> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      `${dir} cannot be read as a checkpoint folder (${error.code ?? error.message}); check the path.`,
    );
  });
  const sharded = whichWeights(dir, names);
  if (!names.includes(CONFIG))
    throw new UserError(`${dir} holds no ${CONFIG}; copy it from where the model came from.`);
  const { config, notes } = decoderConfigOf(await readForeignJson(dir, CONFIG, MAX_CONFIG_BYTES), join(dir, CONFIG));
  const shards = await (sharded ? openShards(dir) : openFiles(dir, [WEIGHTS]));
  const close = async () => {
    for (const file of shards.values()) await file.close();
  };
  try {
    const checkpoint = checkpointOf(dir, config, notes, shards, close);
    if (config.tied) await requireTiedHead(checkpoint, shards);
    return checkpoint;
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * A head that stands in the file although it is tied must be the embedding, byte for byte: loaders differ in which of the two they would take.
 * @throws UserError when it is not.
 */
async function requireTiedHead(
  { dir, config, tensors, unused, readBytes }: HuggingFaceCheckpoint,
  shards: ReadonlyMap<string, SafetensorsFile>,
): Promise<void> {
  const head = unused.get(HEAD);
  if (head === undefined) return;
  const { embedding } = outerNames(config);
  const table = tensors.get(embedding)!;
  const size = table.end - table.begin;
  let same = head.dtype === table.dtype && head.shape.join() === table.shape.join();
  for (let at = 0; same && at < size; at += PIECE) {
    const until = Math.min(size, at + PIECE);
    const own = await shards.get(head.file)!.readBytes(HEAD, at, until);
    same = Buffer.compare(own, await readBytes(embedding, at, until)) === 0;
  }
  if (!same)
    throw new UserError(
      `${dir}: ${CONFIG} ties the head to the embedding, but ${HEAD} is another matrix; set tie_word_embeddings to false, or take ${HEAD} out of the file.`,
    );
}

/** Whether the weights are in shards. @throws UserError where they are in no file, in two forms at once, or in pickles only. */
function whichWeights(dir: string, names: readonly string[]): boolean {
  const [single, index] = [names.includes(WEIGHTS), names.includes(INDEX)];
  if (single && index)
    throw new UserError(
      `${dir} holds ${WEIGHTS} and ${INDEX}, and they may be two models; move the one you do not mean elsewhere.`,
    );
  if (single || index) return index;
  const pickle = names.find((name) => PICKLES.test(name));
  if (pickle !== undefined)
    throw new UserError(
      `${dir} has its weights in ${pickle}, a pickle, which can run any code when it is opened and is never read here; convert it in a sandbox with convert.py of https://huggingface.co/docs/safetensors/convert-weights.`,
    );
  throw new UserError(
    `${dir} holds neither ${WEIGHTS} nor ${INDEX}; give a folder with ${CONFIG} and safetensors files.`,
  );
}

async function openShards(dir: string): Promise<Map<string, SafetensorsFile>> {
  const where = join(dir, INDEX);
  const weightMap = weightMapOf(await readForeignJson(dir, INDEX, MAX_INDEX_BYTES), where);
  const names = [...new Set(weightMap.values())].sort();
  if (names.length > MAX_SHARDS) throw new UserError(`${where} names ${names.length} shards, more than ${MAX_SHARDS}.`);
  const shards = await openFiles(dir, names);
  try {
    checkIndex(weightMap, shards, where);
    return shards;
  } catch (error) {
    for (const file of shards.values()) await file.close();
    throw error;
  }
}

async function openFiles(dir: string, names: readonly string[]): Promise<Map<string, SafetensorsFile>> {
  const files = new Map<string, SafetensorsFile>();
  try {
    for (const name of names) files.set(name, await openSafetensors(await fileInside(dir, name)));
    return files;
  } catch (error) {
    for (const file of files.values()) await file.close();
    throw error;
  }
}

/** Buffers that older versions saved beside the parameters: rotary frequencies, GPT-2's causal mask. They are computed here. */
const BUFFER = /\.rotary_emb\.inv_freq$|\.attn\.(masked_)?bias$/;

interface Located {
  readonly file: SafetensorsFile;
  /** Its name there, which may lack a prefix. */
  readonly stored: string;
}

function checkpointOf(
  dir: string,
  config: DecoderConfig,
  remarks: readonly string[],
  shards: ReadonlyMap<string, SafetensorsFile>,
  close: () => Promise<void>,
): HuggingFaceCheckpoint {
  const left = new Map<string, SafetensorsFile>();
  for (const file of shards.values()) for (const name of file.tensors.keys()) left.set(name, file);
  const shardNames = new Map([...shards].map(([name, file]) => [file, name]));
  const located = new Map<string, Located>();
  const tensors = new Map<string, CheckpointTensor>();
  for (const { name, shape } of decoderParameters(config)) {
    // GPT2Model is saved without the prefix of GPT2LMHeadModel: files come both ways.
    const bare = name.replace(/^transformer\./, "");
    const stored = left.has(name) ? name : bare;
    const file = left.get(stored);
    if (file === undefined)
      throw new UserError(`${dir} has no tensor ${quoteName(name)}, which ${CONFIG} (${config.family}) asks for.`);
    const info = file.tensors.get(stored)!;
    if (info.shape.join() !== shape.join())
      throw new UserError(
        `${dir}: tensor ${quoteName(name)} has shape [${info.shape.join(", ")}], but ${CONFIG} asks for [${shape.join(", ")}].`,
      );
    if (!FLOAT_DTYPES.includes(info.dtype))
      throw new UserError(
        `${dir}: tensor ${quoteName(name)} is ${info.dtype}, not one of ${FLOAT_DTYPES.join(", ")}; give the model in one of these.`,
      );
    left.delete(stored);
    located.set(name, { file, stored });
    tensors.set(name, { ...info, file: shardNames.get(file)! });
  }
  const unused = new Map(
    [...left].map(([name, file]) => [name, { ...file.tensors.get(name)!, file: shardNames.get(file)! }] as const),
  );
  const find = (name: string): Located & { readonly info: TensorInfo } => {
    const found = located.get(name);
    if (found === undefined) throw new UserError(`${dir} has no tensor ${quoteName(name)}.`);
    return { ...found, info: tensors.get(name)! };
  };
  const readBytes = async (name: string, begin?: number, end?: number) => {
    const { file, stored } = find(name);
    return file.readBytes(stored, begin, end);
  };
  const fill = async (name: string, target: Float32Array | Float64Array, from = 0) => {
    const { shape, dtype } = find(name).info;
    const perRow = shape.slice(1).reduce((product, size) => product * size, 1);
    const to = from + target.length / perRow;
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && to <= shape[0]!))
      throw new RangeError(`rows ${from} to ${to} are outside tensor ${quoteName(name)} of ${shape[0]} rows`);
    const width = dtypeWidth(dtype)!;
    const piece = new Uint8Array(Math.min(WIDENED_AT_A_TIME, target.length * width));
    const { file, stored } = find(name);
    for (let at = 0; at < target.length; at += piece.length / width) {
      const bytes = piece.subarray(0, (target.length - at) * width);
      await file.readInto(stored, bytes, (from * perRow + at) * width);
      decodeFloatsInto(dtype, bytes, target, at);
    }
  };
  const readRows = async (name: string, from: number, to: number) => {
    const { shape, dtype } = find(name).info;
    if (!(from >= 0 && from <= to && to <= shape[0]!))
      throw new RangeError(`rows ${from} to ${to} are outside tensor ${quoteName(name)} of ${shape[0]} rows`);
    const numbers = (to - from) * shape.slice(1).reduce((product, size) => product * size, 1);
    const out = dtype === "F64" ? new Float64Array(numbers) : new Float32Array(numbers);
    await fill(name, out, from);
    return out;
  };
  return {
    architecture: config.family,
    config,
    dir,
    tensors,
    unused,
    notes: [...remarks, ...unusedNotes([...unused.keys()])],
    readBytes,
    readRows,
    fill,
    readFloats: (name) => readRows(name, 0, find(name).info.shape[0]!),
    fingerprint: () => fingerprintOf(config, tensors, readBytes),
    close,
  };
}

function unusedNotes(names: readonly string[]): string[] {
  const others = names.filter((name) => !BUFFER.test(name));
  if (others.length === 0) return [];
  const shown = others.slice(0, 5).map(quoteName).join(", ");
  return [
    `${others.length} tensor${others.length > 1 ? "s" : ""} that this architecture does not use ${others.length > 1 ? "were" : "was"} left out: ${shown}${others.length > 5 ? " and more" : ""}`,
  ];
}

/** Samples of a tensor for the fingerprint: this many windows of this many bytes, evenly spaced from its first byte to its last. */
const WINDOWS = 16;
const WINDOW_BYTES = 4096;

/**
 * sha256 over the configuration and, for each tensor in the order of names, its name, dtype, shape and sampled bytes (all of them where it
 * is small). A change outside the samples is not seen: this tells checkpoints apart, it is no proof against forgery.
 */
async function fingerprintOf(
  config: DecoderConfig,
  tensors: ReadonlyMap<string, CheckpointTensor>,
  readBytes: (name: string, begin: number, end: number) => Promise<Uint8Array>,
): Promise<string> {
  const hash = createHash("sha256")
    .update("nullscope/checkpoint@1\n")
    .update(`${JSON.stringify(config)}\n`);
  for (const name of [...tensors.keys()].sort()) {
    const { dtype, shape, begin, end } = tensors.get(name)!;
    hash.update(`${JSON.stringify([name, dtype, shape])}\n`);
    const size = end - begin;
    if (size <= WINDOWS * WINDOW_BYTES) {
      hash.update(await readBytes(name, 0, size));
      continue;
    }
    for (let window = 0; window < WINDOWS; window++) {
      const at = Math.floor(((size - WINDOW_BYTES) * window) / (WINDOWS - 1));
      hash.update(await readBytes(name, at, at + WINDOW_BYTES));
    }
  }
  return hash.digest("hex");
}

/** The name of a checkpoint in results: its folder's. */
export function checkpointName(dir: string): string {
  return basename(dir.replace(/[\\/]+$/, "")) || dir;
}
