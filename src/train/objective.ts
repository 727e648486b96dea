import { type GptConfig, gptForward, type Parameters, sharedPrefixLogits } from "../model/index.js";
import { concat, mul, slice, sum, type Tensor, tokenNll, weightedMean } from "../tensor/index.js";

/** Token sequences with what to predict at each position and whether it counts. */
export interface Sequences {
  /** int32 [batch, time] */
  readonly tokens: Tensor;
  /** The positions that are scored, int32 [batch, scored]; absent: every one, and `scored` is `time`. */
  readonly positions?: Tensor;
  /** The token after each scored position; int32 [batch, scored] */
  readonly targets: Tensor;
  /** 1 where the target counts, 0 where a row has fewer than `scored`. [batch, scored] */
  readonly weights: Tensor;
  /**
   * Where the second half of the rows are the same prompts with other answers: how many leading tokens a row shares with its twin in the first
   * half, none of them scored. It changes no number; they are looked at once.
   */
  readonly sharedPrefix?: number;
}

/** A model as an objective sees it: how unlikely it finds a sequence's scored tokens. */
export interface Scorer {
  /** Negative log-likelihood of every target, in nats. [batch, scored] */
  tokenNll(sequences: Sequences): Tensor;
  /** Summed over the scored tokens of each sequence, l(y) of the paper, in nats. [batch] */
  nll(sequences: Sequences): Tensor;
}

/** What an objective may need beside the policy and the preferred answers. */
export type Need = "reference" | "rejected";

export interface ObjectiveInput {
  readonly policy: Scorer;
  /** Prompts with the answer to be learned, y_p. */
  readonly preferred: Sequences;
  /** The model before tuning, W_IT; no gradient flows into it. */
  readonly reference?: Scorer;
  /** The same prompts with the less preferred answer, y_l. */
  readonly rejected?: Sequences;
}

/** What a preference objective gives each answer, in nats; their difference is the margin. [batch] each */
export interface Rewards {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

/** What training minimises: a loss in nats, 0-d. */
export interface Objective {
  readonly name: string;
  readonly needs: readonly Need[];
  loss(input: ObjectiveInput): Tensor;
  /** For the log; no gradient is taken of it. */
  rewards?(input: ObjectiveInput): Rewards;
}

/**
 * The scorer of a GPT: the head, and the last block from its queries on, compute only what is scored. Given several copies of the parameters it
 * looks at the rows in as many chunks of about equal size, each through its own copy; the numbers are the same.
 */
export function gptScorer(config: GptConfig, copies: readonly Parameters[], pad: number): Scorer {
  const logitsOf = (parameters: Parameters, { tokens, positions, sharedPrefix: shared }: Rows) => {
    if (positions === undefined) return gptForward(config, parameters, { tokens, pad }).logits;
    const input = { tokens, pad, askedPositions: positions };
    return shared === undefined
      ? gptForward(config, parameters, input).logits
      : sharedPrefixLogits(config, parameters, { ...input, shared });
  };
  return scorerOf((sequences) => {
    const parts = copies.map((parameters, index) => {
      const rows = chunkOf(sequences, index, copies.length);
      return tokenNll(logitsOf(parameters, rows), rows.targets);
    });
    // A chunk of pairs holds first answers, then second ones; all the first go before all the second.
    const halves = sequences.sharedPrefix === undefined ? [parts] : [0, 1].map((half) => parts.map(halfOf(half)));
    return concat(halves.flat(), 0);
  });
}

type Rows = Omit<Sequences, "weights">;

const halfOf =
  (half: number) =>
  (x: Tensor): Tensor =>
    slice(x, 0, (half * x.shape[0]!) / 2, ((half + 1) * x.shape[0]!) / 2);

/** Chunk `index` of `count` of the rows, or of the pairs where rows share a prefix. */
function chunkOf({ tokens, positions, targets, sharedPrefix }: Rows, index: number, count: number): Rows {
  const cut = (x: Tensor) => {
    const bound = (at: number) => Math.round((at * x.shape[0]!) / count);
    return slice(x, 0, bound(index), bound(index + 1));
  };
  const part = (x: Tensor) =>
    count === 1 || sharedPrefix === undefined
      ? cut(x)
      : concat(
          [0, 1].map((half) => cut(halfOf(half)(x))),
          0,
        );
  return {
    tokens: part(tokens),
    targets: part(targets),
    ...(positions !== undefined && { positions: part(positions) }),
    ...(sharedPrefix !== undefined && { sharedPrefix }),
  };
}

/** A scorer from the negative log-likelihood of every target; the same sequences are looked at once, however often they are asked for. */
export function scorerOf(perToken: (sequences: Sequences) => Tensor): Scorer {
  const known = new Map<Sequences, Tensor>();
  const once = (sequences: Sequences) => {
    const found = known.get(sequences) ?? perToken(sequences);
    known.set(sequences, found);
    return found;
  };
  return { tokenNll: once, nll: (sequences) => sum(mul(once(sequences), sequences.weights), { axis: -1 }) };
}

/** Mean negative log-likelihood of the scored targets of the whole batch, in nats: PyTorch's cross_entropy with ignored positions. */
export function crossEntropy(scorer: Scorer, sequences: Sequences): Tensor {
  return weightedMean(scorer.tokenNll(sequences), sequences.weights);
}
