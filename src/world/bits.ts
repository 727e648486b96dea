import { philox, type RandomKey } from "../random/index.js";

/**
 * Fair choices from few random bits, for the hot path: one Philox block makes about a hundred choices between two rules.
 * The bits of a row are addressed by (key, step, row, attempt) and used from the first on, whatever other rows do.
 */
export interface BitSource {
  readonly key: RandomKey;
  readonly step: number;
  row: number;
  attempt: number;
  /** The row's block at hand, the number of the next one, and how many words of it are taken. */
  readonly words: Uint32Array;
  block: number;
  taken: number;
  /** Bits of the word taken last that are left, the next one lowest, and how many. */
  bits: number;
  count: number;
}

export function createBitSource(key: RandomKey, step: number): BitSource {
  return { key, step, row: 0, attempt: 0, words: new Uint32Array(4), block: 0, taken: 4, bits: 0, count: 0 };
}

/** Goes to the bits of one attempt at one row. */
export function startRow(source: BitSource, row: number, attempt: number): void {
  source.row = row;
  source.attempt = attempt;
  source.block = 0;
  source.taken = 4;
  source.count = 0;
}

/** Uniform integer in 0 .. n - 1, 1 <= n <= 2^30: ceil(log2 n) bits, drawn again while they say n or more. */
export function choose(source: BitSource, n: number): number {
  if (n === 1) return 0;
  const width = 32 - Math.clz32(n - 1);
  for (;;) {
    if (source.count < width) refill(source);
    const { bits } = source;
    source.bits = bits >>> width;
    source.count -= width;
    const value = bits & ((1 << width) - 1);
    if (value < n) return value;
  }
}

/** Takes the next whole word; the few bits that were too few are dropped. */
function refill(source: BitSource): void {
  if (source.taken === 4) {
    const { key, step, row, attempt, words } = source;
    philox(source.block, row, step, attempt, key.k0, key.k1, words);
    source.block++;
    source.taken = 0;
  }
  source.bits = source.words[source.taken]! | 0; // a signed word is a small integer, an unsigned one may be a float
  source.taken++;
  source.count = 32;
}
