import {
  effectiveRank,
  type Matrix,
  matchedNull,
  type NullDistribution,
  type RandomFrames,
  randomDirectionNull,
  randomFrames,
  sinThetaAll,
  squaredNorm,
  squaredOutside,
  summarizeNull,
  vectorOf,
  WEIGHT_MATRICES,
  weightDelta,
} from "../../analysis/index.js";
import { randomKey } from "../../random/index.js";
import { readRows, writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { loadCheckpoint } from "./checkpoints.js";
import { DIRECTIONS, readSvd, type StoredSvd, svdStage } from "./svd.js";
import type { StudyModel } from "./tunings.js";

/** Draws of the random nulls; the 2.5% quantile of the second then lies between its second and third smallest. */
const RANDOM_DRAWS = 1000;
const MATCHED_DRAWS = 100;

/** Where a matrix stands, and whose it is. */
type From = Required<Pick<ResultRow, "checkpoint" | "seed" | "block" | "matrix">> & Pick<ResultRow, "step">;

/** What the column space of one matrix needs. */
export interface ColumnSpaceInput {
  /** Of W_IT. */
  readonly before: StoredSvd;
  /** Of dW: its first directions and all its singular values. */
  readonly delta: Pick<StoredSvd, "singularValues" | "left">;
  readonly matrix: Matrix;
}

/**
 * The sines of dW and what is said of its size, without the nulls' distributions. `directions`: how many sines are given one by one. A zero dW
 * has its norm and rank 0, and no sines.
 */
export function columnSpaceRows(
  { before, delta, matrix }: ColumnSpaceInput,
  { directions, chance }: { readonly directions: number; readonly chance: number },
  from: From,
): ResultRow[] {
  const row = (metric: string, value: number, more: Partial<ResultRow> = {}): ResultRow => ({
    measure: "column-space",
    ...from,
    metric,
    value,
    ...more,
  });
  const sines = Array.from({ length: Math.min(directions, delta.left.count) }, (_, i) =>
    Math.sqrt(squaredOutside(before.left, vectorOf(delta.left, i))),
  );
  const all = sinThetaAll(before.left, matrix);
  return [
    ...sines.map((value, i) => row("sin-theta", value, { index: i + 1, chance })),
    ...(all === undefined ? [] : [row("sin-theta-all", all, { chance })]),
    row("rank", before.left.count),
    row("norm", Math.sqrt(squaredNorm(delta.singularValues) / squaredNorm(before.singularValues))),
    row("effective-rank", effectiveRank(delta.singularValues)),
  ];
}

/** Measure 2 of one tuned checkpoint: sin theta of dW in every matrix of every block, beside its three nulls. Method §3.2. */
export function columnSpaceStage(
  config: StudyConfig,
  {
    instruct,
    model,
    control,
  }: Readonly<Record<"instruct" | "model", StudyModel>> & { control?: StudyModel | undefined },
): Stage {
  const { stage, pretrained, checkpoint, seed } = model;
  const { blocks, mlp, width } = config.model;
  const svds = { before: svdStage(config, instruct), delta: svdStage(config, model) };
  const controlled =
    control === undefined || control.checkpoint === checkpoint
      ? undefined
      : columnSpaceStage(config, { instruct, model: control });
  return {
    kind: "column-space",
    name: `column space ${checkpoint} seed ${seed}`,
    version: 1,
    config: { checkpoint, seed, draws: [RANDOM_DRAWS, MATCHED_DRAWS] },
    inputs: [stage, pretrained, svds.before, svds.delta, ...(controlled ? [controlled] : [])],
    steps: blocks,
    // Random frames of every shape: measured 0.6 s for 100 at 256 x 64.
    estimateSeconds: 5e-9 * MATCHED_DRAWS * mlp * width ** 2,
    run: async (context) => {
      const [before, after] = [
        await loadCheckpoint(context.input(pretrained)),
        await loadCheckpoint(context.input(stage)),
      ];
      const [spaceOf, deltaOf] = [await readSvd(context.input(svds.before)), await readSvd(context.input(svds.delta))];
      const controlRows = controlled === undefined ? [] : await readRows(context.input(controlled));
      const framesOf = sharedFrames(seed);
      const rows: ResultRow[] = [];
      for (let block = 0; block < blocks; block++) {
        for (const matrix of WEIGHT_MATRICES) {
          context.signal.throwIfAborted();
          const from: From = { checkpoint, seed, block: block + 1, matrix };
          const input: ColumnSpaceInput = {
            before: spaceOf(block, matrix),
            delta: deltaOf(block, matrix),
            matrix: weightDelta(before, after, block, matrix),
          };
          const rank = input.before.left.count;
          const size = input.matrix.rows;
          const key = randomKey(seed, `column space random ${from.block} ${matrix}`);
          const random = summarizeNull(randomDirectionNull(key, { rank, size, draws: RANDOM_DRAWS }));
          const own = columnSpaceRows(input, { directions: DIRECTIONS, chance: random.value }, from);
          rows.push(...own, ...randomNullRows(input, { random, framesOf, from }));
          rows.push(...controlNullRows(own, controlRows, from));
        }
        context.progress(block + 1, blocks);
      }
      await writeRows(context, rows);
    },
  };
}

/** Random frames by shape, each drawn once for all matrices of that shape. */
function sharedFrames(seed: number): (matrix: Matrix) => RandomFrames {
  const drawn = new Map<string, RandomFrames>();
  return ({ rows, columns }) => {
    const count = Math.min(rows, columns);
    const shape = `${count} ${rows}`;
    const known = drawn.get(shape) ?? randomFrames(randomKey(seed, `frames ${shape}`), MATCHED_DRAWS, count, rows);
    drawn.set(shape, known);
    return known;
  };
}

/** The nulls of random directions and of a random dW with the same singular values. */
function randomNullRows(
  { before, delta, matrix }: ColumnSpaceInput,
  {
    random,
    framesOf,
    from,
  }: { readonly random: NullDistribution; readonly framesOf: (matrix: Matrix) => RandomFrames; readonly from: From },
): ResultRow[] {
  const directions = delta.left.count;
  if (directions === 0) return [];
  const matched = matchedNull(framesOf(matrix), {
    rank: before.left.count,
    singularValues: delta.singularValues,
    directions,
  });
  const row = (metric: string, distribution: NullDistribution, index?: number): ResultRow => ({
    measure: "column-space",
    ...from,
    metric,
    ...distribution,
    ...(index !== undefined && { index }),
  });
  return [
    ...Array.from({ length: directions }, (_, i) => row("null-random", random, i + 1)),
    ...matched.sines.map((sines, i) => row("null-matched", summarizeNull(sines), i + 1)),
    row("null-random-all", random),
    row("null-matched-all", summarizeNull(matched.all)),
  ];
}

/** For each of our sines that of the control. */
function controlNullRows(own: readonly ResultRow[], control: readonly ResultRow[], from: From): ResultRow[] {
  return own
    .filter(({ metric }) => metric.startsWith("sin-theta"))
    .flatMap(({ metric, index }) => {
      const found = control.find(
        (row) => row.metric === metric && row.index === index && row.block === from.block && row.matrix === from.matrix,
      );
      if (found === undefined) return [];
      const name = metric.replace("sin-theta", "null-continue");
      const at = index !== undefined && { index };
      return [{ measure: "column-space", ...from, metric: name, ...at, value: found.value, n: 1 }];
    });
}
