import type { HuggingFaceCheckpoint } from "../../checkpoint/huggingFace.js";
import { UserError } from "../../errors.js";
import { blockParameters, blockPrefix, type DecoderConfig } from "../../model/index.js";
import type { JsonValue } from "../../study/canonicalJson.js";
import { type FloatDType, type Shape, sizeOf } from "../../tensor/index.js";

export type Floats = Float32Array | Float64Array;

/** A model whose parameters are read when they are needed: a checkpoint, or a point on the line between two. */
export interface AuditModel {
  /** The column `checkpoint` of results. */
  readonly name: string;
  /** The column `alpha`, where it is a point on the path W + alpha dW. */
  readonly alpha?: number;
  readonly config: DecoderConfig;
  /** What its numbers depend on: the fingerprints of its checkpoints, and alpha. */
  readonly identity: JsonValue;
  /** Of every parameter, by name. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Fills `target` with rows of a parameter, from row `from` on. */
  fill(name: string, target: Floats, from?: number): Promise<void>;
}

/** @param fingerprint of the checkpoint. */
export function checkpointModel(checkpoint: HuggingFaceCheckpoint, name: string, fingerprint: string): AuditModel {
  const { config, tensors, fill } = checkpoint;
  const shapes = new Map([...tensors].map(([tensor, { shape }]) => [tensor, shape]));
  return { name, config, identity: { checkpoint: fingerprint }, shapes, fill };
}

/** Numbers of the second model held at a time while two are mixed. */
const PIECE = 2 ** 22;

/**
 * W + alpha dW, dW = W_tuned - W_base, every parameter, mixed as it is read: (1 - alpha) W_base + alpha W_tuned, in float64 and rounded once. At 0 and 1 it is
 * the base and the tuned model, bit for bit. Method §3.7. @throws UserError when their vocabularies differ.
 */
export function pathModel(base: AuditModel, tuned: AuditModel, alpha: number): AuditModel {
  if (base.config.vocabulary !== tuned.config.vocabulary)
    throw new UserError(
      `${tuned.name} has ${tuned.config.vocabulary} tokens and ${base.name} ${base.config.vocabulary}; W + alpha dW needs one vocabulary.`,
    );
  const common = { name: tuned.name, alpha, config: tuned.config, shapes: tuned.shapes };
  if (alpha === 0) return { ...common, identity: base.identity, fill: base.fill };
  if (alpha === 1) return { ...common, identity: tuned.identity, fill: tuned.fill };
  return {
    ...common,
    identity: { base: base.identity, tuned: tuned.identity, alpha },
    async fill(name, target, from = 0) {
      const perRow = sizeOf(base.shapes.get(name)!.slice(1));
      const rows = target.length / perRow;
      const rowsAtATime = Math.max(1, Math.floor(PIECE / perRow));
      await base.fill(name, target, from);
      const piece = allocateLike(target, Math.min(rows, rowsAtATime) * perRow);
      for (let row = 0; row < rows; row += rowsAtATime) {
        const part = piece.subarray(0, Math.min(rowsAtATime, rows - row) * perRow) as Floats;
        await tuned.fill(name, part, from + row);
        const offset = row * perRow;
        for (let i = 0; i < part.length; i++) {
          const [a, b] = [target[offset + i]!, part[i]!];
          if (a !== b) target[offset + i] = (1 - alpha) * a + alpha * b;
        }
      }
    },
  };
}

/** dW = W_tuned - W_base of one parameter into `target`, which holds all of it. */
export async function fillDelta(base: AuditModel, tuned: AuditModel, name: string, target: Floats): Promise<void> {
  const perRow = sizeOf(base.shapes.get(name)!.slice(1));
  const rows = target.length / perRow;
  const rowsAtATime = Math.max(1, Math.floor(PIECE / perRow));
  await tuned.fill(name, target);
  const piece = allocateLike(target, Math.min(rows, rowsAtATime) * perRow);
  for (let row = 0; row < rows; row += rowsAtATime) {
    const part = piece.subarray(0, Math.min(rowsAtATime, rows - row) * perRow) as Floats;
    await base.fill(name, part, row);
    const offset = row * perRow;
    for (let i = 0; i < part.length; i++) target[offset + i]! -= part[i]!;
  }
}

function allocateLike(target: Floats, size: number): Floats {
  return target instanceof Float64Array ? new Float64Array(size) : new Float32Array(size);
}

export function allocateFloats(dtype: FloatDType, size: number): Floats {
  return dtype === "float64" ? new Float64Array(size) : new Float32Array(size);
}

/** Arrays for the parameters of one block, allocated once and filled again for every block: no layer waits for the last one's memory to be collected. */
export interface BlockBuffers {
  /** Reads a block's parameters, by their names without its prefix. Valid until the next call. @param layer counts from 1. */
  load(model: AuditModel, layer: number): Promise<Readonly<Record<string, Floats>>>;
}

export function blockBuffers(config: DecoderConfig, dtype: FloatDType): BlockBuffers {
  let arrays: Readonly<Record<string, Floats>> | undefined;
  return {
    async load(model, layer) {
      arrays ??= Object.fromEntries(
        blockParameters(config).map(({ name, shape }) => [name, allocateFloats(dtype, sizeOf(shape))]),
      );
      for (const [name, array] of Object.entries(arrays))
        await model.fill(blockPrefix(model.config, layer) + name, array);
      return arrays;
    },
  };
}
