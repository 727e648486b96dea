import { blockParameters, blockPrefix, type DecoderConfig } from "../model/index.js";
import type { HuggingFaceCheckpoint } from "./huggingFace.js";

/** Our names of a block's matrices. GPT-2's MLP has no gate: its first matrix is `mlp.up`. */
export const MATRIX_NAMES = ["mlp.gate", "mlp.up", "mlp.down", "attn.q", "attn.k", "attn.v", "attn.o"] as const;
export type MatrixName = (typeof MATRIX_NAMES)[number];

/** Where a matrix lies in a checkpoint. */
export interface MatrixPlace {
  /** The checkpoint's tensor. */
  readonly tensor: string;
  /** [out, in], whatever way it is stored. */
  readonly shape: readonly [number, number];
  /** Stored as [in, out], as GPT-2's Conv1D layers are. */
  readonly transposed: boolean;
  /** First column of the tensor that it begins at, where it is one of several side by side (GPT-2's q, k and v). */
  readonly column: number;
}

/** Names of a block's tensors in the checkpoint. @param layer counts from 1. */
export function layerTensorNames(config: DecoderConfig, layer: number): string[] {
  return blockParameters(config).map(({ name }) => blockPrefix(config, layer) + name);
}

/** The matrices of a block by our names. @param layer counts from 1. */
export function layerMatrices(config: DecoderConfig, layer: number): ReadonlyMap<MatrixName, MatrixPlace> {
  const { family, width, mlp, heads, keyValueHeads, headWidth } = config;
  const prefix = blockPrefix(config, layer);
  const place = (tensor: string, out: number, input: number, column?: number): MatrixPlace => ({
    tensor: prefix + tensor,
    shape: [out, input],
    transposed: family === "gpt2",
    column: column ?? 0,
  });
  if (family === "gpt2")
    return new Map<MatrixName, MatrixPlace>([
      ["mlp.up", place("mlp.c_fc.weight", mlp, width)],
      ["mlp.down", place("mlp.c_proj.weight", width, mlp)],
      ["attn.q", place("attn.c_attn.weight", width, width, 0)],
      ["attn.k", place("attn.c_attn.weight", width, width, width)],
      ["attn.v", place("attn.c_attn.weight", width, width, 2 * width)],
      ["attn.o", place("attn.c_proj.weight", width, width)],
    ]);
  return new Map<MatrixName, MatrixPlace>([
    ["mlp.gate", place("mlp.gate_proj.weight", mlp, width)],
    ["mlp.up", place("mlp.up_proj.weight", mlp, width)],
    ["mlp.down", place("mlp.down_proj.weight", width, mlp)],
    ["attn.q", place("self_attn.q_proj.weight", heads * headWidth, width)],
    ["attn.k", place("self_attn.k_proj.weight", keyValueHeads * headWidth, width)],
    ["attn.v", place("self_attn.v_proj.weight", keyValueHeads * headWidth, width)],
    ["attn.o", place("self_attn.o_proj.weight", width, heads * headWidth)],
  ]);
}

/** One matrix, [out, in] row-major. F64 as float64, all else as float32. */
export async function readMatrix(
  checkpoint: Pick<HuggingFaceCheckpoint, "readFloats" | "tensors">,
  { tensor, shape: [out, input], transposed, column }: MatrixPlace,
): Promise<Float32Array | Float64Array> {
  const stored = await checkpoint.readFloats(tensor);
  if (!transposed) return stored;
  const stride = checkpoint.tensors.get(tensor)!.shape[1]!;
  const matrix = stored instanceof Float64Array ? new Float64Array(out * input) : new Float32Array(out * input);
  for (let row = 0; row < out; row++)
    for (let at = 0; at < input; at++) matrix[row * input + at] = stored[at * stride + column + row]!;
  return matrix;
}
