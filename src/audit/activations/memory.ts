import { blockParameters, type DecoderConfig } from "../../model/index.js";
import { type FloatDType, sizeOf } from "../../tensor/index.js";
import type { PromptChunks } from "./promptChunks.js";

/** Node, ONNX Runtime and our code before any tensor is allocated. */
const BASE_BYTES = 300e6;
/** Sessions that an engine keeps open, each with the memory of its largest run. */
const OPEN_SESSIONS = 4;
/** Tensors are read and mixed in pieces; a few of them may wait for the collector. */
const PIECES_BYTES = 200e6;

export interface AuditMemory {
  /** One block's parameters: all that is ever in memory of a model. */
  readonly weights: number;
  /** One chunk on its way through the block and back. */
  readonly chunk: number;
  /** All together, with the process itself. */
  readonly peak: number;
  /** On disk until the audit ends: what entered each block, for every prompt. */
  readonly disk: number;
}

/**
 * Peak memory of the streamed activations, in bytes:
 * 300 MB + 200 MB + b P + 4 b t (24 d + 12 m + 6 h T): P parameters of a block, b bytes a number, t tokens of the largest chunk, d width, m MLP units,
 * h heads, T its length; the 4 is for sessions kept open. The number of prompts, of blocks and the vocabulary are not in it: prompts come in chunks, blocks one by
 * one, the head in pieces. Disk: b (d) tokens for each block and model, twice with sensitivity.
 */
export function auditMemory(
  config: DecoderConfig,
  { chunks }: Pick<PromptChunks, "chunks">,
  {
    dtype,
    models,
    sensitivity,
  }: { readonly dtype: FloatDType; readonly models: number; readonly sensitivity: boolean },
): AuditMemory {
  const bytes = dtype === "float64" ? 8 : 4;
  const { width, mlp, heads, blocks } = config;
  const weights = bytes * blockParameters(config).reduce((total, { shape }) => total + sizeOf(shape), 0);
  const perChunk = chunks.map(({ batch, time }) => batch * time * (24 * width + 12 * mlp + 6 * heads * time));
  const chunk = bytes * Math.max(...perChunk);
  const sessions = Math.min(OPEN_SESSIONS, 2 * new Set(chunks.map(({ batch, time }) => `${batch} ${time}`)).size);
  const stored = chunks.reduce((total, { batch, time }) => total + batch * time, 0) * width * bytes;
  return {
    weights,
    chunk,
    peak: BASE_BYTES + PIECES_BYTES + weights + sessions * chunk,
    disk: stored * blocks * models * (sensitivity ? 2 : 1),
  };
}

/** Rate of matrix products on two cores of a common machine, in operations a second; a plan should rather promise too much time than too little. */
const FLOPS = 50e9;
/** Reading and widening a checkpoint, in numbers a second. */
const READ = 200e6;

/** Rough seconds for all prompts to pass one block: `passes` is 1 forward, 3 backward (forward again, and twice its products). */
export function blockSeconds(config: DecoderConfig, { chunks }: Pick<PromptChunks, "chunks">, passes: number): number {
  const parameters = blockParameters(config).reduce((total, { shape }) => total + sizeOf(shape), 0);
  const tokens = chunks.reduce((total, { batch, time }) => total + batch * time, 0);
  return parameters / READ + (2 * parameters * tokens * passes) / FLOPS;
}
