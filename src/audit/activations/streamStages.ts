import { UserError } from "../../errors.js";
import { outerNames } from "../../model/index.js";
import type { JsonValue } from "../../study/canonicalJson.js";
import type { EngineSource } from "../../study/engines.js";
import type { Stage, StageContext } from "../../study/stage.js";
import type { Executable, FloatDType, Program, TensorData } from "../../tensor/index.js";
import { type KeptActivations, readChunk, readTensors, writeChunk, writeKept } from "./chunkFiles.js";
import { auditMemory, blockSeconds } from "./memory.js";
import { type AuditModel, allocateFloats, type BlockBuffers, type Floats } from "./model.js";
import { forwardProgram, nextTokenProgram } from "./programs.js";
import { type ChunkLayout, layoutOf, type PromptChunk, type PromptChunks } from "./promptChunks.js";

/** What all stages of one audit's streams share. */
export interface Streams {
  readonly prompts: PromptChunks;
  readonly dtype: FloatDType;
  readonly buffers: BlockBuffers;
  readonly engine: EngineSource;
  /** For plans: how many models go through, and whether backward too. */
  readonly models: number;
  readonly sensitivity: boolean;
}

/** A model's prompts on their way: the stage that leads to a block's input, and those that kept something. */
export const streamConfig = ({ prompts, dtype }: Streams, model: AuditModel, layer?: number): JsonValue => ({
  model: model.identity,
  prompts: prompts.sha256,
  chunks: prompts.chunks.map(({ rows, batch, time }) => [rows.length, batch, time]),
  dtype,
  ...(layer !== undefined && { layer }),
});

/** "Llama-2-7b-chat", "Llama-2-7b-chat alpha 1.5". */
export const modelTitle = ({ name, alpha }: AuditModel) => (alpha === undefined ? name : `${name} alpha ${alpha}`);

export function streamEstimate(streams: Streams, model: AuditModel, passes: number) {
  const { dtype, models, sensitivity, prompts } = streams;
  return {
    steps: prompts.chunks.length,
    estimateSeconds: blockSeconds(model.config, prompts, passes),
    estimateBytes: auditMemory(model.config, prompts, { dtype, models, sensitivity }).peak,
  };
}

/** What enters the first block: token embeddings, and positions where they are a learned table. */
export function embedStage(streams: Streams, model: AuditModel): Stage {
  const { prompts, dtype } = streams;
  return {
    kind: "audit-embed",
    name: `embed ${modelTitle(model)}`,
    version: 1,
    config: streamConfig(streams, model),
    inputs: [],
    ...streamEstimate(streams, model, 0),
    run: async (context) => {
      const { width } = model.config;
      const ids = prompts.prompts.flatMap(({ tokens }) => Array.from(tokens));
      const rows = await tableRows(model, outerNames(model.config).embedding, ids, dtype);
      for (const [index, chunk] of prompts.chunks.entries()) {
        context.signal.throwIfAborted();
        const layout = layoutOf(prompts, chunk);
        const hidden = await embedded(model, layout, rows, dtype);
        await writeChunk(context.folder, "hidden", index, [chunk.batch, chunk.time, width], hidden);
        context.progress(index + 1, prompts.chunks.length);
      }
    },
  };
}

/** Rows of a table, each read once. */
export async function tableRows(model: AuditModel, table: string, ids: Iterable<number>, dtype: FloatDType) {
  const rows = new Map<number, Floats>();
  for (const id of [...new Set(ids)].sort((a, b) => a - b)) {
    const row = allocateFloats(dtype, model.config.width);
    await model.fill(table, row, id);
    rows.set(id, row);
  }
  return rows;
}

/** Zeros at padding. [batch, time, width] */
export async function embedded(
  model: AuditModel,
  { tokens, attend, positions }: ChunkLayout,
  rows: ReadonlyMap<number, Floats>,
  dtype: FloatDType,
): Promise<Floats> {
  const { width } = model.config;
  const table = outerNames(model.config).positions;
  const places = table === undefined ? undefined : await tableRows(model, table, positions, dtype);
  const hidden = allocateFloats(dtype, tokens.length * width);
  for (let at = 0; at < tokens.length; at++) {
    if (attend[at] === 0) continue;
    const place = places?.get(positions[at]!);
    const row = rows.get(tokens[at]!)!;
    for (let i = 0; i < width; i++) hidden[at * width + i] = row[i]! + (place?.[i] ?? 0);
  }
  return hidden;
}

/**
 * All prompts through one block. Keeps what leaves it, for the next block and the way back, and activations at the last prompt token. Of the last block only
 * that token is computed. @param before the stage of the block before, or `embedStage`'s. @param layer counts from 1.
 */
export function forwardStage(streams: Streams, model: AuditModel, layer: number, before: Stage): Stage {
  const { dtype, prompts } = streams;
  const { config } = model;
  const last = layer === config.blocks;
  return {
    kind: "audit-forward",
    name: `forward ${modelTitle(model)} block ${layer}`,
    version: 1,
    config: streamConfig(streams, model, layer),
    inputs: [before],
    ...streamEstimate(streams, model, 1),
    run: async (context) => {
      const parameters = await streams.buffers.load(model, layer);
      const kept = emptyKept(streams, model);
      const asked = last ? 1 : undefined;
      const programOf = ({ batch, time }: PromptChunk) =>
        forwardProgram(config, { batch, time, layer, dtype, ...(asked !== undefined && { asked }) });
      await overChunks(streams, context, programOf, async (chunk, index, executable) => {
        const { batch, time } = chunk;
        const { attend, positions } = layoutOf(prompts, chunk);
        const hiddenStates = await readChunk(context.input(before), "hidden", index);
        const out = await run(executable, { ...parameters, attend, positions, hiddenStates });
        keep(kept, out, chunk, prompts.prompts.length);
        if (!last) await writeChunk(context.folder, "hidden", index, [batch, time, config.width], out.next as Floats);
      });
      requireFinite(kept, model, layer);
      await writeKept(context.folder, kept, prompts.prompts.length);
    },
  };
}

/**
 * The first generated token through one block: its states alone, with the prompts' keys and values computed from what entered the block.
 * @param entering the stage whose chunks enter this block. @param before the block before for this token; the head's stage for the first.
 */
export function nextTokenStage(
  streams: Streams,
  model: AuditModel,
  layer: number,
  { entering, head, before }: { readonly entering: Stage; readonly head: Stage; readonly before: Stage | undefined },
): Stage {
  const { dtype, prompts } = streams;
  const { config } = model;
  return {
    kind: "audit-next-token",
    name: `first generated token ${modelTitle(model)} block ${layer}`,
    version: 1,
    config: streamConfig(streams, model, layer),
    inputs: before === undefined ? [entering, head] : [entering, head, before],
    ...streamEstimate(streams, model, 0.2),
    run: async (context) => {
      const next = (await readTensors(context.input(head), "head")).token!.data as Int32Array;
      const parameters = await streams.buffers.load(model, layer);
      const kept = emptyKept(streams, model);
      const streamBefore =
        before === undefined
          ? await firstStates(streams, model, next)
          : ((await readTensors(context.input(before), "activations")).stream!.data as Floats);
      const programOf = ({ batch, time }: PromptChunk) =>
        nextTokenProgram(config, { batch, time: time + 1, layer, dtype });
      await overChunks(streams, context, programOf, async (chunk, index, executable) => {
        const { batch } = chunk;
        const { attend, positions } = layoutOf(prompts, chunk, next);
        const past = await readChunk(context.input(entering), "hidden", index);
        const hiddenStates = allocateFloats(dtype, batch * config.width);
        for (const [i, row] of chunk.rows.entries())
          hiddenStates.set(streamBefore.subarray(row * config.width, (row + 1) * config.width), i * config.width);
        keep(
          kept,
          await run(executable, { ...parameters, attend, positions, past, hiddenStates }),
          chunk,
          prompts.prompts.length,
        );
      });
      requireFinite(kept, model, layer);
      await writeKept(context.folder, kept, prompts.prompts.length);
    },
  };
}

/** What enters the first block for one token after each prompt. [prompts, width] */
async function firstStates({ prompts, dtype }: Streams, model: AuditModel, next: Int32Array): Promise<Floats> {
  const { width } = model.config;
  const rows = await tableRows(model, outerNames(model.config).embedding, next, dtype);
  const count = prompts.prompts.length;
  const layout = {
    tokens: next,
    attend: new Int32Array(count).fill(1),
    positions: Int32Array.from(prompts.prompts, ({ tokens }) => tokens.length),
  };
  const states = await embedded(model, layout, rows, dtype);
  return states.subarray(0, count * width) as Floats;
}

/** Runs `each` for one chunk after another, with progress; stops between two. The program of neighbours of one shape is compiled once. */
export async function overChunks<O extends string>(
  { prompts, engine }: Streams,
  context: StageContext,
  programOf: (chunk: PromptChunk) => Program<string, O>,
  each: (chunk: PromptChunk, index: number, executable: Executable<string, O>) => Promise<void>,
): Promise<void> {
  let compiled: { readonly chunk: PromptChunk; readonly executable: Executable<string, O> } | undefined;
  for (const [index, chunk] of prompts.chunks.entries()) {
    context.signal.throwIfAborted();
    if (compiled?.chunk.batch !== chunk.batch || compiled.chunk.time !== chunk.time)
      compiled = { chunk, executable: await (await engine()).compile(programOf(chunk)) };
    await each(chunk, index, compiled.executable);
    context.progress(index + 1, prompts.chunks.length, `prompts ${chunk.rows.length} of ${chunk.time} tokens`);
  }
}

/** Programs whose inputs are named by the model's parameters: the compiler cannot know them, the engine checks them. */
export async function run<O extends string>(
  executable: Executable<string, O>,
  feeds: Readonly<Record<string, TensorData>>,
): Promise<Record<O, TensorData>> {
  return executable.run(feeds);
}

function emptyKept({ prompts, dtype }: Streams, { config }: AuditModel): KeptActivations {
  const count = prompts.prompts.length;
  return {
    input: allocateFloats(dtype, count * config.width),
    activation: allocateFloats(dtype, count * config.mlp),
    stream: allocateFloats(dtype, count * config.width),
  };
}

/** @throws UserError where a number is NaN or infinite: every later block would be, and nothing can be said of such activations. */
function requireFinite(kept: KeptActivations, model: AuditModel, layer: number): void {
  for (const data of [kept.activation, kept.stream])
    if (!data.every(Number.isFinite))
      throw new UserError(
        `The activations of ${modelTitle(model)} in block ${layer} are not finite; "nullscope checkpoint inspect" tells whether its weights are.`,
      );
}

/** A chunk's rows into their places among all prompts. */
function keep(
  kept: KeptActivations,
  out: Readonly<Record<keyof KeptActivations, TensorData>>,
  { rows }: PromptChunk,
  count: number,
): void {
  for (const name of ["input", "activation", "stream"] as const) {
    const size = kept[name].length / count;
    const part = out[name] as Floats;
    for (const [i, row] of rows.entries()) kept[name].set(part.subarray(i * size, (i + 1) * size), row * size);
  }
}
