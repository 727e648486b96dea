import { type RandomKey, randomKey } from "../random/index.js";
import type { Samples, World } from "../world/index.js";

/** Prompts and true outputs of a batch, as attacks' programs take them. */
export interface PromptBatch {
  /** `BOS t_i t_j SOT text EOT`, padded. int32 [batch, promptTime] */
  readonly tokens: Int32Array;
  /** Index of EOT. [batch] */
  readonly lastIndex: Int32Array;
  /** The true output, padded; no EOS. int32 [batch, maxText] */
  readonly answers: Int32Array;
  /** 1 / length at each token of the output, 0 behind it: a sample's loss is its own mean. [batch, maxText] */
  readonly weights: Float32Array;
}

/** Tokens of the longest prompt of a world: BOS t_i t_j SOT text EOT. */
export function promptTime({ maxText }: Pick<World, "maxText">): number {
  return 5 + maxText;
}

/** The rows' prompts and answers. Shapes depend on the world and the number of rows alone. */
export function promptBatch(world: World, samples: Samples, rows: Int32Array): PromptBatch {
  const { pad } = world.vocabulary;
  const [time, most] = [promptTime(world), world.maxText];
  const tokens = new Int32Array(rows.length * time).fill(pad);
  const answers = new Int32Array(rows.length * most).fill(pad);
  const weights = new Float32Array(rows.length * most);
  for (const [i, row] of rows.entries()) {
    const from = row * samples.time;
    const start = from + samples.answerStart[row]!;
    const length = samples.textLength[row]!;
    tokens.set(samples.tokens.subarray(from, start), i * time);
    answers.set(samples.tokens.subarray(start, start + length), i * most);
    weights.fill(1 / length, i * most, i * most + length);
  }
  return { tokens, lastIndex: rows.map((row) => samples.answerStart[row]! - 1), answers, weights };
}

/**
 * The random stream of one sample: keyed by the seed, the purpose and the prompt itself, so that neither a sample's place in its set nor its
 * batch changes what happens to it.
 */
export function promptKey(seed: number, purpose: string, samples: Samples, row: number): RandomKey {
  const from = row * samples.time;
  return randomKey(seed, `${purpose}\u0000${samples.tokens.subarray(from, from + samples.answerStart[row]!).join()}`);
}
