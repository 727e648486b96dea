import type { RandomKey } from "./key.js";
import { multiplyHigh, philox } from "./philox.js";

/*
 * Draws addressed by (key, step, index). The counter is (block, block high and retry, step, step high): index i lies in
 * lane i % 4 of block floor(i / 4), so one Philox call serves four neighbours in bulk.
 */
const TWO_32 = 2 ** 32;
/** The upper 11 bits of the counter's second word count rejections; the lower 21 continue the block number. */
const RETRY_SHIFT = 21;
const UNIT_32 = 2 ** -32;
const UNIT_24 = 2 ** -24;

function block(key: RandomKey, step: number, number: number, retry: number, out: Uint32Array, offset = 0): void {
  const high = Math.floor(number / TWO_32) | (retry << RETRY_SHIFT);
  philox(number, high, step, Math.floor(step / TWO_32), key.k0, key.k1, out, offset);
}

/** The random 32-bit word at (key, step, index). */
export function uint32(key: RandomKey, step: number, index: number, retry = 0): number {
  const words = new Uint32Array(4);
  block(key, step, Math.floor(index / 4), retry, words);
  return words[index % 4]!;
}

/** Uniform on [0, 1) with 32 random bits, at (key, step, index). */
export function uniform(key: RandomKey, step: number, index: number): number {
  return uint32(key, step, index) * UNIT_32;
}

/**
 * Below this product remainder a word is rejected, 2^32 mod bound: what is left is exactly uniform.
 * D. Lemire, "Fast random integer generation in an interval", 2019.
 */
export function rejectionThreshold(bound: number): number {
  return TWO_32 % bound;
}

/** Uniform integer in 0 .. bound - 1 without modulo bias, at (key, step, index); 1 <= bound <= 2^32. */
export function integer(key: RandomKey, step: number, index: number, bound: number): number {
  checkBound(bound);
  if (bound === TWO_32) return uint32(key, step, index);
  const threshold = rejectionThreshold(bound);
  for (let retry = 0; ; retry++) {
    const word = uint32(key, step, index, retry);
    if (Math.imul(word, bound) >>> 0 >= threshold) return multiplyHigh(word, bound);
  }
}

/** @throws RangeError when `bound` is not an integer in 1 .. 2^32. */
export function checkBound(bound: number): void {
  if (!Number.isInteger(bound) || bound < 1 || bound > TWO_32)
    throw new RangeError(`the bound of a random integer lies in 1 .. 2^32, not ${bound}`);
}

/** Standard normal number (mean 0, deviation 1) at (key, step, index), the same that `fillNormal` writes there. */
export function normal(key: RandomKey, step: number, index: number): number {
  const four = new Float64Array(4);
  const words = new Uint32Array(4);
  block(key, step, Math.floor(index / 4), 0, words);
  normals(words, four, 0, 4);
  return four[index % 4]!;
}

/** Index drawn with probability weights[i] / sum(weights), at (key, step, index). */
export function categorical(key: RandomKey, step: number, index: number, weights: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!;
    if (!(weight >= 0) || weight === Infinity)
      throw new RangeError(`weight ${i} is ${weight}; weights are finite and >= 0`);
    total += weight;
  }
  if (!(total > 0)) throw new RangeError("categorical needs at least one weight above 0");
  let left = uniform(key, step, index) * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    last = i;
    left -= weights[i]!;
    if (left < 0) return i;
  }
  return last; // rounding of the running difference can leave a hair above 0
}

/** Fills `out` with uniform numbers of [0, 1): 32 bits in a Float64Array, 24 in a Float32Array (more could round to 1). */
export function fillUniform(key: RandomKey, step: number, out: Float32Array | Float64Array): void {
  const words = new Uint32Array(4);
  const narrow = out instanceof Float32Array;
  for (let i = 0; i < out.length; i += 4) {
    block(key, step, i / 4, 0, words);
    const end = Math.min(4, out.length - i);
    for (let lane = 0; lane < end; lane++)
      out[i + lane] = narrow ? (words[lane]! >>> 8) * UNIT_24 : words[lane]! * UNIT_32;
  }
}

/** Fills `out` with standard normal numbers (mean 0, deviation 1). */
export function fillNormal(key: RandomKey, step: number, out: Float32Array | Float64Array): void {
  const words = new Uint32Array(4);
  for (let i = 0; i < out.length; i += 4) {
    block(key, step, i / 4, 0, words);
    normals(words, out, i, Math.min(4, out.length - i));
  }
}

/** Box and Muller's transform of four words; half a unit is added so that the logarithm never sees 0. */
function normals(words: Uint32Array, out: Float32Array | Float64Array, offset: number, count: number): void {
  for (let pair = 0; pair < count; pair += 2) {
    const radius = Math.sqrt(-2 * Math.log((words[pair]! + 0.5) * UNIT_32));
    const angle = 2 * Math.PI * (words[pair + 1]! * UNIT_32);
    out[offset + pair] = radius * Math.cos(angle);
    if (pair + 1 < count) out[offset + pair + 1] = radius * Math.sin(angle);
  }
}
