import { type Interval, seedInterval } from "../stats/intervals.js";
import { mean } from "../stats/moments.js";
import { proportionDifferenceInterval } from "../stats/proportions.js";
import type { ResultRow } from "../study/results.js";
import { tunedMethods } from "./checkpoints.js";
import { allBranches, distinct, finalRows, isJailbreak, overSeeds, select } from "./rows.js";

/** What the paper reports of DPO at the medium rate, read off its figure: its strongest and its weakest attack. */
export const PAPER_ORDER = {
  strongest: { set: "jb-co-text", success: 0.97 },
  weakest: { set: "jb-co-task", success: 0.31 },
} as const;

/** The success of one set minus that of another against one checkpoint. */
export interface Difference {
  readonly value: number;
  /** Absent where the rows do not allow one: a single seed without n. */
  readonly interval: Interval | undefined;
  /** Whether the interval leaves 0 out; `undefined` without one. */
  readonly beyondNoise: boolean | undefined;
}

export interface RankedSet {
  readonly set: string;
  /** Success over all branches and seeds. */
  readonly row: ResultRow;
  /** This set's success minus that of the next weaker one; absent for the weakest. */
  readonly overNext: Difference | undefined;
}

export interface AttackOrder {
  readonly method: string;
  /** The method's checkpoint at the medium rate, or at its first rate where it has no medium one. */
  readonly checkpoint: string;
  /** From the strongest attack to the weakest. */
  readonly ranked: readonly RankedSet[];
  /** JB-CO-Text minus JB-CO-Task, which the paper finds far above 0; absent where either was not measured. */
  readonly paperContrast: Difference | undefined;
}

/** The jailbreak sets by their success against each method at the medium rate, with which neighbours differ beyond noise. */
export function attackOrders(rows: readonly ResultRow[]): AttackOrder[] {
  const perSeed = allBranches(
    finalRows(select(rows, { measure: "behaviour", metric: "instruct" })).filter(
      (row) => row.set !== undefined && isJailbreak(row.set) && row.checkpoint !== undefined,
    ),
  );
  return tunedMethods(distinct(perSeed, "checkpoint")).map(({ method, checkpoints }) => {
    const checkpoint = checkpoints[0]!;
    const own = select(perSeed, { checkpoint });
    const sorted = overSeeds(own)
      .filter((row) => Number.isFinite(row.value))
      .sort((a, b) => b.value - a.value || (a.set! < b.set! ? -1 : 1));
    const between = (first: string, second: string) =>
      difference(select(own, { set: first }), select(own, { set: second }));
    const has = (set: string) => sorted.some((row) => row.set === set);
    const { strongest, weakest } = PAPER_ORDER;
    return {
      method,
      checkpoint,
      ranked: sorted.map((row, i) => ({
        set: row.set!,
        row,
        overNext: i + 1 < sorted.length ? between(row.set!, sorted[i + 1]!.set!) : undefined,
      })),
      paperContrast: has(strongest.set) && has(weakest.set) ? between(strongest.set, weakest.set) : undefined,
    };
  });
}

/**
 * first − second with its 95% interval: over seeds, Student's of the differences paired by seed (a seed's model meets both sets); with one seed, or with
 * seeds whose differences are all alike, Newcombe's of two independent samples.
 */
function difference(first: readonly ResultRow[], second: readonly ResultRow[]): Difference {
  const pairs = first.flatMap((a) => {
    const b = a.seed === undefined ? undefined : second.find((row) => row.seed === a.seed);
    return b ? [a.value - b.value] : [];
  });
  const [a, b] = [overSeeds(first)[0]!, overSeeds(second)[0]!];
  const value = pairs.length > 1 ? mean(pairs) : a.value - b.value;
  const interval = pairs.some((pair) => pair !== pairs[0]) ? seedInterval(pairs) : twoSample(a, b);
  return { value, interval, beyondNoise: interval && (interval.low > 0 || interval.high < 0) };
}

function twoSample(a: ResultRow, b: ResultRow): Interval | undefined {
  if (!a.n || !b.n) return undefined;
  const counted = ({ value, n }: ResultRow) => ({ successes: Math.round(value * n!), n: n! });
  return proportionDifferenceInterval(counted(a), counted(b));
}
