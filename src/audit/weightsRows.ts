import {
  effectiveRank,
  energyRank,
  type Matrix,
  matchedSpectrumNull,
  type NullDistribution,
  randomDirectionNull,
  squaredNorm,
  summarizeNull,
} from "../analysis/index.js";
import { randomKey } from "../random/index.js";
import type { ResultRow } from "../study/results.js";
import type { MatrixChange, MatrixChanges } from "./matrixChange.js";

/** Where a matrix stands, and whose change it is. */
export type From = Required<Pick<ResultRow, "checkpoint" | "block" | "matrix">>;

const RANDOM_DRAWS = 400;
/** Sines that are given one by one; as many as the figures show. */
const SINES = 16;
const ENERGIES = [90, 95, 99] as const;

/** The rows of one matrix: measures `weights` and `column-space`, with their nulls. The second change, where there is one, is the control's. */
export function changeRows(
  { singularValues, rank, changes }: MatrixChanges,
  { rows: size }: Matrix,
  from: From,
): ResultRow[] {
  const [own, control] = changes as [MatrixChange, MatrixChange | undefined];
  // One null for all matrices of this size and rank, whatever their name.
  const key = randomKey(0, `audit random ${size} ${rank}`);
  const random = summarizeNull(randomDirectionNull(key, { rank, size, draws: RANDOM_DRAWS }));
  const row = (metric: string, value: number, more: Partial<ResultRow> = {}): ResultRow => ({
    measure: "column-space",
    ...from,
    metric,
    value,
    ...more,
  });
  const zero = own.left.count === 0;
  return [
    ...sizeRows(own.singularValues, singularValues, from),
    ...sineRows(own, "sin-theta", row, random.value),
    row("rank", rank),
    row("norm", Math.sqrt(squaredNorm(own.singularValues) / squaredNorm(singularValues))),
    row("effective-rank", effectiveRank(own.singularValues)),
    ...(zero ? [] : nullRows(own, { rank, size, random }, row)),
    ...(control === undefined || zero ? [] : sineRows(control, "null-continue", row).slice()),
  ].filter(({ value }) => Number.isFinite(value));
}

type MakeRow = (metric: string, value: number, more?: Partial<ResultRow>) => ResultRow;

function sineRows({ sines, all }: MatrixChange, metric: string, row: MakeRow, chance?: number): ResultRow[] {
  const more = chance !== undefined && { chance };
  return [
    ...Array.from(sines.subarray(0, SINES), (value, i) => row(metric, value, { index: i + 1, ...more })),
    ...(all === undefined ? [] : [row(`${metric}-all`, all.value, { ...withoutValue(all), ...more })]),
  ];
}

function withoutValue({ value: _, ...rest }: NonNullable<MatrixChange["all"]>): Partial<ResultRow> {
  return rest;
}

function nullRows(
  { singularValues, sines }: MatrixChange,
  { rank, size, random }: { readonly rank: number; readonly size: number; readonly random: NullDistribution },
  row: MakeRow,
): ResultRow[] {
  const { value, ...interval } = matchedSpectrumNull({ rank, size, singularValues });
  const { value: mean, ...spread } = random;
  return [
    ...Array.from(sines.subarray(0, SINES), (_, i) => row("null-random", mean, { index: i + 1, ...spread })),
    row("null-random-all", mean, spread),
    row("null-matched-all", value, interval),
  ];
}

/** Measure `weights`: the spectrum of dW and its sizes, beside those of W. */
function sizeRows(delta: Float64Array, before: Float64Array, from: From): ResultRow[] {
  const row = (metric: string, value: number, index?: number): ResultRow => ({
    measure: "weights",
    ...from,
    metric,
    ...(index !== undefined && { index }),
    value,
  });
  const norm = Math.sqrt(squaredNorm(delta));
  return [
    ...(norm === 0 ? [] : Array.from(delta.subarray(0, 64), (value, i) => row("singular-value", value, i + 1))),
    ...ENERGIES.map((percent) => row("energy-rank", energyRank(delta, percent / 100), percent)),
    ...ENERGIES.map((percent) => row("base-energy-rank", energyRank(before, percent / 100), percent)),
    row("norm", norm),
    row("base-norm", Math.sqrt(squaredNorm(before))),
    row("base-spectral-norm", before[0]!),
    row("base-effective-rank", effectiveRank(before)),
  ];
}
