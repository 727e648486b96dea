import { sha256 } from "@noble/hashes/sha2.js";

/** Names one stream of random numbers: 64 bits, from a seed and a purpose. */
export interface RandomKey {
  readonly k0: number;
  readonly k1: number;
}

/**
 * The key of (seed, purpose): the first 64 bits of SHA-256 of both, so that streams of different purposes share nothing.
 * @throws RangeError when the seed is not a safe integer.
 */
export function randomKey(seed: number, purpose: string): RandomKey {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`a seed is an integer of at most 2^53 - 1, not ${seed}`);
  const digest = sha256(new TextEncoder().encode(`${seed}\u0000${purpose}`));
  const view = new DataView(digest.buffer, digest.byteOffset);
  return { k0: view.getUint32(0, true), k1: view.getUint32(4, true) };
}
