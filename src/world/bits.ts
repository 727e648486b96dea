import { philox, type RandomKey } from "../random/index.js";

/**
 * Fair choices from few random bits, for the hot path: one Philox block makes about a hundred choices between two rules.
 * The bits of a row are addressed by (key, step, row, attempt) and used from the first on, whatever other rows do.
 */
export interface BitSource {
  readonly words: Uint32Array;
  /** Row's address and what is left of its bits: see the indices below. All mutable state is here. */
  readonly state: Int32Array;
}

const KEY_0 = 0;
const KEY_1 = 1;
const STEP = 2;
const ROW = 3;
const ATTEMPT = 4;
/** Next block of the row. */
const BLOCK = 5;
/** Words of the current block already taken. */
const TAKEN = 6;
/** Bits at hand, and how many. */
const BITS = 7;
const COUNT = 8;

export function createBitSource(key: RandomKey, step: number): BitSource {
  const state = new Int32Array(9);
  state[KEY_0] = key.k0;
  state[KEY_1] = key.k1;
  state[STEP] = step;
  return { words: new Uint32Array(4), state };
}

/** Goes to the bits of one attempt at one row. */
export function startRow({ state }: BitSource, row: number, attempt: number): void {
  state[ROW] = row;
  state[ATTEMPT] = attempt;
  state[BLOCK] = 0;
  state[TAKEN] = 4;
  state[COUNT] = 0;
}

/** Uniform integer in 0 .. n - 1, 1 <= n <= 2^30: ceil(log2 n) bits, drawn again while they say n or more. */
export function choose(source: BitSource, n: number): number {
  if (n === 1) return 0;
  const { state } = source;
  const width = 32 - Math.clz32(n - 1);
  for (;;) {
    if (state[COUNT]! < width) refill(source);
    const bits = state[BITS]!;
    const value = bits & ((1 << width) - 1);
    state[BITS] = bits >>> width;
    state[COUNT] = state[COUNT]! - width;
    if (value < n) return value;
  }
}

/** Takes the next whole word; the few bits that were too few are dropped. */
function refill({ words, state }: BitSource): void {
  let taken = state[TAKEN]!;
  if (taken === 4) {
    const block = state[BLOCK]!;
    philox(block, state[ROW]!, state[STEP]!, state[ATTEMPT]!, state[KEY_0]!, state[KEY_1]!, words);
    state[BLOCK] = block + 1;
    taken = 0;
  }
  state[BITS] = words[taken]!;
  state[TAKEN] = taken + 1;
  state[COUNT] = 32;
}
