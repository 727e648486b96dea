import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  columnSpaceOf,
  type Frame,
  firstOf,
  numericalRank,
  svd,
  WEIGHT_MATRICES,
  type WeightMatrix,
  weightDelta,
  weightMatrix,
} from "../../analysis/index.js";
import { encodeSafetensors } from "../../checkpoint/encodeSafetensors.js";
import { parseSafetensors, type TensorValue } from "../../checkpoint/safetensors.js";
import type { StudyConfig } from "../config.js";
import type { Stage } from "../stage.js";
import { loadCheckpoint } from "./checkpoints.js";
import type { StudyModel } from "./tunings.js";

/** How many singular directions of dW are kept and measured one by one, as in the paper's figures. */
export const DIRECTIONS = 15;
const FILE = "svd.safetensors";

/** Of one matrix of a checkpoint: singular values, and directions. */
export interface StoredSvd {
  readonly singularValues: Float64Array;
  /** Of W_IT its column space, r(W_IT) directions; of dW the first, at most `DIRECTIONS`, none that is only rounding. */
  readonly left: Frame;
  /** Of dW, as many. */
  readonly right: Frame;
}

/**
 * Singular value decompositions of a checkpoint's matrices, of W_IT's own and of every tuning's dW: once, for all measures that need them.
 */
export function svdStage(config: StudyConfig, { stage, checkpoint, seed, pretrained, tuning }: StudyModel): Stage {
  const { blocks, mlp, width } = config.model;
  return {
    kind: "svd",
    name: `svd ${checkpoint} seed ${seed}`,
    version: 1,
    config: { checkpoint, seed, directions: DIRECTIONS },
    inputs: tuning === undefined ? [stage] : [stage, pretrained],
    steps: blocks * WEIGHT_MATRICES.length,
    // Measured: 0.02 s for 256 x 64, 0.7 s for 768 x 192, growing with the cube of the size; four matrices a block.
    estimateSeconds: 1e-7 * blocks * mlp * width ** 2,
    run: async (context) => {
      const after = await loadCheckpoint(context.input(stage));
      const before = tuning === undefined ? undefined : await loadCheckpoint(context.input(pretrained));
      const tensors: [string, TensorValue][] = [];
      const keep = (name: string, frame: Frame) =>
        tensors.push([name, { dtype: "F64", shape: [frame.count, frame.length], data: frame.data.slice() }]);
      for (let block = 0; block < blocks; block++)
        for (const [index, matrix] of WEIGHT_MATRICES.entries()) {
          context.signal.throwIfAborted();
          const own =
            before === undefined ? weightMatrix(after, block, matrix) : weightDelta(before, after, block, matrix);
          const found = svd(own);
          const { singularValues } = found;
          const count = before === undefined ? 0 : Math.min(DIRECTIONS, numericalRank(found));
          const name = `block${block}/${matrix}`;
          const shape = [singularValues.length];
          tensors.push([`${name}/singular-values`, { dtype: "F64", shape, data: singularValues.slice() }]);
          keep(`${name}/left`, before === undefined ? columnSpaceOf(found) : firstOf(found.left, count));
          keep(`${name}/right`, firstOf(found.right, count));
          context.progress(block * WEIGHT_MATRICES.length + index + 1, blocks * WEIGHT_MATRICES.length);
        }
      await writeFile(join(context.folder, FILE), encodeSafetensors(tensors));
    },
  };
}

/** What `svdStage` kept, by block (from 0) and matrix. */
export async function readSvd(folder: string): Promise<(block: number, matrix: WeightMatrix) => StoredSvd> {
  const path = join(folder, FILE);
  const { tensors } = parseSafetensors(await readFile(path), path);
  const frame = (name: string): Frame => {
    const { shape, data } = tensors.get(name)!;
    return { count: shape[0]!, length: shape[1]!, data: data as Float64Array };
  };
  return (block, matrix) => {
    const name = `block${block}/${matrix}`;
    return {
      singularValues: tensors.get(`${name}/singular-values`)!.data as Float64Array,
      left: frame(`${name}/left`),
      right: frame(`${name}/right`),
    };
  };
}
