import {
  behaviour,
  type Checkpoint,
  classMeans,
  decodeGreedily,
  half,
  judge,
  lipschitz,
  rowsOf,
  tau,
  trueAnswers,
} from "../../analysis/index.js";
import { auc, aucInterval } from "../../stats/auc.js";
import { bootstrapMeanDifferenceInterval, bootstrapMeanInterval, seedInterval } from "../../stats/intervals.js";
import { mean } from "../../stats/moments.js";
import type { Engine } from "../../tensor/index.js";
import type { Samples, TestSet, World } from "../../world/index.js";
import type { ResultRow } from "../results.js";

/** One quantity of one changed model. */
export type IntervenedRow = Pick<ResultRow, "metric" | "set" | "value" | "n" | "low" | "high" | "chance">;

export interface IntervenedInput {
  readonly world: World;
  readonly tested: readonly { readonly set: TestSet; readonly samples: Samples }[];
  readonly batch: number;
  /** Uniform in [0, 1), of the bootstrap. */
  readonly random: () => number;
}

/** A further measure along every curve, such as sensitivity. Its name is part of a stage's identity. */
export interface InterventionMeasure {
  readonly name: string;
  readonly measure: (engine: Engine, model: Checkpoint, input: IntervenedInput) => Promise<readonly IntervenedRow[]>;
}

/** The local Lipschitz constant of safe and of unsafe prompts, in one pass over both. Method §3.5. */
const sensitivityAlong: InterventionMeasure = {
  name: "lipschitz",
  measure: async (engine, model, { world, tested, batch, random }) => {
    const sets = tested.filter(({ set }) => set === "safe" || set === "unsafe");
    const norms = await lipschitz(engine, model, joined(sets.map(({ samples }) => samples)), { world, batch });
    let done = 0;
    return sets.map(({ set, samples: { count } }) => {
      const own = norms.subarray(done, (done += count));
      const interval = bootstrapMeanInterval(own, { random });
      return { metric: "lipschitz", set, value: mean(own), n: count, ...interval };
    });
  },
};

/** Measured along every curve beside what always is: a measure of `src/analysis` is plugged in here. */
export const FURTHER_MEASURES: readonly InterventionMeasure[] = [sensitivityAlong];

/**
 * What a changed model does: greedy behaviour on every set; separation and AUC of the clusters in the last block (q = 1); mean CE of the true
 * output on safe and unsafe samples; then the further measures. `unsafe`: outcome of each unsafe sample. [count]
 */
export async function measureIntervened(
  engine: Engine,
  model: Checkpoint,
  input: IntervenedInput,
  measures: readonly InterventionMeasure[] = [],
): Promise<{ readonly rows: readonly IntervenedRow[]; readonly unsafe: Uint8Array }> {
  const { world, tested, batch, random } = input;
  const rows: IntervenedRow[] = [];
  const samplesOf = (set: TestSet) => tested.find((one) => one.set === set)!.samples;
  let unsafe = new Uint8Array();
  // All sets pass through the model together: one large batch is far cheaper than eight small ones.
  const together = joined(tested.map(({ samples }) => samples));
  const outputs = await decodeGreedily(engine, model, together, { world, batch });
  let done = 0;
  for (const { set, samples } of tested) {
    const written = outputs.subarray(done * world.maxText, (done + samples.count) * world.maxText);
    done += samples.count;
    const outcomes = judge(samples, written, world.vocabulary.nullToken);
    if (set === "unsafe") unsafe = outcomes.outcome.slice();
    for (const { metric, branch, ...share } of behaviour(samples, outcomes, { choices: world.vocabulary.size }))
      if (branch === undefined && metric !== "first-token-null") rows.push({ metric, set, ...share });
  }

  const [safe, unsafeSamples] = [samplesOf("safe"), samplesOf("unsafe")];
  const both = await trueAnswers(engine, model, joined([safe, unsafeSamples]), { world, batch });
  const part = (from: number, to: number) => ({
    loss: both.loss.subarray(from, to),
    vectors: {
      data: both.lastBlock.data.subarray(from * both.lastBlock.width, to * both.lastBlock.width),
      width: both.lastBlock.width,
    },
  });
  const sides = { safe: part(0, safe.count), unsafe: part(safe.count, safe.count + unsafeSamples.count) };
  for (const set of ["safe", "unsafe"] as const) {
    const { loss } = sides[set];
    rows.push({
      ...{ metric: "loss", set, value: mean(loss), n: loss.length },
      ...bootstrapMeanInterval(loss, { random }),
      chance: Math.log(world.vocabulary.size),
    });
  }
  const halves = (which: 0 | 1) =>
    [sides.safe, sides.unsafe].map(({ vectors }) => half(vectors, which, world.branches.length));
  const [meanSafe, meanUnsafe] = halves(0);
  const means = classMeans(meanSafe!, meanUnsafe!);
  const [tauSafe, tauUnsafe] = halves(1).map((vectors) => tau(vectors, means));
  const [nSafe, nUnsafe] = halves(1).map(rowsOf);
  const area = auc(tauSafe!, tauUnsafe!);
  rows.push(
    {
      ...{ metric: "separation", value: mean(tauSafe!) - mean(tauUnsafe!), n: nSafe! + nUnsafe! },
      ...bootstrapMeanDifferenceInterval(tauSafe!, tauUnsafe!, { random }),
      chance: 0,
    },
    { metric: "auc", value: area, n: nSafe! + nUnsafe!, ...aucInterval(area, nSafe!, nUnsafe!), chance: 0.5 },
  );
  for (const { measure } of measures) rows.push(...(await measure(engine, model, input)));
  return { rows, unsafe };
}

/** Samples one set after another. */
function joined(sets: readonly Samples[]): Samples {
  const join = <T extends Int32Array | Uint8Array>(of: (samples: Samples) => T): T => {
    const parts = sets.map(of);
    const out = new (parts[0]!.constructor as new (size: number) => T)(parts.reduce((sum, one) => sum + one.length, 0));
    let at = 0;
    for (const one of parts) {
      out.set(one, at);
      at += one.length;
    }
    return out;
  };
  return {
    ...sets[0]!,
    count: sets.reduce((sum, { count }) => sum + count, 0),
    tokens: join((samples) => samples.tokens),
    textLength: join((samples) => samples.textLength),
    answerStart: join((samples) => samples.answerStart),
    grammar: join((samples) => samples.grammar),
    branch: join((samples) => samples.branch),
    label: join((samples) => samples.label),
  };
}

const SHARES: ReadonlySet<string> = new Set(["instruct", "null", "other", "auc"]);

/**
 * Several draws of one quantity as one row: their mean, n draws, and an interval that holds Student's over draws and is never narrower than the samples of a
 * single draw leave it. Rows of a single draw stay as they are.
 */
export function overDraws(rows: readonly ResultRow[]): ResultRow[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const key = [row.checkpoint, row.metric, row.set, row.matrix, row.alpha, row.index].join("|");
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((draws) => {
    const [first] = draws as [ResultRow, ...ResultRow[]];
    if (draws.length === 1) return first;
    const value = mean(draws.map((draw) => draw.value));
    const spread = seedInterval(draws.map((draw) => draw.value));
    const below = mean(draws.map((draw) => draw.value - (draw.low ?? draw.value)));
    const above = mean(draws.map((draw) => (draw.high ?? draw.value) - draw.value));
    const [least, most] = SHARES.has(first.metric) ? [0, 1] : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    return {
      ...first,
      value,
      n: draws.length,
      low: Math.max(least, Math.min(spread.low, value - below)),
      high: Math.min(most, Math.max(spread.high, value + above)),
    };
  });
}
