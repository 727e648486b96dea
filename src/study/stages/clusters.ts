import {
  type Checkpoint,
  type ClusterValue,
  clusters,
  covarianceSpectrum,
  effectiveRank,
  firstCovarianceShare,
  firstShareOfNoise,
  judge,
  OUTCOMES,
  type ReadActivations,
  readActivations,
  rowsOf,
  type Vectors,
  withOutputs,
} from "../../analysis/index.js";
import { createStream, type RandomKey } from "../../random/index.js";
import type { Engine } from "../../tensor/index.js";
import type { Samples, TestSet, World } from "../../world/index.js";
import type { ResultRow } from "../results.js";

/** How many output positions the mean activation spans: q of the method. */
export const POSITIONS = [1, 10] as const;

/** A set's samples with what the model wrote, and which of its attempts succeeded (1 or 0). */
export interface WrittenSet {
  readonly set: TestSet;
  readonly written: Samples;
  readonly succeeded: Uint8Array;
}

/** The samples of a set with a model's greedy outputs [count, maxText] in the answers' place. */
export function writtenSet(world: World, set: TestSet, samples: Samples, outputs: Int32Array): WrittenSet {
  const { outcome } = judge(samples, outputs, world.vocabulary.nullToken);
  const succeeded = outcome.map((one) => Number(OUTCOMES[one] === "instruct"));
  return { set, written: withOutputs(samples, outputs), succeeded };
}

/** A set with what the model did inside while it wrote. */
export interface ReadSet extends WrittenSet, ReadActivations {}

/** What `readSets` needs beside the model. */
export interface ReadSetsInput {
  readonly world: World;
  readonly sets: readonly WrittenSet[];
  readonly batch: number;
  /** The MLP's inputs too. */
  readonly inputs?: boolean;
  /** Called after each set; may throw to stop. */
  readonly onProgress?: (done: number, note: string) => void;
}

/** The activations of one model on every set, by one forward pass for all measures. */
export async function readSets(
  engine: Engine,
  model: Checkpoint,
  { world, sets, batch, inputs = false, onProgress = () => {} }: ReadSetsInput,
): Promise<ReadSet[]> {
  const read: ReadSet[] = [];
  for (const [index, set] of sets.entries()) {
    const options = { world, batch, positions: POSITIONS, inputs };
    read.push({ ...set, ...(await readActivations(engine, model, set.written, options)) });
    onProgress(index + 1, `activations on ${set.set}`);
  }
  return read;
}

/** The mean activations of one of the sets in a block (from 0), `which`: of POSITIONS. */
export function activationsOf(sets: readonly ReadSet[], set: string, block: number, which = 0): Vectors {
  const { blocks, width } = sets.find((one) => one.set === set)!.means[which]!;
  return { data: blocks[block]!, width };
}

/** Measure 1 of one model in one block (from 0), from its activations: rows with the fields of `from`. `spectra`: of the covariances too. */
export function clusterRows(
  sets: readonly ReadSet[],
  {
    block,
    branches,
    key,
    spectra = false,
  }: {
    readonly block: number;
    /** How many the world has. */
    readonly branches: number;
    /** Of the bootstrap. */
    readonly key: RandomKey;
    readonly spectra?: boolean;
  },
  from: { readonly checkpoint: string; readonly seed: number; readonly step?: number },
): ResultRow[] {
  const attacks = sets.filter(({ set }) => set !== "safe" && set !== "unsafe");
  const succeeded = Object.fromEntries(attacks.map((one) => [one.set, one.succeeded]));
  return POSITIONS.flatMap((q, which) => {
    const vectors = (set: string) => activationsOf(sets, set, block, which);
    const { uniform } = createStream(key, block * POSITIONS.length + which);
    const values: (ClusterValue & { readonly index?: number })[] = clusters({
      safe: vectors("safe"),
      unsafe: vectors("unsafe"),
      branches,
      others: Object.fromEntries(attacks.map(({ set }) => [set, vectors(set)])),
      succeeded,
      random: uniform,
    });
    for (const set of ["safe", "unsafe"]) {
      const { data, width } = vectors(set);
      const n = data.length / width;
      const chance = firstShareOfNoise(n, width);
      values.push({ metric: "sigma1-share", set, value: firstCovarianceShare({ data, width }), n, chance });
      if (spectra && q === 1) values.push(...spectrumValues(vectors(set), set));
    }
    return values.map((value): ResultRow => ({ measure: "clusters", ...from, block: block + 1, index: q, ...value }));
  });
}

/** How many shares of a spectrum are given. */
const SHARES = 10;

/** The spectrum of one class at q = 1: its first shares (index: which), and its effective rank. */
function spectrumValues(vectors: Vectors, set: string): (ClusterValue & { readonly index?: number })[] {
  const n = rowsOf(vectors);
  const spectrum = covarianceSpectrum(vectors);
  const total = spectrum.reduce((sum, value) => sum + value, 0);
  const shares = total === 0 ? [] : [...spectrum.subarray(0, SHARES)].map((value) => value / total);
  return [
    ...shares.map((value, i) => ({
      metric: "sigma-share",
      set,
      index: i + 1,
      value,
      n,
      ...(i === 0 && { chance: firstShareOfNoise(n, vectors.width) }),
    })),
    // Of the centred activations themselves, whose singular values are the roots of the covariance's.
    { metric: "effective-rank", set, value: effectiveRank(spectrum.map(Math.sqrt)), n },
  ];
}
