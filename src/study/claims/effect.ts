import {
  dependentMean,
  differenceEstimate,
  type Estimate,
  independentMean,
  spearman,
  spearmanInterval,
} from "../../stats/combine.js";
import { upperGamma } from "../../stats/gamma.js";
import { seedInterval, Z95 } from "../../stats/intervals.js";
import { mean, standardDeviation } from "../../stats/moments.js";
import { studentCdf } from "../../stats/student.js";
import type { ResultRow } from "../results.js";
import type { ClaimPart, Contrast, Selection } from "./schema.js";
import { type BySeed, derived, estimateOf, haveIntervals, selectRows } from "./select.js";

/** A part's effect beside its null. All in the unit of the effect. */
export interface Effect {
  readonly value: number;
  readonly null: number;
  /** 95% interval of the effect; where the null has a spread of its own, it is in here too. */
  readonly low: number;
  readonly high: number;
  /** One-sided p values of "at most `above`" and "at least `below`", from the distribution that the interval comes from. */
  readonly pAbove: (bound: number) => number;
  readonly pBelow: (bound: number) => number;
}

/** What the rows say of a part. */
export interface Measured {
  readonly effect?: Effect;
  readonly value?: number;
  readonly null?: number;
  /** The fewest samples that any of the effect's rows rests on. */
  readonly n?: number;
  readonly seeds: number;
  /** Why there is no effect. */
  readonly reason?: string;
}

/** One seed's numbers, on the scale on which they are compared: logarithms for a ratio. */
interface SeedEffect {
  readonly effect: Estimate;
  /** Whether the effect has an interval, or is a property of weights alone and exact. */
  readonly sampled: boolean;
  readonly null: Estimate;
  readonly nullSampled: boolean;
  readonly n: number | undefined;
}

/** The effect of a part from a run's rows, with its interval against its null. Never throws for what is not there. */
export function measure(part: ClaimPart, rows: readonly ResultRow[]): Measured {
  const contrast = part.contrast ?? (part.against === undefined ? "value" : "difference");
  const of = selectRows(rows, part.of);
  const against = part.against === undefined ? undefined : selectRows(rows, derived(part.of, part.against));
  const nullRows = typeof part.chance === "object" ? selectRows(rows, derived(part.of, part.chance)) : undefined;
  for (const found of [of, against, nullRows])
    if (typeof found === "string") return { seeds: 0, reason: `not measured: ${found}` };
  const sides = { of: of as BySeed, against: against as BySeed | undefined, null: nullRows as BySeed | undefined };
  const perSeed: SeedEffect[] = [];
  let reason: string | undefined;
  for (const seed of sides.of.keys()) {
    // What is said over all seeds serves every seed.
    const rowsOf = (side: BySeed | undefined) => side?.get(seed) ?? side?.get(undefined);
    const own = {
      of: sides.of.get(seed)!,
      ...(sides.against && { against: rowsOf(sides.against) }),
      ...(sides.null && { null: rowsOf(sides.null) }),
    };
    if (Object.values(own).some((one) => one === undefined)) continue;
    const one = seedEffect(part, contrast, own as SeedRows);
    if (typeof one === "string") reason ??= one;
    else perSeed.push(one);
  }
  if (perSeed.length === 0) return { seeds: 0, reason: reason ?? "not measured: no seed has all the rows" };
  return combine(perSeed, contrast === "ratio" ? LOGARITHM : IDENTITY);
}

interface SeedRows {
  readonly of: readonly ResultRow[];
  readonly against?: readonly ResultRow[];
  readonly null?: readonly ResultRow[];
}

interface Scale {
  readonly to: (value: number) => number;
  readonly from: (value: number) => number;
}
const IDENTITY: Scale = { to: (value) => value, from: (value) => value };
const LOGARITHM: Scale = { to: Math.log, from: Math.exp };

function seedEffect(part: ClaimPart, contrast: Contrast, rows: SeedRows): SeedEffect | string {
  const { to } = contrast === "ratio" ? LOGARITHM : IDENTITY;
  const scaled = ({ value, low, high }: Estimate): Estimate => ({ value: to(value), low: to(low), high: to(high) });
  const averaged = (side: readonly ResultRow[]) => scaled(dependentMean(side.map(estimateOf)));
  const read = [...rows.of, ...(rows.against ?? [])];
  const counts = read.flatMap((row) => row.n ?? []);
  let effect: Estimate;
  let sampled = haveIntervals(read);
  if (contrast === "correlation") {
    const pairs = pairsOf(part.of, rows.of, rows.against ?? []);
    if (pairs.length < 3) return `not measured: ${pairs.length} pairs, too few to correlate`;
    const rho = spearman(
      pairs.map(([x]) => x),
      pairs.map(([, y]) => y),
    );
    effect = { value: rho, ...spearmanInterval(rho, pairs.length) };
    sampled = true;
  } else if (rows.against === undefined) effect = averaged(rows.of);
  else effect = differenceEstimate(averaged(rows.of), averaged(rows.against));
  let null_: Estimate;
  let nullSampled = false;
  if (typeof part.chance === "number") null_ = exact(to(part.chance));
  else if (part.chance === "own") {
    const chances = rows.of.flatMap((row) => row.chance ?? []);
    if (chances.length < rows.of.length) return "not measured: the rows have no chance level";
    null_ = exact(to(mean(chances)));
  } else {
    null_ = averaged(rows.null!);
    nullSampled = haveIntervals(rows.null!);
  }
  const numbers = [effect.value, null_.value, ...(sampled ? [effect.low, effect.high] : [])];
  if (!numbers.every((one) => Number.isFinite(one)))
    return contrast === "ratio"
      ? "no interval: a ratio needs rows whose intervals lie above 0"
      : "no interval: the effect is not defined";
  return { effect, sampled, null: null_, nullSampled, n: counts.length === 0 ? undefined : Math.min(...counts) };
}

const exact = (value: number): Estimate => ({ value, low: value, high: value });

/** Pairs of rows with the same values in the fields of which the selection names several. */
function pairsOf(of: Selection, x: readonly ResultRow[], y: readonly ResultRow[]): (readonly [number, number])[] {
  const several = Object.entries(of).flatMap(([field, value]) =>
    Array.isArray(value) || value === "all" ? [field as keyof ResultRow] : [],
  );
  const key = (row: ResultRow) => JSON.stringify(several.map((field) => row[field]));
  return x.flatMap((one) => {
    const other = y.find((row) => key(row) === key(one));
    return other === undefined ? [] : [[one.value, other.value] as const];
  });
}

/** One seed: the rows' own intervals. Several: Student's over the seeds' differences to their null. */
function combine(perSeed: readonly SeedEffect[], { to, from }: Scale): Measured {
  const seeds = perSeed.length;
  const counts = perSeed.flatMap(({ n }) => n ?? []);
  const value = mean(perSeed.map(({ effect }) => effect.value));
  const centre = mean(perSeed.map((one) => one.null.value));
  const known = {
    ...{ seeds, value: from(value), null: from(centre) },
    ...(counts.length > 0 && { n: Math.min(...counts) }),
  };
  const gaps = perSeed.map(({ effect, null: null_ }) => effect.value - null_.value);
  const gap = mean(gaps);
  const spread = seeds > 1 ? standardDeviation(gaps) : 0;
  const finish = (
    interval: { low: number; high: number },
    tail: (gap: number, side: "low" | "high") => number,
  ): Measured => ({
    ...known,
    effect: {
      value: from(value),
      null: from(centre),
      low: from(centre + interval.low),
      high: from(centre + interval.high),
      pAbove: (bound) => tail(gap - (to(bound) - centre), "low"),
      pBelow: (bound) => tail(to(bound) - centre - gap, "high"),
    },
  });
  if (spread > 0) {
    const error = spread / Math.sqrt(seeds);
    return finish(seedInterval(gaps), (distance) => 1 - studentCdf(distance / error, seeds - 1));
  }
  // One seed, or seeds that agree to the last digit and have no spread for Student: what the samples within them allow.
  const within = perSeed.map((one) => differenceEstimate(one.effect, one.null));
  if (!perSeed.every(({ sampled, nullSampled }) => sampled || nullSampled))
    return {
      ...known,
      reason: `no interval: ${seeds === 1 ? "one seed, and neither the rows nor their null have a spread; use more seeds" : "the seeds do not differ"}`,
    };
  const { low, high } = independentMean(within);
  return finish({ low, high }, (distance, side) => {
    const half = side === "low" ? gap - low : high - gap;
    return half > 0 ? normalTail((distance / half) * Z95) : distance > 0 ? 0 : 1;
  });
}

/** P(Z ≥ z) of the standard normal. */
function normalTail(z: number): number {
  const tail = upperGamma(0.5, z ** 2 / 2) / 2;
  return z >= 0 ? tail : 1 - tail;
}
