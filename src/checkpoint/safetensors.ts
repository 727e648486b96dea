import { type FileHandle, open } from "node:fs/promises";
import { UserError } from "../errors.js";
import { decodeFloats, decodeTensor, FLOAT_DTYPES, type TensorData } from "./dtypes.js";
import { headerLength, parseHeader, type SafetensorsHeader, type TensorInfo } from "./safetensorsHeader.js";
import { quoteName } from "./strictJson.js";

export type { TensorData } from "./dtypes.js";
export type { SafetensorsHeader, TensorInfo } from "./safetensorsHeader.js";

/** A tensor in memory. Elements are in row-major order; F16 and BF16 are given as their bits. */
export interface TensorValue {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** An open file: its header is read and checked, its tensors are read one at a time when asked for. */
export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
  /** The tensor in its own dtype. @throws UserError for an unknown name or an 8-bit float. */
  read(name: string): Promise<TensorValue>;
  /** Its real numbers: F64 as float64; F32, F16, BF16 as float32, exactly. @throws UserError for other dtypes. */
  readFloats(name: string): Promise<Float32Array | Float64Array>;
  /** Its bytes as they stand in the file: all of them, or those from `begin` to before `end`, counted from the tensor's first. */
  readBytes(name: string, begin?: number, end?: number): Promise<Uint8Array>;
  /** As many of its bytes as `target` holds, from `begin` on, counted from the tensor's first: what reads piece by piece allocates once. */
  readInto(name: string, target: Uint8Array, begin: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a safetensors file and checks its header against every rule of the format before anything is allocated for a tensor.
 * @throws UserError for a file that is missing, unreadable or breaks a rule.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const handle = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      `${path} cannot be opened (${error.code ?? error.message}); check the path and its permissions.`,
    );
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new UserError(`${path} is not a file.`);
    const start = await readRange(handle, 0, Math.min(8, stat.size), path);
    const length = headerLength(start, stat.size, path);
    const header = parseHeader(await readRange(handle, 8, 8 + length, path), stat.size, path);
    const readBytes = async (name: string, from = 0, to?: number) => {
      const { begin, end } = rangeOf(header, name, path, from, to);
      return readRange(handle, begin, end, path);
    };
    const readInto = async (name: string, target: Uint8Array, from: number) => {
      const { begin } = rangeOf(header, name, path, from, from + target.length);
      await readAt(handle, target, begin, path);
    };
    return {
      ...header,
      path,
      readBytes,
      readInto,
      read: async (name) => tensorValue(infoOf(header, name, path), await readBytes(name), name, path),
      readFloats: async (name) => floats(infoOf(header, name, path), await readBytes(name), name, path),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A whole small file that is already in memory, with the same checks as `openSafetensors`. @param where names it in errors. */
export function parseSafetensors(
  bytes: Uint8Array,
  where = "the safetensors data",
): { tensors: ReadonlyMap<string, TensorValue>; metadata: ReadonlyMap<string, string> } {
  const length = headerLength(bytes.subarray(0, 8), bytes.length, where);
  const header = parseHeader(bytes.subarray(8, 8 + length), bytes.length, where);
  const tensors = new Map<string, TensorValue>();
  for (const [name, info] of header.tensors)
    tensors.set(name, tensorValue(info, bytes.subarray(info.begin, info.end), name, where));
  return { tensors, metadata: header.metadata };
}

function infoOf(header: SafetensorsHeader, name: string, where: string): TensorInfo {
  const info = header.tensors.get(name);
  if (info === undefined) throw new UserError(`${where} has no tensor ${quoteName(name)}.`);
  return info;
}

/** Where bytes from..to-1 of a tensor stand in the file. @throws RangeError outside the tensor. */
function rangeOf(header: SafetensorsHeader, name: string, where: string, from: number, to?: number) {
  const { begin, end } = infoOf(header, name, where);
  const stop = to === undefined ? end : begin + to;
  if (from < 0 || begin + from > stop || stop > end)
    throw new RangeError(`bytes ${from} to ${to} are outside tensor ${quoteName(name)} of ${end - begin} bytes`);
  return { begin: begin + from, end: stop };
}

function tensorValue({ dtype, shape }: TensorInfo, bytes: Uint8Array, name: string, where: string): TensorValue {
  const data = decodeTensor(dtype, bytes);
  if (data === undefined)
    throw new UserError(
      `${where}: tensor ${quoteName(name)} is ${dtype}, which is not decoded here; convert it to BF16 or F32.`,
    );
  return { dtype, shape, data };
}

function floats({ dtype }: TensorInfo, bytes: Uint8Array, name: string, where: string) {
  const data = decodeFloats(dtype, bytes);
  if (data === undefined)
    throw new UserError(`${where}: tensor ${quoteName(name)} is ${dtype}, not one of ${FLOAT_DTYPES.join(", ")}.`);
  return data;
}

// One read of the system takes at most 2 GiB; a larger tensor comes in pieces.
const MAX_READ = 1 << 30;

async function readRange(handle: FileHandle, begin: number, end: number, path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  await readAt(handle, bytes, begin, path);
  return bytes;
}

async function readAt(handle: FileHandle, bytes: Uint8Array, begin: number, path: string): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(MAX_READ, bytes.length - at), begin + at);
    if (bytesRead === 0) throw new UserError(`${path} became shorter while it was read; copy it again.`);
    at += bytesRead;
  }
}
