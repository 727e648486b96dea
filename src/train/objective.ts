import { type GptConfig, gptForward, type Parameters } from "../model/index.js";
import { mul, sum, type Tensor, tokenNll, weightedMean } from "../tensor/index.js";

/** Token sequences with what to predict at each position and whether it counts. */
export interface Sequences {
  /** int32 [batch, time] */
  readonly tokens: Tensor;
  /** The token after each; int32 [batch, time] */
  readonly targets: Tensor;
  /** 1 where the target is scored, 0 elsewhere. [batch, time] */
  readonly weights: Tensor;
}

/** A model as an objective sees it: how unlikely it finds a sequence's scored tokens. */
export interface Scorer {
  /** Negative log-likelihood of every target, in nats. [batch, time] */
  tokenNll(sequences: Sequences): Tensor;
  /** Summed over the scored tokens of each sequence, l(y) of the paper, in nats. [batch] */
  nll(sequences: Sequences): Tensor;
}

export interface ObjectiveInput {
  readonly policy: Scorer;
  /** Prompts with the answer to be learned. */
  readonly preferred: Sequences;
}

/** What training minimises: a loss in nats, 0-d. */
export interface Objective {
  readonly name: string;
  loss(input: ObjectiveInput): Tensor;
}

/** The scorer of a GPT. */
export function gptScorer(config: GptConfig, parameters: Parameters, pad: number): Scorer {
  const perToken = ({ tokens, targets }: Sequences) =>
    tokenNll(gptForward(config, parameters, { tokens, pad }).logits, targets);
  return {
    tokenNll: perToken,
    nll: (sequences) => sum(mul(perToken(sequences), sequences.weights), { axis: -1 }),
  };
}

/** Mean negative log-likelihood of the scored targets of the whole batch, in nats: PyTorch's cross_entropy with ignored positions. */
export function crossEntropy(scorer: Scorer, sequences: Sequences): Tensor {
  return weightedMean(scorer.tokenNll(sequences), sequences.weights);
}
