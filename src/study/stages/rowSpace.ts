import {
  correlation,
  FEWEST_ATTEMPTS,
  type Matrix,
  projectionSigns,
  rowCosines,
  rowEffect,
  rowProjections,
  squaredNorm,
  unitRows,
  vectorOf,
} from "../../analysis/index.js";
import { createStream, type RandomKey } from "../../random/index.js";
import {
  type BootstrappedMean,
  bootstrapInterval,
  bootstrapMeanIntervals,
  type Interval,
  Z95,
} from "../../stats/intervals.js";
import { mean, standardDeviation } from "../../stats/moments.js";
import { bootstrapTwoSampleInterval } from "../../stats/twoSample.js";
import type { ResultRow } from "../results.js";
import { activationsOf, type ReadSet } from "./clusters.js";
import type { StoredSvd } from "./svd.js";

/** The matrices whose input is an activation at k: the first MLP matrix (the paper's W) and the second. */
export const ROW_SPACE_MATRICES = ["mlp.fc", "mlp.proj"] as const;
export type RowSpaceMatrix = (typeof ROW_SPACE_MATRICES)[number];

/** What the row space of one tuning needs. */
export interface RowSpaceInput {
  readonly sets: readonly ReadSet[];
  readonly blocks: number;
  /** dW and its first directions. Blocks from 0. */
  readonly deltaOf: (block: number, matrix: RowSpaceMatrix) => { readonly matrix: Matrix; readonly svd: StoredSvd };
  /** Of the bootstrap. */
  readonly key: RandomKey;
  /** Rows of the control, whose gain ratio is the null. */
  readonly control: readonly ResultRow[];
}

type From = Pick<ResultRow, "checkpoint" | "seed">;

/** Unit-norm inputs of a matrix on one set: for `mlp.fc` what the MLP reads at k, for `mlp.proj` its activations there. [count, input] */
function inputsOf(sets: readonly ReadSet[], set: ReadSet, block: number, matrix: RowSpaceMatrix): Float64Array {
  if (matrix === "mlp.proj") {
    const { data, width } = activationsOf(sets, set.set, block);
    return unitRows(data, width);
  }
  const data = set.inputs[block]!;
  return unitRows(data, data.length / set.written.count);
}

/** Measure 4 of one tuning: what dW does to safe, unsafe and jailbreak inputs, in every block and both MLP matrices. Method §3.4. */
export function rowSpaceRows({ sets, blocks, deltaOf, key, control }: RowSpaceInput, from: From): ResultRow[] {
  const rows: ResultRow[] = [];
  const gains: Gain[] = [];
  for (let block = 0; block < blocks; block++)
    for (const [index, matrix] of ROW_SPACE_MATRICES.entries()) {
      const at = { measure: "row-space", ...from, block: block + 1, matrix } as const;
      const { matrix: delta, svd } = deltaOf(block, matrix);
      const { uniform: random } = createStream(key, block * ROW_SPACE_MATRICES.length + index);
      const inputs = sets.map((set) => inputsOf(sets, set, block, matrix));
      const effects = inputs.map((one) => rowEffect(delta, one));
      const of = (name: string) => sets.findIndex(({ set }) => set === name);
      const [safe, unsafe] = [effects[of("safe")]!, effects[of("unsafe")]!];

      const projections = inputs.map((one) => rowProjections(svd.right, svd.singularValues, one));
      const signs = projectionSigns(projections[of("unsafe")]!);
      for (const [which, { set }] of sets.entries())
        rows.push(...projectionRows(projections[which]!, signs, delta.columns, { ...at, set }, svd.singularValues));
      const chance = Math.sqrt(squaredNorm(svd.singularValues) / delta.columns);
      for (const [which, set] of sets.entries())
        gains.push(...gainsOf(set, effects[which]!.gain, { ...at, set: set.set, chance }));
      rows.push(...ratioRow(unsafe.gain, safe.gain, { at, control, random }));
      if (matrix === "mlp.fc" && svd.right.count > 0) {
        const cosines = rowCosines(delta, vectorOf(svd.right, 0));
        for (const [set, { neurons }] of [
          ["safe", safe],
          ["unsafe", unsafe],
        ] as const)
          rows.push(...neuronRows(cosines, neurons, { ...at, set }, random));
      }
    }
  rows.push(...gainRows(gains, sets, key, blocks * ROW_SPACE_MATRICES.length));
  return rows;
}

type At = Pick<ResultRow, "measure" | "checkpoint" | "seed" | "block" | "matrix">;

/** Means and spreads of sigma_i v_i' a on one set. The null is a uniformly random direction a: mean 0, deviation sigma_i / sqrt(inputs). */
function projectionRows(
  projections: readonly Float64Array[],
  signs: readonly number[],
  inputs: number,
  at: At & { readonly set: string },
  singularValues: Float64Array,
): ResultRow[] {
  return projections.flatMap((one, i) => {
    const value = signs[i]! * mean(one);
    const deviation = standardDeviation(one);
    // Hundreds of samples: the mean is normal, and 15 bootstraps for each set and matrix would say the same for minutes more.
    const half = (Z95 * deviation) / Math.sqrt(one.length);
    const index = i + 1;
    return [
      { ...at, metric: "projection", index, value, n: one.length, low: value - half, high: value + half, chance: 0 },
      {
        ...at,
        metric: "projection-sd",
        index,
        value: deviation,
        n: one.length,
        chance: singularValues[i]! / Math.sqrt(inputs),
      },
    ];
  });
}

/** A mean gain whose interval is still to come. */
interface Gain extends BootstrappedMean {
  readonly set: string;
  readonly row: Omit<ResultRow, "value">;
}

/** |dW a| over a set, and over its successful and failed attempts where there are enough of both. */
function gainsOf(
  { set, succeeded }: ReadSet,
  values: Float64Array,
  at: At & { readonly set: string; readonly chance: number },
): Gain[] {
  const row = { ...at, metric: "gain" };
  const successes = succeeded.reduce((sum, one) => sum + one, 0);
  const whole: Gain = { set, values, row };
  if (set === "safe" || set === "unsafe" || Math.min(successes, succeeded.length - successes) < FEWEST_ATTEMPTS)
    return [whole];
  return [
    whole,
    { set, values, among: succeeded, row: { ...row, outcome: "success" } },
    { set, values, among: succeeded.map((one) => 1 - one), row: { ...row, outcome: "failure" } },
  ];
}

/** The gains with their intervals: those of one set share their resamples, in every block. */
function gainRows(gains: readonly Gain[], sets: readonly ReadSet[], key: RandomKey, firstStream: number): ResultRow[] {
  return sets.flatMap(({ set }, index) => {
    const together = gains.filter((gain) => gain.set === set);
    const { uniform: random } = createStream(key, firstStream + index);
    return bootstrapMeanIntervals(together, { random }).map((interval, which): ResultRow => {
      const { values, among, row } = together[which]!;
      const members = among === undefined ? values : Float64Array.from(values).filter((_, i) => among[i] === 1);
      return { ...row, value: mean(members), n: members.length, ...interval };
    });
  });
}

/** Gain on unsafe over gain on safe inputs. No ratio where dW does nothing on safe ones, as a zero dW does. */
function ratioRow(
  unsafe: Float64Array,
  safe: Float64Array,
  { at, control, random }: { readonly at: At; readonly control: readonly ResultRow[]; readonly random: () => number },
): ResultRow[] {
  const [above, below] = [mean(unsafe), mean(safe)];
  if (below === 0) return [];
  const null_ = control.find(
    (row) => row.metric === "gain-ratio" && row.block === at.block && row.matrix === at.matrix,
  );
  const interval: Interval = bootstrapTwoSampleInterval(unsafe, safe, (a, b) => mean(a) / mean(b), { random });
  const n = unsafe.length + safe.length;
  return [{ ...at, metric: "gain-ratio", value: above / below, n, ...interval, chance: null_?.value ?? 1 }];
}

/**
 * The neuron view on one set: do the neurons whose rows of dW lie along v_1 change most? `neuron-cosine`: correlation over neurons of |cos(row n, v_1)| with
 * the mean of |(dW a)_n|; `neuron-change`: that mean over all neurons.
 */
function neuronRows(
  cosines: Float64Array,
  changes: Float64Array,
  at: At & { readonly set: string },
  random: () => number,
): ResultRow[] {
  const neurons = Float64Array.from(cosines, (_, n) => n);
  const drawn = (members: Float64Array) =>
    correlation(
      members.map((n) => cosines[n]!),
      members.map((n) => changes[n]!),
    );
  const n = cosines.length;
  const interval = bootstrapInterval(neurons, drawn, { random });
  return [
    { ...at, metric: "neuron-cosine", value: correlation(cosines, changes), n, ...interval, chance: 0 },
    { ...at, metric: "neuron-change", value: mean(changes), n },
  ];
}
