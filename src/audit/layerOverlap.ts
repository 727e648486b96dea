import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Frame, firstOf, meanSquaredCosine } from "../analysis/index.js";
import type { MatrixName } from "../checkpoint/matrices.js";
import { parseSafetensors } from "../checkpoint/safetensors.js";
import { writeRows } from "../study/assembleResults.js";
import type { ResultRow } from "../study/results.js";
import type { Stage } from "../study/stage.js";
import type { AuditPlan } from "./part.js";

/** How many of each dW's first directions span the spaces that are compared. */
const DIMENSIONS = [1, 5, 16] as const;
/** Directions of each dW that a block's stage keeps, for the overlaps and for whoever wants them, and the file in its folder. */
export const KEPT_DIRECTIONS = 16;
export const DIRECTIONS_FILE = "directions.safetensors";

type Side = "left" | "right";
const SIDES = { left: "column", right: "row" } as const satisfies Record<Side, string>;

/**
 * Overlap of dW's spaces across blocks, matrix by matrix: of each block with the next one, and its mean with all others. Column spaces (left) are of one and
 * the same space where a matrix writes to the residual stream (`mlp.down`, `attn.o`), row spaces (right) where it reads from it (the others); on the other side
 * the coordinates are each block's own neurons, and chance is what is to be expected. None where there is but one block.
 */
export function layerOverlapStages(
  { pair, matrices }: AuditPlan,
  layers: readonly { readonly layer: number; readonly stage: Stage }[],
): Stage[] {
  if (layers.length < 2) return [];
  return [
    {
      kind: "audit-overlap",
      name: "overlap across blocks",
      version: 1,
      config: { checkpoint: pair.tuned.name, matrices: [...matrices], dimensions: [...DIMENSIONS] },
      inputs: layers.map(({ stage }) => stage),
      steps: matrices.length,
      estimateSeconds: 2e-8 * matrices.length * layers.length ** 2 * 2 * 16 ** 2 * pair.base.checkpoint.config.width,
      run: async (context) => {
        const rows: ResultRow[] = [];
        for (const [index, matrix] of matrices.entries()) {
          context.signal.throwIfAborted();
          const frames: { layer: number; left: Frame; right: Frame }[] = [];
          for (const { layer, stage } of layers) {
            const found = await readDirections(context.input(stage), matrix);
            if (found !== undefined) frames.push({ layer, ...found });
          }
          for (const side of ["left", "right"] as const)
            rows.push(
              ...overlapRows(
                frames.map((one) => ({ layer: one.layer, frame: one[side] })),
                side,
                { checkpoint: pair.tuned.name, matrix },
              ),
            );
          context.progress(index + 1, matrices.length, matrix);
        }
        await writeRows(context, rows);
      },
    },
  ];
}

/** The first directions of a matrix's dW that a block's stage kept; undefined where the block has no such matrix. */
export async function readDirections(folder: string, matrix: MatrixName): Promise<Record<Side, Frame> | undefined> {
  const path = join(folder, DIRECTIONS_FILE);
  const { tensors } = parseSafetensors(await readFile(path), path);
  const frame = (side: Side): Frame | undefined => {
    const found = tensors.get(`${matrix}/${side}`);
    if (found === undefined) return undefined;
    return { count: found.shape[0]!, length: found.shape[1]!, data: Float64Array.from(found.data as Float32Array) };
  };
  const [left, right] = [frame("left"), frame("right")];
  return left === undefined || right === undefined ? undefined : { left, right };
}

function overlapRows(
  frames: readonly { readonly layer: number; readonly frame: Frame }[],
  side: Side,
  from: Required<Pick<ResultRow, "checkpoint" | "matrix">>,
): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const k of DIMENSIONS) {
    const own = frames.filter(({ frame }) => frame.count >= k);
    // Each pair once: value [i][j], i < j.
    const values = own.map((a, i) =>
      own.slice(i + 1).map((b) => meanSquaredCosine(firstOf(a.frame, k), firstOf(b.frame, k))),
    );
    const between = (i: number, j: number) => (i < j ? values[i]![j - i - 1]! : values[j]![i - j - 1]!);
    for (const [i, { layer, frame }] of own.entries()) {
      const row = (metric: string, value: number, n: number): ResultRow => ({
        ...{ measure: "overlap", metric, ...from, block: layer, index: k, value, n, chance: k / frame.length },
      });
      const others = [...own.keys()].filter((j) => j !== i);
      if (own[i + 1]?.layer === layer + 1) rows.push(row(`${SIDES[side]}-next`, between(i, i + 1), k));
      if (others.length > 0) {
        const mean = others.reduce((sum, j) => sum + between(i, j), 0) / others.length;
        rows.push(row(`${SIDES[side]}-others`, mean, others.length));
      }
    }
  }
  return rows;
}
