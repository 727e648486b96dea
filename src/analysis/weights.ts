import type { Checkpoint } from "../model/index.js";
import { parameterView } from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import type { Matrix } from "./linearAlgebra.js";

/** The matrices of a block whose change is measured: both of the MLP, and attention's (queries, keys and values are one). */
export const WEIGHT_MATRICES = ["mlp.fc", "mlp.proj", "attn.qkv", "attn.proj"] as const;
export type WeightMatrix = (typeof WEIGHT_MATRICES)[number];

/** W of a block (from 0), a view. [output, input] */
export function weightMatrix({ model, parameters }: Checkpoint, block: number, matrix: WeightMatrix): Matrix {
  const data = parameterView(parameters, gptLayout(model), `blocks.${block}.${matrix}.weight`);
  const columns = matrix === "mlp.proj" ? model.mlp : model.width;
  return { rows: data.length / columns, columns, data };
}

/** dW = W_ST - W_IT in float64, in which the difference of float32 weights of like size is exact. [output, input] */
export function weightDelta(before: Checkpoint, after: Checkpoint, block: number, matrix: WeightMatrix): Matrix {
  const [from, to] = [weightMatrix(before, block, matrix), weightMatrix(after, block, matrix)];
  return { ...to, data: Float64Array.from(to.data, (value, i) => value - from.data[i]!) };
}
