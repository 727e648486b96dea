import type { Samples } from "../world/index.js";

/**
 * Samples of several sets of one world one after the other: what is computed of each sample alone then fills its batches.
 * @throws RangeError when there is none, or rows differ in their number of tokens.
 */
export function joinSamples(parts: readonly Samples[]): Samples {
  const [first] = parts;
  if (first === undefined) throw new RangeError("no samples to join");
  const { time, branchNames } = first;
  if (parts.some((part) => part.time !== time)) throw new RangeError("samples of different worlds cannot be joined");
  const bytes = (of: (part: Samples) => Uint8Array) => Uint8Array.from(parts.flatMap((part) => [...of(part)]));
  const integers = (of: (part: Samples) => Int32Array) => Int32Array.from(parts.flatMap((part) => [...of(part)]));
  return {
    ...{ count: parts.reduce((total, part) => total + part.count, 0), time, branchNames },
    tokens: integers((part) => part.tokens),
    textLength: integers((part) => part.textLength),
    answerStart: integers((part) => part.answerStart),
    grammar: bytes((part) => part.grammar),
    branch: bytes((part) => part.branch),
    label: bytes((part) => part.label),
  };
}
