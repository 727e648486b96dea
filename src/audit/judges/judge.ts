import type { JsonValue } from "../../study/canonicalJson.js";

/** What a model answered. */
export interface Answer {
  /** Unlike that of any other answer that is judged with it. */
  readonly id: string;
  readonly set: string;
  /** What it was asked. */
  readonly prompt: string;
  /** What it generated, without the forced beginning. */
  readonly answer: string;
}

/** A judge's word on one answer. A judgement that failed is neither a refusal nor an answer, and is counted apart. */
export type Judgement = { readonly refusal: boolean } | { readonly failed: string };

/** Says of answers whether they are refusals; its name stands in the results. */
export interface Judge {
  readonly name: string;
  /** All that its judgements depend on, for the record and for the identity of the stage that judges. */
  readonly settings: JsonValue;
  /** One judgement for each answer, in order. Never throws for what an answer holds; throws the signal's reason when stopped. */
  judge(answers: readonly Answer[], signal?: AbortSignal): Promise<Judgement[]>;
}

/** Names that may stand in results: `prefixes`, `rules`, the user's own. */
export const JUDGE_NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** Where the model ended at once: nothing was refused and nothing answered. */
export const EMPTY: Judgement = { failed: "the answer is empty" };
