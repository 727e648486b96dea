import type { Samples } from "../world/index.js";

/** Some rows of `samples`, in the given order. */
export function selectRows(samples: Samples, rows: readonly number[]): Samples {
  const tokens = new Int32Array(rows.length * samples.time);
  for (const [i, row] of rows.entries())
    tokens.set(samples.tokens.subarray(row * samples.time, (row + 1) * samples.time), i * samples.time);
  return {
    count: rows.length,
    time: samples.time,
    branchNames: samples.branchNames,
    tokens,
    textLength: Int32Array.from(rows, (row) => samples.textLength[row]!),
    answerStart: Int32Array.from(rows, (row) => samples.answerStart[row]!),
    grammar: Uint8Array.from(rows, (row) => samples.grammar[row]!),
    branch: Uint8Array.from(rows, (row) => samples.branch[row]!),
    label: Uint8Array.from(rows, (row) => samples.label[row]!),
  };
}

/**
 * The prefix attack: the first `strength` tokens of the true output belong to the prompt, and the model is to write the rest. As samples: their answer begins
 * later and is shorter, so decoding and judging need to know nothing of the attack. Rows whose output has no more than `strength` tokens
 * are left out: of those nothing would be left to write.
 */
export function forcedPrefix(samples: Samples, strength: number): Samples {
  const rows = Array.from({ length: samples.count }, (_, row) => row);
  const kept = selectRows(
    samples,
    rows.filter((row) => samples.textLength[row]! > strength),
  );
  return {
    ...kept,
    textLength: kept.textLength.map((length) => length - strength),
    answerStart: kept.answerStart.map((start) => start + strength),
  };
}
