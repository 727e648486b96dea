import { createHash } from "node:crypto";
import { UserError } from "../../errors.js";
import type { DecoderConfig } from "../../model/index.js";

/** A prompt as token ids, in a set: `safe`, `unsafe`, or a variant's name. */
export interface AuditPrompt {
  readonly set: string;
  /** The whole prompt, chat template and all: the last token's position is the one that predicts the first generated token. */
  readonly tokens: ArrayLike<number>;
}

/** Prompts that go through a layer together, padded on the left to one length. */
export interface PromptChunk {
  /** Which prompts, by their place in the list. Fewer than `batch` in the last chunk of a length. */
  readonly rows: readonly number[];
  readonly batch: number;
  readonly time: number;
}

/** All prompts of an audit and how they are divided. */
export interface PromptChunks {
  readonly prompts: readonly AuditPrompt[];
  readonly chunks: readonly PromptChunk[];
  /** sha256 of the prompts' sets and tokens, in order. */
  readonly sha256: string;
  /** Tokens of all prompts. */
  readonly tokens: number;
}

/** Lengths are rounded up to a multiple of this, so that few programs are compiled. */
const ROUND = 8;
/** The fewest prompts of a class: half of them give its mean, the other half is measured. */
const FEWEST = 8;

/**
 * Divides prompts into chunks of at most `tokensAtATime` tokens, padding included, of prompts of nearly one length.
 * @throws UserError for an id beyond the vocabulary, an empty prompt, one beyond the context, and for too few safe or unsafe prompts.
 */
export function promptChunks(
  prompts: readonly AuditPrompt[],
  { vocabulary, context }: Pick<DecoderConfig, "vocabulary" | "context">,
  tokensAtATime: number,
): PromptChunks {
  const hash = createHash("sha256");
  let tokens = 0;
  for (const [index, { set, tokens: ids }] of prompts.entries()) {
    const where = `Prompt ${index + 1} (${set})`;
    if (ids.length === 0) throw new UserError(`${where} has no token.`);
    // One more for the first generated token.
    if (ids.length + 1 > context)
      throw new UserError(`${where} has ${ids.length} tokens, too many for a model made for ${context}; shorten it.`);
    for (let i = 0; i < ids.length; i++)
      if (!(Number.isInteger(ids[i]) && ids[i]! >= 0 && ids[i]! < vocabulary))
        throw new UserError(
          `${where} holds token ${ids[i]}, but the model has ${vocabulary} tokens; is this its own tokenizer?`,
        );
    tokens += ids.length;
    hash.update(`${JSON.stringify([set, Array.from(ids)])}\n`);
  }
  for (const set of ["safe", "unsafe"]) {
    const count = prompts.filter((one) => one.set === set).length;
    if (count < FEWEST)
      throw new UserError(`There are ${count} prompts in the set ${set}; at least ${FEWEST} are needed.`);
  }
  return { prompts, chunks: chunksOf(prompts, tokensAtATime), sha256: hash.digest("hex"), tokens };
}

/** Chunks of prompts of nearly one length, at most `tokensAtATime` tokens each, padding included. */
export function chunksOf(prompts: readonly AuditPrompt[], tokensAtATime: number): PromptChunk[] {
  const byTime = new Map<number, number[]>();
  for (const [row, { tokens }] of prompts.entries()) {
    const time = Math.ceil(tokens.length / ROUND) * ROUND;
    byTime.set(time, [...(byTime.get(time) ?? []), row]);
  }
  return [...byTime]
    .sort(([a], [b]) => a - b)
    .flatMap(([time, rows]) => {
      const batch = fullestBatch(rows.length, Math.max(1, Math.floor(tokensAtATime / time)));
      return Array.from({ length: Math.ceil(rows.length / batch) }, (_, index) => ({
        rows: rows.slice(index * batch, (index + 1) * batch),
        batch,
        time,
      }));
    });
}

/** How many of `count` rows to take at a time, at most `most` and more than half of it: the largest number that leaves the fewest places of the last batch empty. */
export function fullestBatch(count: number, most: number): number {
  if (count <= most) return count;
  const empty = (batch: number) => Math.ceil(count / batch) * batch - count;
  let best = most;
  for (let batch = most - 1; 2 * batch > most; batch--) if (empty(batch) < empty(best)) best = batch;
  return best;
}

/** Padding on the left: every prompt ends at the last position. */
export interface ChunkLayout {
  /** 0 at padding. [batch, time] */
  readonly tokens: Int32Array;
  /** 1 at tokens, 0 at padding. [batch, time] */
  readonly attend: Int32Array;
  /** From 0 in each prompt. [batch, time] */
  readonly positions: Int32Array;
}

/** @param next tokens that follow the prompts, one each, by their place in the list of all prompts. */
export function layoutOf(
  { prompts }: PromptChunks,
  { rows, batch, time }: PromptChunk,
  next?: Int32Array,
): ChunkLayout {
  const width = time + (next === undefined ? 0 : 1);
  const [tokens, attend, positions] = [0, 1, 2].map(() => new Int32Array(batch * width)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  for (const [i, row] of rows.entries()) {
    const ids = Array.from(prompts[row]!.tokens);
    if (next !== undefined) ids.push(next[row]!);
    const start = (i + 1) * width - ids.length;
    for (const [at, id] of ids.entries()) {
      tokens[start + at] = id;
      attend[start + at] = 1;
      positions[start + at] = at;
    }
  }
  return { tokens, attend, positions };
}
