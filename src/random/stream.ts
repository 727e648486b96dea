import { checkBound, rejectionThreshold } from "./draws.js";
import type { RandomKey } from "./key.js";
import { multiplyHigh, philox } from "./philox.js";

/** Random numbers one after another, for loops that do not know how many they need. All state is in the object. */
export interface RandomStream {
  nextUint32(): number;
  /** Uniform on [0, 1), 32 random bits. */
  uniform(): number;
  /** Uniform integer in 0 .. bound - 1, without modulo bias; 1 <= bound <= 2^32. */
  integer(bound: number): number;
}

/** The stream of (key, step): its i-th word is the one that `uniform(key, step, i)` uses. */
export function createStream(key: RandomKey, step: number): RandomStream {
  const words = new Uint32Array(4);
  const stepHigh = Math.floor(step / 2 ** 32);
  let used = 4;
  let next = 0;
  const nextUint32 = (): number => {
    if (used === 4) {
      philox(next, Math.floor(next / 2 ** 32), step, stepHigh, key.k0, key.k1, words);
      next += 1;
      used = 0;
    }
    return words[used++]!;
  };
  return {
    nextUint32,
    uniform: () => nextUint32() * 2 ** -32,
    integer(bound) {
      checkBound(bound);
      if (bound === 2 ** 32) return nextUint32();
      const threshold = rejectionThreshold(bound);
      for (;;) {
        const word = nextUint32();
        if (Math.imul(word, bound) >>> 0 >= threshold) return multiplyHigh(word, bound);
      }
    },
  };
}

/** A uniform permutation of 0 .. n - 1 at (key, step): Fisher and Yates's shuffle. [n] */
export function permutation(key: RandomKey, step: number, n: number): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  const stream = createStream(key, step);
  for (let i = n - 1; i > 0; i--) {
    const j = stream.integer(i + 1);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}
