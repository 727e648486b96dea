import { readdir } from "node:fs/promises";
import { UserError } from "../errors.js";
import { type DecoderConfig, outerNames } from "../model/index.js";
import { type Engine, type FloatDType, sizeOf } from "../tensor/index.js";
import { readTensors, writeTensors } from "./activations/chunkFiles.js";
import { auditMemory, blockSeconds } from "./activations/memory.js";
import { type AuditModel, allocateFloats, blockBuffers, type Floats } from "./activations/model.js";
import { forwardProgram, logitsProgram, nextTokenProgram } from "./activations/programs.js";
import { type ChunkLayout, chunksOf, type PromptChunk } from "./activations/promptChunks.js";
import { embedded, run, tableRows } from "./activations/streamStages.js";

export interface GenerateOptions {
  readonly model: AuditModel;
  /** Token ids of each prompt. */
  readonly prompts: readonly ArrayLike<number>[];
  /** Most tokens of an answer. */
  readonly tokens: number;
  /** Tokens that end an answer; they do not belong to it. */
  readonly endIds: ReadonlySet<number>;
  readonly engine: Engine;
  readonly dtype?: FloatDType;
  /** Tokens of prompts that go through a block together, padding included. */
  readonly tokensAtATime?: number;
  /** Where what entered each block waits for the next token. */
  readonly states?: StateStore;
  readonly signal?: AbortSignal;
  /** Called after each block of each token: tokens done, tokens in all. */
  readonly progress?: (step: number, total: number, note: string) => void;
}

/** Holds what entered a block, by block, chunk and token. */
export interface StateStore {
  put(key: string, states: Floats): Promise<void>;
  get(key: string): Promise<Floats>;
}

/** In memory: blocks x tokens x width numbers. */
export function memoryStates(): StateStore {
  const kept = new Map<string, Floats>();
  return {
    put: async (key, states) => void kept.set(key, states.slice() as Floats),
    get: async (key) => kept.get(key)!,
  };
}

/** As files in a folder, so that memory does not grow with prompts and blocks. @param earlier folders that hold what was put before. */
export function folderStates(folder: string, earlier: readonly string[] = []): StateStore {
  const file = (key: string) => `${key}.safetensors`;
  let places: ReadonlyMap<string, string> | undefined;
  const earlierPlaces = async () => {
    const found = new Map<string, string>();
    for (const one of earlier) for (const name of await readdir(one)) found.set(name, one);
    return found;
  };
  return {
    put: (key, data) => writeTensors(folder, key, { states: { shape: [data.length], data } }),
    async get(key) {
      places ??= await earlierPlaces();
      return (await readTensors(places.get(file(key)) ?? folder, key)).states!.data as Floats;
    },
  };
}

/** The same model with all its parameters in memory after their first reading: for models that fit, since every token needs all of them. */
export function heldInMemory(model: AuditModel, dtype: FloatDType): AuditModel {
  const kept = new Map<string, Floats>();
  return {
    ...model,
    async fill(name, target, from = 0) {
      const shape = model.shapes.get(name)!;
      const held = kept.get(name) ?? allocateFloats(dtype, sizeOf(shape));
      if (!kept.has(name)) {
        await model.fill(name, held);
        kept.set(name, held);
      }
      const start = from * sizeOf(shape.slice(1));
      target.set(held.subarray(start, start + target.length));
    },
  };
}

/** As the streamed activations have it: a chunk on its way takes memory in proportion. */
const TOKENS_AT_A_TIME = 512;
/** Numbers of the head in memory at a time. */
const HEAD_NUMBERS = 2 ** 24;

/** Tokens after each prompt, the same number for all: what is after the token that ends an answer is there too. */
export type Written = readonly (readonly number[])[];

/**
 * Greedy decoding: after each prompt the token of the largest logit, at most `tokens` of them, up to a token that ends the answer. Prompts of nearly one length
 * go together, padded on the left; all of them pass one block before the next is read, once for the prompts and once for each further token, whose keys
 * and values of the past are computed from what entered the block then.
 * Returns the ids of each answer, without the token that ended it. @throws UserError for a prompt that leaves no room in the model's context.
 */
export async function generate(options: GenerateOptions): Promise<Int32Array[]> {
  const nothing = options.prompts.map(() => []);
  return answersOf(await writeOn(options, nothing, options.tokens), options.endIds);
}

/** What was written, up to the token that ends each answer and without it. */
export function answersOf(written: Written, endIds: ReadonlySet<number>): Int32Array[] {
  return written.map((ids) => {
    const end = ids.findIndex((id) => endIds.has(id));
    return Int32Array.from(end === -1 ? ids : ids.slice(0, end));
  });
}

/**
 * As `generate`, from what was `written` before, whose states are in `options.states`, until there are `until` tokens or all answers have ended: a long generation
 * can be cut into parts, and gives the same tokens.
 */
export async function writeOn(options: GenerateOptions, written: Written, until: number): Promise<number[][]> {
  const { model, prompts, tokens, endIds, engine, dtype = "float32", states = memoryStates() } = options;
  const { tokensAtATime = TOKENS_AT_A_TIME, signal, progress = () => {} } = options;
  const { config } = model;
  const { width, blocks } = config;
  requireRoom(options);
  const sequences = prompts.map((ids, row) => [...Array.from(ids), ...written[row]!]);
  const chunks = chunksOf(
    prompts.map((ids) => ({ set: "", tokens: ids })),
    tokensAtATime,
  );
  const buffers = blockBuffers(config, dtype);
  const key = (layer: number, chunk: number, step: number) => `block-${layer}-chunk-${chunk}-token-${step}`;
  const generated = (row: number) => sequences[row]!.slice(prompts[row]!.length);
  const ended = written.map((ids) => ids.some((id) => endIds.has(id)));

  for (let step = written[0]?.length ?? 0; step < until && !ended.every(Boolean); step++) {
    /** What enters the block at hand: all positions of the prompts, then one position for each token. */
    const hidden = await Promise.all(
      chunks.map((chunk) => entering(model, sequences, chunk, step === 0 ? chunk.time : 1, dtype)),
    );
    for (let layer = 1; layer <= blocks; layer++) {
      const parameters = await buffers.load(model, layer);
      for (const [index, chunk] of chunks.entries()) {
        signal?.throwIfAborted();
        const { batch } = chunk;
        const entered = hidden[index]!;
        if (tokens > 1) await states.put(key(layer, index, step), entered);
        if (step === 0) {
          const asked = layer === blocks ? { asked: 1 } : {};
          const shape = { batch, time: chunk.time, layer, dtype, ...asked };
          const { attend, positions } = layout(sequences, chunk, chunk.time);
          const executable = await engine.compile(forwardProgram(config, shape));
          hidden[index] = (await run(executable, { ...parameters, attend, positions, hiddenStates: entered }))
            .next as Floats;
        } else {
          // One length for every further token, so that one program serves them all: what is not yet there is padding.
          const time = chunk.time + tokens - 1;
          const { attend, positions } = layout(sequences, chunk, time);
          const earlier = await Promise.all(Array.from({ length: step }, (_, s) => states.get(key(layer, index, s))));
          const past = alignRight(earlier, batch, time - 1, width, dtype);
          const executable = await engine.compile(nextTokenProgram(config, { batch, time, layer, dtype }));
          hidden[index] = (await run(executable, { ...parameters, attend, positions, past, hiddenStates: entered }))
            .next as Floats;
        }
      }
      progress(step, tokens, `block ${layer} of ${blocks}`);
    }
    const last = allocateFloats(dtype, prompts.length * width);
    for (const [index, { rows }] of chunks.entries())
      for (const [i, row] of rows.entries()) last.set(hidden[index]!.subarray(i * width, (i + 1) * width), row * width); // [batch, 1, width]
    const next = await largestLogits(model, engine, last, prompts.length, dtype);
    for (const [row, token] of next.entries()) {
      sequences[row]!.push(token);
      if (endIds.has(token)) ended[row] = true;
    }
    progress(step + 1, tokens, `${ended.filter(Boolean).length} of ${prompts.length} answers ended`);
  }
  return prompts.map((_, row) => generated(row));
}

/** @throws UserError for a prompt that is empty, holds a token that the model does not have, or leaves no room in the model's context. */
function requireRoom({ model, prompts, tokens }: GenerateOptions): void {
  const { context, vocabulary } = model.config;
  for (const [index, ids] of prompts.entries()) {
    if (ids.length === 0) throw new UserError(`Prompt ${index + 1} has no token.`);
    if (ids.length + tokens > context)
      throw new UserError(
        `Prompt ${index + 1} has ${ids.length} tokens; with ${tokens} more it does not fit into a model made for ${context}; shorten it.`,
      );
    if (Array.prototype.some.call(ids, (id: number) => !(Number.isInteger(id) && id >= 0 && id < vocabulary)))
      throw new UserError(`Prompt ${index + 1} holds a token that the model does not have; is this its own tokenizer?`);
  }
}

/** What generating takes, before it starts. */
export interface GenerationCost {
  /** Peak memory, in bytes. */
  readonly peak: number;
  /** On disk: what entered each block, for every prompt and token. */
  readonly disk: number;
  /** Of the prompts' pass through all blocks. */
  readonly promptSeconds: number;
  /** Of each further token. */
  readonly tokenSeconds: number;
}

/**
 * Memory as for the streamed activations (`auditMemory`) with the answers' tokens added to the prompts', and the states of all prompts between two blocks; `held`: the whole model, where it is
 * held in memory. Time: the prompts once through every block, then for each token the weights read again and about a quarter of the products.
 */
export function generationCost(
  config: DecoderConfig,
  prompts: readonly ArrayLike<number>[],
  { tokens, dtype, held = 0 }: { readonly tokens: number; readonly dtype: FloatDType; readonly held?: number },
): GenerationCost {
  const chunks = chunksOf(
    prompts.map((ids) => ({ set: "", tokens: ids })),
    TOKENS_AT_A_TIME,
  );
  const longer = chunks.map((chunk) => ({ ...chunk, time: chunk.time + tokens - 1 }));
  const { peak, disk } = auditMemory(config, { chunks: longer }, { dtype, models: 1, sensitivity: false });
  const states =
    chunks.reduce((sum, { batch, time }) => sum + batch * time, 0) * config.width * (dtype === "float64" ? 8 : 4);
  const [first, next] = [blockSeconds(config, { chunks }, 1), blockSeconds(config, { chunks: longer }, 0.25)];
  return { peak: peak + states + held, disk, promptSeconds: config.blocks * first, tokenSeconds: config.blocks * next };
}

/** Rows of a chunk with padding on the left. [batch, time] each */
function layout(sequences: readonly (readonly number[])[], { rows, batch }: PromptChunk, time: number): ChunkLayout {
  const [tokens, attend, positions] = [0, 1, 2].map(() => new Int32Array(batch * time)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  for (const [i, row] of rows.entries()) {
    const ids = sequences[row]!;
    const start = (i + 1) * time - ids.length;
    for (const [at, id] of ids.entries()) {
      tokens[start + at] = id;
      attend[start + at] = 1;
      positions[start + at] = at;
    }
  }
  return { tokens, attend, positions };
}

/** Embeddings of the last `count` positions of a chunk. [batch, count, width] */
async function entering(
  model: AuditModel,
  sequences: readonly (readonly number[])[],
  chunk: PromptChunk,
  count: number,
  dtype: FloatDType,
): Promise<Floats> {
  const longest = Math.max(count, ...chunk.rows.map((row) => sequences[row]!.length));
  const whole = layout(sequences, chunk, longest);
  const end = (values: Int32Array) =>
    Int32Array.from({ length: chunk.batch * count }, (_, at) => {
      const row = Math.floor(at / count);
      return values[(row + 1) * longest - count + (at % count)]!;
    });
  const { tokens, attend, positions } = {
    tokens: end(whole.tokens),
    attend: end(whole.attend),
    positions: end(whole.positions),
  };
  const rows = await tableRows(model, outerNames(model.config).embedding, tokens, dtype);
  return await embedded(model, { tokens, attend, positions }, rows, dtype);
}

/** States of the prompt and of the tokens after it, one after another and padded on the left. each [batch, its time, width] -> [batch, time, width] */
function alignRight(parts: readonly Floats[], batch: number, time: number, width: number, dtype: FloatDType): Floats {
  const joined = allocateFloats(dtype, batch * time * width);
  const total = parts.reduce((sum, part) => sum + part.length / (batch * width), 0);
  for (let row = 0; row < batch; row++) {
    let at = (row * time + time - total) * width;
    for (const part of parts) {
      const size = part.length / batch;
      joined.set(part.subarray(row * size, (row + 1) * size), at);
      at += size;
    }
  }
  return joined;
}

/** The token of the largest logit of each stream; the head is read in pieces. streams [count, width] -> [count] */
async function largestLogits(
  model: AuditModel,
  engine: Engine,
  streams: Floats,
  count: number,
  dtype: FloatDType,
): Promise<Int32Array> {
  const { config } = model;
  const { width, vocabulary } = config;
  const names = outerNames(config);
  const norm: Record<string, Floats> = {};
  for (const name of [names.finalNorm, ...(names.finalNormBias === undefined ? [] : [names.finalNormBias])]) {
    norm[name] = allocateFloats(dtype, width);
    await model.fill(name, norm[name]);
  }
  const largest = new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
  const token = new Int32Array(count);
  const rowsAtATime = Math.min(vocabulary, Math.max(1, Math.floor(HEAD_NUMBERS / width)));
  const piece = allocateFloats(dtype, rowsAtATime * width);
  for (let row = 0; row < vocabulary; row += rowsAtATime) {
    const rows = Math.min(rowsAtATime, vocabulary - row);
    const head = piece.subarray(0, rows * width) as Floats;
    await model.fill(names.head, head, row);
    const found = await run(await engine.compile(logitsProgram(config, count, rows, dtype)), {
      ...norm,
      streams,
      head,
    });
    for (let i = 0; i < count; i++)
      if (Number(found.largest[i]) > largest[i]!) {
        largest[i] = Number(found.largest[i]);
        token[i] = row + Number(found.index[i]);
      }
  }
  return token;
}
