/** What text that belongs to no single branch is filed under: cut over nodes of two branches, or expanded from the root. */
export const MIXED = "mixed";
export const ROOT = "root";

/** What the safety rule says of a sample. `none`: the rule is silent (pretraining text, jailbreaks that mix safe and unsafe tokens). */
export const LABELS = ["none", "safe", "unsafe"] as const;
export type Label = (typeof LABELS)[number];

/** The sets that safety tuning is tested on, by their names in every result. */
export const TEST_SETS = [
  "safe",
  "unsafe",
  "jb-co-task",
  "jb-co-text",
  "jb-misgen-task",
  "jb-misgen-function",
  "jb-misgen-text",
  "jb-misgen-both",
] as const;
export type TestSet = (typeof TEST_SETS)[number];

/**
 * Samples as a structure of typed arrays: no object per sample, so that generation and training touch no garbage collector.
 *
 * One row of `tokens` is `BOS t_i t_j SOT text EOT output EOS`, padded with PAD to `time` tokens. With a world whose layout
 * is `aligned`, the text itself is padded so that EOT stands at one fixed index; otherwise padding is only at the end.
 * `answerStart` is the index of the first output token; position k of the paper (the one that predicts it) is `answerStart - 1`.
 * The output has `textLength` tokens, then EOS.
 */
export interface Samples {
  readonly count: number;
  /** Tokens per row. */
  readonly time: number;
  /** [count, time], the true output f_j(f_i(text)) in the answer's place. */
  readonly tokens: Int32Array;
  /** [count] */
  readonly textLength: Int32Array;
  /** [count], index of the first output token. */
  readonly answerStart: Int32Array;
  /** [count], index into the world's grammars. */
  readonly grammar: Uint8Array;
  /** [count], index into `branchNames`. */
  readonly branch: Uint8Array;
  /** The world's branches in their order, then `mixed` and `root`. */
  readonly branchNames: readonly string[];
  /** [count], index into LABELS. */
  readonly label: Uint8Array;
}

/** A copy of `samples` with the refusal in the answer's place: every output token is NULL, EOS stays. */
export function withNullAnswer(samples: Samples, nullToken: number): Samples {
  const tokens = samples.tokens.slice();
  for (let row = 0; row < samples.count; row++) {
    const start = row * samples.time + samples.answerStart[row]!;
    tokens.fill(nullToken, start, start + samples.textLength[row]!);
  }
  return { ...samples, tokens };
}
