import { UserError } from "../errors.js";
import { dtypeWidth } from "./dtypes.js";
import { parseStrictJson, quoteName, type StrictJson } from "./strictJson.js";

/** Where a tensor lies in its file. */
export interface TensorInfo {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte and byte after the last, from the file's start. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** By name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The format's own limit; no header of a real model comes near it. */
const MAX_HEADER = 100_000_000;
const LENGTH_BYTES = 8;

/**
 * The header's length in bytes, from the first 8 bytes of a file of `fileSize` bytes.
 * @throws UserError when it cannot be: nothing is ever allocated by a number that the file merely claims.
 */
export function headerLength(start: Uint8Array, fileSize: number, where: string): number {
  if (fileSize < LENGTH_BYTES || start.length < LENGTH_BYTES)
    throw new UserError(`${where} has ${fileSize} bytes, too few for a safetensors file; it is empty or cut off.`);
  const length = new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER))
    throw new UserError(
      `${where} claims a header of ${length} bytes, more than the format's ${MAX_HEADER}; it is damaged or no safetensors file.`,
    );
  if (Number(length) > fileSize - LENGTH_BYTES)
    throw new UserError(
      `${where} claims a header of ${length} bytes but has only ${fileSize - LENGTH_BYTES} after the length; it is cut off or no safetensors file.`,
    );
  return Number(length);
}

/**
 * Reads the header: UTF-8 JSON from `{` on, padded with spaces; no key twice; every data byte in exactly one tensor.
 * @param header the bytes after the first 8. @param fileSize of the whole file, in bytes.
 * @throws UserError naming the file, the tensor and the rule it breaks.
 */
export function parseHeader(header: Uint8Array, fileSize: number, where: string): SafetensorsHeader {
  if (header[0] !== 0x7b)
    throw new UserError(`${where}: the header does not begin with '{'; the file is damaged or no safetensors file.`);
  const root = parseStrictJson(decodeUtf8(header, where), `${where}: the header`);
  if (!(root instanceof Map)) throw new UserError(`${where}: the header is not a JSON object.`);
  const dataStart = LENGTH_BYTES + header.length;
  const tensors = new Map<string, TensorInfo>();
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, entry] of root) {
    if (name === "__metadata__") metadata = metadataOf(entry, where);
    else tensors.set(name, tensorOf(entry, dataStart, `${where}: tensor ${quoteName(name)}`));
  }
  checkCoverage(tensors, dataStart, fileSize, where);
  return { tensors, metadata };
}

function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UserError(`${where}: the header is not valid UTF-8; the file is damaged.`);
  }
}

function metadataOf(entry: StrictJson, where: string): ReadonlyMap<string, string> {
  if (!(entry instanceof Map)) throw new UserError(`${where}: __metadata__ must be an object of strings.`);
  for (const [key, value] of entry)
    if (typeof value !== "string")
      throw new UserError(`${where}: __metadata__ must map strings to strings, but ${quoteName(key)} does not.`);
  return entry as ReadonlyMap<string, string>;
}

function tensorOf(entry: StrictJson, dataStart: number, where: string): TensorInfo {
  if (!(entry instanceof Map)) throw new UserError(`${where} is not described by a JSON object.`);
  const fields = ["dtype", "shape", "data_offsets"];
  for (const field of fields) if (!entry.has(field)) throw new UserError(`${where} has no ${field}.`);
  for (const field of entry.keys())
    if (!fields.includes(field)) throw new UserError(`${where} has an unknown field ${quoteName(field)}.`);

  const dtype = entry.get("dtype");
  const width = typeof dtype === "string" ? dtypeWidth(dtype) : undefined;
  if (typeof dtype !== "string" || width === undefined)
    throw new UserError(
      `${where} has a dtype that is not read here: ${typeof dtype === "string" ? quoteName(dtype) : "no string"}.`,
    );

  const shape = counts(entry.get("shape"), `${where}: its shape`);
  const offsets = counts(entry.get("data_offsets"), `${where}: data_offsets`);
  if (offsets.length !== 2) throw new UserError(`${where}: data_offsets must be two numbers, not ${offsets.length}.`);
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw new UserError(`${where} ends (${end}) before it begins (${begin}).`);

  const bytes = byteSize(shape, width);
  if (bytes !== end - begin)
    throw new UserError(
      `${where}: ${dtype} elements of its shape take ${bytes ?? "more than 2^53"} bytes, but data_offsets span ${end - begin}.`,
    );
  return { dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

/** product(shape) x width, exactly; undefined above 2^53 - 1: a hostile product must not wrap or round into the right size. */
function byteSize(shape: readonly number[], width: number): number | undefined {
  if (shape.includes(0)) return 0;
  let bytes = width;
  for (const size of shape) {
    if (size > Number.MAX_SAFE_INTEGER / bytes) return undefined;
    bytes *= size;
  }
  return bytes;
}

/** An array of whole numbers from 0 to 2^53 - 1, written as such. */
function counts(entry: StrictJson | undefined, where: string): number[] {
  if (!Array.isArray(entry)) throw new UserError(`${where} must be an array of whole numbers.`);
  return entry.map((item) => {
    if (typeof item !== "bigint" || item < 0n || item > BigInt(Number.MAX_SAFE_INTEGER))
      throw new UserError(`${where} must hold whole numbers from 0 to 2^53 - 1, written without fraction or exponent.`);
    return Number(item);
  });
}

/** Tensors lie end to end: no hole, no overlap, and the last ends where the file ends. */
function checkCoverage(tensors: ReadonlyMap<string, TensorInfo>, dataStart: number, fileSize: number, where: string) {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let covered = dataStart;
  for (const [name, { begin, end }] of inOrder) {
    if (begin !== covered)
      throw new UserError(
        `${where}: tensor ${quoteName(name)} begins at data byte ${begin - dataStart}, where ${covered - dataStart} was expected: ${begin > covered ? "bytes before it belong to no tensor" : "it overlaps another"}.`,
      );
    covered = end;
  }
  if (covered !== fileSize)
    throw new UserError(
      `${where}: the tensors end at data byte ${covered - dataStart}, but the file has ${fileSize - dataStart} data bytes; it is ${covered > fileSize ? "cut off" : "followed by bytes of no tensor"}.`,
    );
}
