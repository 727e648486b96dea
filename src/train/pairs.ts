import { slice, type Tensor } from "../tensor/index.js";
import { type Scorer, type Sequences, scorerOf } from "./objective.js";

/** Prompts with both their answers, as one batch of twice as many rows: the preferred ones first, in the same order the rejected ones. */
export interface AnswerPairs {
  /** [2 batch, ...] */
  readonly joined: Sequences;
  /** The first half. [batch, ...] */
  readonly preferred: Sequences;
  /** The second half. [batch, ...] */
  readonly rejected: Sequences;
}

/** Cuts a joined batch into its two halves. @throws RangeError when its rows are odd in number. */
export function answerPairs(joined: Sequences): AnswerPairs {
  const rows = joined.tokens.shape[0]!;
  if (rows % 2 !== 0) throw new RangeError(`a batch of pairs has an even number of rows, not ${rows}`);
  const half = (which: 0 | 1): Sequences => {
    const part = (x: Tensor) => slice(x, 0, (which * rows) / 2, ((which + 1) * rows) / 2);
    const { tokens, positions, targets, weights } = joined;
    return {
      tokens: part(tokens),
      targets: part(targets),
      weights: part(weights),
      ...(positions !== undefined && { positions: part(positions) }),
    };
  };
  return { joined, preferred: half(0), rejected: half(1) };
}

/** A scorer whose one pass over the joined rows gives both answers' likelihoods: one forward over 2 batch rows instead of two passes. */
export function pairScorer(scorer: Scorer, { joined, preferred, rejected }: AnswerPairs): Scorer {
  const rows = joined.tokens.shape[0]!;
  return scorerOf((sequences) => {
    if (sequences === preferred) return slice(scorer.tokenNll(joined), 0, 0, rows / 2);
    if (sequences === rejected) return slice(scorer.tokenNll(joined), 0, rows / 2, rows);
    return scorer.tokenNll(sequences);
  });
}
