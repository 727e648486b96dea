import { classMeans, half, lengthOf, norms, refusalDirection, rowsOf, type Vectors } from "../../analysis/index.js";
import { auc, aucInterval } from "../../stats/auc.js";
import { bootstrapMeanInterval } from "../../stats/intervals.js";
import { mean } from "../../stats/moments.js";
import type { ResultRow } from "../../study/results.js";
import type { Stage } from "../../study/stage.js";
import { BRANCHES, seeded } from "./keptSets.js";
import { type PairBlock, pairMeasureStage } from "./pairMeasure.js";
import type { Streams } from "./streamStages.js";

/**
 * The difference-of-means direction r = mu^U - mu^S of the residual stream after one block, at the last prompt token, from one half of the prompts: its `norm`, its
 * `norm-share` of the mean state's, `auc` of the other half's projections on it (unsafe above safe), and `base-cosine` with the base model's. Arditi et al. 2024.
 * At the first generated token the same as rows of `refusal-direction-generated`.
 */
export function refusalDirectionStage(streams: Streams, block: PairBlock): Stage {
  const { base, tuned, layer } = block;
  return pairMeasureStage(streams, block, {
    measure: "refusal-direction",
    title: "refusal direction",
    version: 2,
    of: "stream",
    rows: (before, after, measure) => {
      const [first, second] = [
        directionRows(before, { measure, checkpoint: base.name, block: layer }),
        directionRows(after, { measure, checkpoint: tuned.name, block: layer }),
      ];
      const value = cosineOf(first.direction, second.direction);
      const columns = { measure, checkpoint: tuned.name, block: layer };
      // Two random directions of d dimensions have |cos| of about 1 / sqrt(d); the sign is free of chance.
      const cosine = value === undefined ? [] : [{ ...columns, metric: "base-cosine", value, chance: 0 }];
      return [...first.rows, ...second.rows, ...cosine];
    },
  });
}

/** The direction of one model in one block at one position, and what is said of it alone. */
function directionRows(
  sets: Readonly<Record<string, Vectors>>,
  columns: { readonly measure: string; readonly checkpoint: string; readonly block: number },
): { readonly direction: Float64Array; readonly rows: ResultRow[] } {
  const { safe, unsafe, ...others } = sets as { safe: Vectors; unsafe: Vectors };
  const r = refusalDirection(half(safe, 0, BRANCHES), half(unsafe, 0, BRANCHES));
  const used = rowsOf(half(safe, 0, BRANCHES)) + rowsOf(half(unsafe, 0, BRANCHES));
  const state = mean([...norms(safe), ...norms(unsafe)]);
  const along = (vectors: Vectors) => projections(half(vectors, 1, BRANCHES), r);
  const [a, b] = [along(unsafe), along(safe)];
  const [value, n] = [auc(a, b), a.length + b.length];
  const rows: ResultRow[] = [
    { ...columns, metric: "norm", value: lengthOf(r), n: used },
    ...(state > 0 ? [{ ...columns, metric: "norm-share", value: lengthOf(r) / state, n: used }] : []),
    { ...columns, metric: "auc", value, n, ...aucInterval(value, a.length, b.length), chance: 0.5 },
    ...Object.entries<Vectors>(others).map(([set, vectors]) => projectionShare(vectors, sets, { ...columns, set })),
  ];
  return { direction: r, rows };
}

/**
 * Where a further set stands between the classes along r: 0 at the safe mean, 1 at the unsafe one (both of the first half); its mean with a bootstrap
 * interval over its prompts.
 */
function projectionShare(
  vectors: Vectors,
  sets: Readonly<Record<string, Vectors>>,
  columns: {
    readonly measure: string;
    readonly checkpoint: string;
    readonly block: number;
    readonly set: string;
  },
): ResultRow {
  const means = classMeans(half(sets.safe!, 0, BRANCHES), half(sets.unsafe!, 0, BRANCHES));
  const r = means.unsafe.map((value, i) => value - means.safe[i]!);
  const scale = r.reduce((total, value) => total + value * value, 0);
  const start = r.reduce((total, value, i) => total + value * means.safe[i]!, 0);
  const values = projections(vectors, r).map((value) => (scale === 0 ? 0 : (value - start) / scale));
  const { measure, checkpoint, set, block } = columns;
  const random = seeded(`bootstrap audit ${measure} ${checkpoint} ${set}`, block);
  return {
    ...columns,
    metric: "place",
    value: mean(values),
    n: values.length,
    ...bootstrapMeanInterval(values, { random }),
  };
}

/** x . r of each row. [count] */
function projections({ data, width }: Vectors, r: Float64Array): Float64Array {
  return Float64Array.from({ length: data.length / width }, (_, row) => {
    let total = 0;
    for (let i = 0; i < width; i++) total += data[row * width + i]! * r[i]!;
    return total;
  });
}

function cosineOf(a: Float64Array, b: Float64Array): number | undefined {
  const scale = lengthOf(a) * lengthOf(b);
  return scale === 0 ? undefined : a.reduce((total, value, i) => total + value * b[i]!, 0) / scale;
}
