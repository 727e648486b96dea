import { z } from "zod";
import { div, mean, minimum, mul, sum, type Tensor } from "../tensor/index.js";
import { crossEntropy, type Scorer, type Sequences } from "./objective.js";

/**
 * What an objective takes for l(y), the negative log-likelihood of an answer. `sum`: over its scored tokens, as the paper defines it.
 * `mean`: that divided by their number. EOS is scored with every answer, as TRL does it, so an answer of n tokens counts n + 1.
 */
export const LIKELIHOODS = ["sum", "mean"] as const;
export type Likelihood = (typeof LIKELIHOODS)[number];

/** Option of every objective that compares answers. */
export const likelihoodOption = z.enum(LIKELIHOODS).default("sum");

/** Option of every objective that makes the rejected answer less likely: the most that one of its tokens counts, in nats. Absent: no cap. */
export const rejectedCapOption = z.number().gt(0).max(1e6).optional();

/** A weight in a loss. */
export const weightOption = z.number().min(0).max(1e6);

export interface AnswerOptions {
  readonly likelihood: Likelihood;
  /** No token counts more than this many nats, and one that would has no gradient. */
  readonly cap?: number | undefined;
}

/** Negative log-likelihood of every token, at most `cap`; beyond it the gradient is zero. [batch, scored] */
function cappedNll(scorer: Scorer, sequences: Sequences, cap: number | undefined): Tensor {
  const nll = scorer.tokenNll(sequences);
  return cap === undefined ? nll : minimum(nll, cap);
}

/** l(y) of each answer, summed or per token, in nats. [batch] */
export function answerNll(scorer: Scorer, sequences: Sequences, { likelihood, cap }: AnswerOptions): Tensor {
  const { weights } = sequences;
  const summed = sum(mul(cappedNll(scorer, sequences, cap), weights), { axis: -1 });
  return likelihood === "sum" ? summed : div(summed, sum(weights, { axis: -1 }));
}

/**
 * l(y) over the whole batch, in nats, 0-d. `sum`: the mean over answers of their summed likelihoods. `mean`: over all scored tokens, that is
 * over answers weighted by their lengths, which is PyTorch's cross_entropy.
 */
export function batchNll(scorer: Scorer, sequences: Sequences, { likelihood, cap }: AnswerOptions): Tensor {
  if (likelihood === "sum") return mean(answerNll(scorer, sequences, { likelihood, cap }));
  if (cap === undefined) return crossEntropy(scorer, sequences);
  return crossEntropy({ ...scorer, tokenNll: (one) => cappedNll(scorer, one, cap) }, sequences);
}
