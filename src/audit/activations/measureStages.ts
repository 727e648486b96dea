import {
  activationSinThetas,
  classMeans,
  clusters,
  covarianceSpectrum,
  firstOf,
  firstShare,
  firstShareOfNoise,
  half,
  lengthOf,
  norms,
  refusalDirection,
  rowsOf,
  type Vectors,
} from "../../analysis/index.js";
import { createStream, randomKey } from "../../random/index.js";
import { auc, aucInterval } from "../../stats/auc.js";
import { bootstrapMeanInterval } from "../../stats/intervals.js";
import { mean, quantile } from "../../stats/moments.js";
import { writeRows } from "../../study/assembleResults.js";
import type { ResultRow } from "../../study/results.js";
import type { Stage } from "../../study/stage.js";
import { readKept, readTensors } from "./chunkFiles.js";
import type { AuditModel, Floats } from "./model.js";
import { outsideShare, sampleSpan } from "./sampleSpan.js";
import { modelTitle, type Streams, streamConfig } from "./streamStages.js";

/** The stages that kept a block's activations: at the last prompt token, which predicts the first generated one, and at the first generated token. */
export type Kept = readonly [Stage] | readonly [Stage, Stage];

/** A measure's name at each position that was kept: `NAME` at the last prompt token, `NAME-generated` at the first generated one. */
export function atPositions(measure: string, kept: Kept): { readonly position: number; readonly measure: string }[] {
  return kept.map((_, position) => ({ position, measure: position === 0 ? measure : `${measure}-generated` }));
}

/** Directions that are measured one by one. */
const DIRECTIONS = 15;
/** Prompts have no branches to hold equally: halves are rows 0, 1, 4, 5, .. and the others of each set, in the order of the prompt file. */
const BRANCHES = 1;
const CLASSES = ["safe", "unsafe"] as const;
const seeded = (purpose: string, step: number) => createStream(randomKey(0, purpose), step).uniform;

/** Rows of each set out of vectors of all prompts. data [prompts, width] */
export function bySet({ prompts: { prompts } }: Streams, data: Floats): Record<string, Vectors> {
  const width = data.length / prompts.length;
  const rows = new Map<string, number[]>();
  for (const [row, { set }] of prompts.entries()) rows.set(set, [...(rows.get(set) ?? []), row]);
  return Object.fromEntries(
    [...rows].map(([set, members]) => {
      const own = new Float32Array(members.length * width);
      for (const [i, row] of members.entries()) own.set(data.subarray(row * width, (row + 1) * width), i * width);
      return [set, { data: own, width }];
    }),
  );
}

/** Of the path, the scale-free numbers and the separation: norms of the activations change with alpha. */
const PATH_METRICS = new Set(["separation", "auc", "cosine-auc", "fisher"]);

/**
 * Measure 1 of one model in one block: tau, its twins and the shares of the covariances. Method §3.1. At the last prompt token (q = 1) rows of `clusters`, at the first
 * generated one of `clusters-generated`.
 */
export function clustersStage(streams: Streams, model: AuditModel, layer: number, kept: Kept): Stage {
  return {
    kind: "audit-clusters",
    name: `clusters ${model.name} block ${layer}`,
    version: 1,
    config: { ...(streamConfig(streams, model, layer) as object), checkpoint: model.name },
    inputs: [...kept],
    run: async (context) => {
      const rows: ResultRow[] = [];
      for (const { position, measure } of atPositions("clusters", kept)) {
        // The results contract has q in the index of `clusters`.
        const columns = { measure, ...(position === 0 && { index: 1 }), checkpoint: model.name, block: layer };
        const sets = bySet(streams, (await readKept(context.input(kept[position]!))).activation);
        rows.push(...clusterValues(sets, model, layer, position).map((value) => ({ ...columns, ...value })));
        for (const set of CLASSES) {
          const n = rowsOf(sets[set]!);
          const value = firstShare(covarianceSpectrum(sets[set]!));
          rows.push({
            ...columns,
            metric: "sigma1-share",
            set,
            value,
            n,
            chance: firstShareOfNoise(n, sets[set]!.width),
          });
        }
      }
      await writeRows(context, rows);
    },
  };
}

/** The last prompt token and the first generated one. */
const POSITIONS = 2;

function clusterValues(sets: Readonly<Record<string, Vectors>>, model: AuditModel, layer: number, position: number) {
  const { safe, unsafe, ...others } = sets;
  const random = seeded(`bootstrap audit clusters ${model.name}`, layer * POSITIONS + position);
  return clusters({ safe: safe!, unsafe: unsafe!, branches: BRANCHES, others, random });
}

/**
 * The separation, its AUCs and Fisher's criterion of one point of W + alpha dW in one block, at the last prompt token: rows of `alpha-path`, and those of the last
 * block measured as a study has them, of `interventions`. Method §3.7.
 */
export function alphaPathStage(
  streams: Streams,
  model: AuditModel & { readonly alpha: number },
  layer: number,
  { kept, last }: { readonly kept: Stage; readonly last: boolean },
): Stage {
  return {
    kind: "audit-alpha-path",
    name: `path ${modelTitle(model)} block ${layer}`,
    version: 1,
    config: { ...(streamConfig(streams, model, layer) as object), checkpoint: model.name, alpha: model.alpha, last },
    inputs: [kept],
    run: async (context) => {
      const sets = bySet(streams, (await readKept(context.input(kept))).activation);
      const values = clusterValues(sets, model, layer, 0).filter(({ metric }) => PATH_METRICS.has(metric));
      const at = { checkpoint: model.name, alpha: model.alpha };
      await writeRows(context, [
        ...values.map((value): ResultRow => ({ measure: "alpha-path", ...at, block: layer, ...value })),
        ...(last ? values.map((value): ResultRow => ({ measure: "interventions", ...at, ...value })) : []),
      ]);
    },
  };
}

/** The stages that kept a block's activations of both models. */
export interface KeptOfPair {
  readonly base: Kept;
  readonly tuned: Kept;
}

const inputsOf = ({ base, tuned }: KeptOfPair): Stage[] => [...base, ...tuned];

/**
 * Measure 3 of one block: the angle between what activations span after and before tuning, beside the split half of the base model. Method §3.3. Rows of
 * `activation-space`, and at the first generated token of `activation-space-generated`.
 */
export function activationSpaceStage(
  streams: Streams,
  { base, tuned }: { readonly base: AuditModel; readonly tuned: AuditModel },
  layer: number,
  kept: KeptOfPair,
): Stage {
  return {
    kind: "audit-activation-space",
    name: `activation space block ${layer}`,
    version: 1,
    config: { layer, checkpoints: [base.name, tuned.name], prompts: streams.prompts.sha256 },
    inputs: inputsOf(kept),
    run: async (context) => {
      const rows: ResultRow[] = [];
      for (const { position, measure } of atPositions("activation-space", kept.tuned)) {
        const read = async (stage: Stage) => bySet(streams, (await readKept(context.input(stage))).activation);
        const [before, after] = [await read(kept.base[position]!), await read(kept.tuned[position]!)];
        for (const set of CLASSES)
          rows.push(...spaceRows([base.name, tuned.name], before[set]!, after[set]!, { measure, set, block: layer }));
      }
      await writeRows(context, rows);
    },
  };
}

/** Of one class at one position: the other half of the base model's activations, which is the null, and that of the tuned one's, against what the first half spans. */
function spaceRows(
  checkpoints: readonly [string, string],
  before: Vectors,
  after: Vectors,
  at: Pick<ResultRow, "measure" | "set" | "block">,
): ResultRow[] {
  const first = sampleSpan(half(before, 0, BRANCHES));
  const space = firstOf(first.directions, first.rank);
  const angles = (vectors: Vectors) => {
    const span = sampleSpan(vectors);
    return {
      single: activationSinThetas(space, { ...span, gram: new Float64Array(0) }, DIRECTIONS),
      all: outsideShare(space, vectors),
    };
  };
  const [null_, found] = [angles(half(before, 1, BRANCHES)), angles(half(after, 1, BRANCHES))];
  const n = rowsOf(half(after, 1, BRANCHES));
  return [null_, found].flatMap(({ single, all }, which): ResultRow[] => {
    const columns = { ...at, checkpoint: checkpoints[which]!, n };
    const angle = (metric: string, value: number, chance: number | undefined, index?: number): ResultRow => ({
      ...{ ...columns, metric, ...(index !== undefined && { index }), value },
      ...(chance !== undefined && { chance }),
    });
    return [
      ...Array.from(single, (value, i) => angle("sin-theta", value, null_.single[i], i + 1)),
      ...(all === undefined ? [] : [angle("sin-theta-all", all, null_.all)]),
    ];
  });
}

/**
 * The difference-of-means direction r = mu^U - mu^S of the residual stream after one block, at the last prompt token, from one half of the prompts: its `norm`, its
 * `norm-share` of the mean state's, `auc` of the other half's projections on it (unsafe above safe), and `base-cosine` with the base model's. Arditi et al. 2024.
 * At the first generated token the same as rows of `refusal-direction-generated`.
 */
export function refusalDirectionStage(
  streams: Streams,
  { base, tuned }: { readonly base: AuditModel; readonly tuned: AuditModel },
  layer: number,
  kept: KeptOfPair,
): Stage {
  return {
    kind: "audit-refusal-direction",
    name: `refusal direction block ${layer}`,
    version: 2,
    config: { layer, checkpoints: [base.name, tuned.name], prompts: streams.prompts.sha256 },
    inputs: inputsOf(kept),
    run: async (context) => {
      const rows: ResultRow[] = [];
      for (const { position, measure } of atPositions("refusal-direction", kept.tuned)) {
        const directions: Float64Array[] = [];
        for (const [model, stage] of [
          [base, kept.base[position]!],
          [tuned, kept.tuned[position]!],
        ] as const) {
          const sets = bySet(streams, (await readKept(context.input(stage))).stream);
          const found = directionRows(sets, { measure, checkpoint: model.name, block: layer });
          directions.push(found.direction);
          rows.push(...found.rows);
        }
        const cosine = cosineOf(directions[0]!, directions[1]!);
        // Two random directions of d dimensions have |cos| of about 1 / sqrt(d); the sign is free of chance.
        if (cosine !== undefined)
          rows.push({
            ...{ measure, checkpoint: tuned.name, block: layer },
            ...{ metric: "base-cosine", value: cosine, chance: 0 },
          });
      }
      await writeRows(context, rows);
    },
  };
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

/** 5, 10, .., 95 percent. */
const PERCENTS = Array.from({ length: 19 }, (_, i) => 5 * (i + 1));

/**
 * Measure 5: |d max_j z_j / d e| of each prompt, z the logits at its last token, e the token embeddings: means, quantiles and, of the tuned model, the change from
 * the base model on the same prompts. Method §3.5. @param backward the backward stages of block 1.
 */
export function sensitivityStage(
  streams: Streams,
  model: AuditModel,
  { own, base }: { readonly own: Stage; readonly base?: Stage },
): Stage {
  return {
    kind: "audit-sensitivity",
    name: `sensitivity ${model.name}`,
    version: 1,
    config: { ...(streamConfig(streams, model) as object), checkpoint: model.name },
    inputs: base === undefined ? [own] : [own, base],
    run: async (context) => {
      const read = async (stage: Stage) =>
        Float64Array.from((await readTensors(context.input(stage), "lipschitz")).lipschitz!.data);
      const [norm, reference] = [await read(own), base === undefined ? undefined : await read(base)];
      const sets = new Map<string, number[]>();
      for (const [row, { set }] of streams.prompts.prompts.entries()) sets.set(set, [...(sets.get(set) ?? []), row]);
      const rows: ResultRow[] = [];
      for (const [index, [set, members]] of [...sets].entries()) {
        const columns = { measure: "sensitivity", checkpoint: model.name, set } as const;
        const random = seeded(`bootstrap audit sensitivity ${model.name}`, index);
        const values = Float64Array.from(members, (row) => norm[row]!);
        const mean_ = (numbers: Float64Array) => ({
          ...{ value: mean(numbers), n: numbers.length },
          ...bootstrapMeanInterval(numbers, { random }),
        });
        rows.push({ ...columns, metric: "lipschitz", ...mean_(values) });
        for (const percent of PERCENTS)
          rows.push({
            ...{ ...columns, metric: "lipschitz-quantile", index: percent },
            ...{ value: quantile(values, percent / 100), n: values.length },
          });
        if (reference !== undefined) {
          const change = values.map((value, i) => value - reference[members[i]!]!);
          rows.push({ ...columns, metric: "lipschitz-change", ...mean_(change), chance: 0 });
        }
      }
      await writeRows(context, rows);
    },
  };
}
