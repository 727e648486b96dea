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
  /** On disk: what entered each block of each model, for every prompt, and the gradients on their way back. */
  readonly disk: number;
}

/**
 * Peak memory of the streamed activations, in bytes: 300 MB + 200 MB + b P + 4 b t (16 d + 8 m + 6 h T) + 3 b n (2 d + m). b bytes a number, P parameters of a block,
 * t tokens of the largest chunk, d width, m MLP units, h heads, T its length, 4 sessions kept open, n prompts, of which activations at one position are kept. The blocks
 * and the vocabulary are not in it: blocks come one by one, the head in pieces. An upper bound: measured at 7 B, a block forward takes 0.10 GiB and back 0.25 GiB for 480 tokens, where
 * the third term has 0.29 GiB a session. Disk: b d bytes for each token, block and model, and with
 * sensitivity once more for the base and the tuned one.
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
  const perChunk = chunks.map(({ batch, time }) => batch * time * (16 * width + 8 * mlp + 6 * heads * time));
  const chunk = bytes * Math.max(...perChunk);
  const prompts = chunks.reduce((total, { rows }) => total + rows.length, 0);
  const stored = chunks.reduce((total, { batch, time }) => total + batch * time, 0) * width * bytes;
  return {
    weights,
    chunk,
    peak: BASE_BYTES + PIECES_BYTES + weights + OPEN_SESSIONS * chunk + 3 * bytes * prompts * (2 * width + mlp),
    disk: stored * blocks * (models + (sensitivity ? 2 : 0)),
  };
}

/** Rate of matrix products on two cores of a common machine, in operations a second: 250 G were measured on a server, and a plan should rather promise too much time than too little. */
const FLOPS = 100e9;
/** Reading and widening a checkpoint, in numbers a second. */
const READ = 200e6;

/** Rough seconds for all prompts to pass one block: `passes` is 1 forward, 3 backward (forward again, and twice its products). */
export function blockSeconds(config: DecoderConfig, { chunks }: Pick<PromptChunks, "chunks">, passes: number): number {
  const parameters = blockParameters(config).reduce((total, { shape }) => total + sizeOf(shape), 0);
  const tokens = chunks.reduce((total, { batch, time }) => total + batch * time, 0);
  return parameters / READ + (2 * parameters * tokens * passes) / FLOPS;
}
