import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  activationSinThetaAll,
  activationSinThetas,
  activationSpan,
  type Frame,
  firstOf,
  half,
} from "../../analysis/index.js";
import { encodeSafetensors } from "../../checkpoint/encodeSafetensors.js";
import { parseSafetensors, type TensorValue } from "../../checkpoint/safetensors.js";
import type { ResultRow } from "../results.js";
import { activationsOf, type ReadSet } from "./clusters.js";
import { DIRECTIONS } from "./svd.js";

const FILE = "spans.safetensors";
const CLASSES = ["safe", "unsafe"] as const;

/** The space of activations before tuning, of the first half of a set, by set and block (from 0). */
export type SpaceOf = (set: "safe" | "unsafe", block: number) => Frame;

/** The spaces of W_IT's activations that all its tunings are compared with: of each set's first half, 99% of the energy. Writes them to `folder`. */
export async function writeSpaces(
  folder: string,
  sets: readonly ReadSet[],
  { blocks, branches }: { readonly blocks: number; readonly branches: number },
): Promise<void> {
  const tensors = CLASSES.flatMap((set) =>
    Array.from({ length: blocks }, (_, block): [string, TensorValue] => {
      const { directions, rank } = activationSpan(half(activationsOf(sets, set, block), 0, branches), DIRECTIONS);
      const { count, length, data } = firstOf(directions, rank);
      return [`${set}/block${block}`, { dtype: "F64", shape: [count, length], data: data.slice() }];
    }),
  );
  await writeFile(join(folder, FILE), encodeSafetensors(tensors));
}

/** What `writeSpaces` wrote. */
export async function readSpaces(folder: string): Promise<SpaceOf> {
  const { tensors } = parseSafetensors(await readFile(join(folder, FILE)), join(folder, FILE));
  return (set, block) => {
    const { shape, data } = tensors.get(`${set}/block${block}`)!;
    return { count: shape[0]!, length: shape[1]!, data: data as Float64Array };
  };
}

/**
 * Measure 3 of one checkpoint: sin theta of the activations after tuning, of the second half of each set, against the space of those before, of the first
 * half. The null puts the second half before tuning in its place, so that it differs in the tuning alone: `before` are W_IT's own rows, which are that
 * null; without them the checkpoint is W_IT. Method §3.3.
 */
export function activationSpaceRows(
  sets: readonly ReadSet[],
  {
    blocks,
    branches,
    spaceOf,
    before,
  }: {
    readonly blocks: number;
    readonly branches: number;
    readonly spaceOf: SpaceOf;
    readonly before?: readonly ResultRow[] | undefined;
  },
  from: Pick<ResultRow, "checkpoint" | "seed">,
): ResultRow[] {
  return CLASSES.flatMap((set) =>
    Array.from({ length: blocks }, (_, index) => {
      const second = half(activationsOf(sets, set, index), 1, branches);
      const after = activationSpan(second, DIRECTIONS);
      const space = spaceOf(set, index);
      const block = index + 1;
      const n = second.data.length / second.width;
      const row = (metric: string, value: number, direction?: number): ResultRow => {
        const null_ = before?.find(
          (one) => one.metric === metric && one.set === set && one.block === block && one.index === direction,
        );
        const chance = before === undefined ? value : null_?.value;
        return {
          ...{ measure: "activation-space", metric, ...from, set, block, value, n },
          ...(direction !== undefined && { index: direction }),
          ...(chance !== undefined && { chance }),
        };
      };
      const all = activationSinThetaAll(space, after);
      return [
        ...[...activationSinThetas(space, after, DIRECTIONS)].map((value, i) => row("sin-theta", value, i + 1)),
        ...(all === undefined ? [] : [row("sin-theta-all", all)]),
      ];
    }).flat(),
  );
}
