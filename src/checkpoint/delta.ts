import { readFile, writeFile } from "node:fs/promises";
import { deflateSync, inflateSync } from "node:zlib";
import { UserError } from "../errors.js";
import { encodeSafetensors } from "./encodeSafetensors.js";
import { parseSafetensors } from "./safetensors.js";

/*
 * Weights a few steps after known ones share their sign, their exponent and the upper bits of their mantissa: the exclusive or of the two
 * bit patterns is mostly zeros on top. Taken byte plane by byte plane (all lowest bytes, then all second ones, ...) these zeros lie together,
 * and zlib packs them. Nothing is rounded: the patterns come back bit for bit.
 */

const ENCODING = "xor-planes-zlib";
const BYTES = 4;
const PARAMETERS = "parameters";
const DELTA = "delta";

/** XOR of two float32 vectors' bit patterns, in byte planes, compressed. @throws RangeError when their lengths differ. */
export function encodeDelta(before: Float32Array, after: Float32Array): Uint8Array {
  if (before.length !== after.length) throw new RangeError(`${before.length} and ${after.length} weights differ`);
  const [a, b] = [bits(before), bits(after)];
  const count = a.length;
  const planes = new Uint8Array(BYTES * count);
  for (let i = 0; i < count; i++) {
    const changed = a[i]! ^ b[i]!;
    for (let plane = 0; plane < BYTES; plane++) planes[plane * count + i] = (changed >>> (8 * plane)) & 0xff;
  }
  return new Uint8Array(deflateSync(planes));
}

/** The vector of which `encodeDelta(before, ...)` gave `delta`. @throws UserError that names `where` when it is no such delta. */
export function decodeDelta(before: Float32Array, delta: Uint8Array, where = "the difference"): Float32Array {
  const count = before.length;
  let planes: Uint8Array;
  try {
    planes = inflateSync(delta, { maxOutputLength: Math.max(1, BYTES * count) }); // never more memory than the weights take
  } catch (error) {
    throw new UserError(`${where} is damaged (${(error as Error).message}); run the study again, it rebuilds it.`);
  }
  if (planes.length !== BYTES * count)
    throw new UserError(`${where} holds ${planes.length} bytes, not the ${BYTES * count} of ${count} weights.`);
  const after = new Float32Array(count);
  const [a, b] = [bits(before), bits(after)];
  for (let i = 0; i < count; i++) {
    let changed = 0;
    for (let plane = 0; plane < BYTES; plane++) changed |= planes[plane * count + i]! << (8 * plane);
    b[i] = a[i]! ^ changed;
  }
  return after;
}

const bits = (weights: Float32Array) => new Uint32Array(weights.buffer, weights.byteOffset, weights.length);

/**
 * Writes weights as a safetensors file: as their difference to `before` where that is smaller (tensor `delta`, U8), else as they are
 * (tensor `parameters`, F32).
 */
export async function writeDelta(path: string, before: Float32Array, after: Float32Array): Promise<void> {
  const delta = encodeDelta(before, after);
  const smaller = delta.length < after.byteLength;
  const file = smaller
    ? encodeSafetensors([[DELTA, { dtype: "U8", shape: [delta.length], data: delta }]], { encoding: ENCODING })
    : encodeSafetensors([[PARAMETERS, { dtype: "F32", shape: [after.length], data: after }]], { encoding: "plain" });
  await writeFile(path, file);
}

/** Reads what `writeDelta` wrote, given the same `before`. @throws UserError for a file that is damaged or of other weights. */
export async function readDelta(path: string, before: Float32Array): Promise<Float32Array> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${path} cannot be read (${error.code ?? error.message}).`);
  });
  const { tensors, metadata } = parseSafetensors(bytes, path);
  const [delta, whole] = [tensors.get(DELTA), tensors.get(PARAMETERS)];
  if (metadata.get("encoding") === ENCODING && delta?.data instanceof Uint8Array)
    return decodeDelta(before, delta.data, path);
  if (whole?.data instanceof Float32Array && whole.data.length === before.length) return whole.data;
  throw new UserError(`${path} holds no weights of this model; run the study again, it rebuilds it.`);
}
