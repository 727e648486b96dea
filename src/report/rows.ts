import { wilsonInterval } from "../stats/intervals.js";
import { overSeeds } from "../study/overSeeds.js";
import type { ResultRow } from "../study/results.js";
import { isComposed } from "./checkpoints.js";

export { overSeeds };

/**
 * The rows that speak of finished checkpoints and of all attempts: without an intermediate `step` of tuning and without an `outcome`. Every figure
 * and table starts from these unless it is about dynamics, or about successes and failures apart.
 */
export function finalRows(rows: readonly ResultRow[]): ResultRow[] {
  return rows.filter((row) => row.step === undefined && row.outcome === undefined);
}

/** Fields that a row must have with exactly these values; `undefined` asks that the field is absent. */
export type Where = { readonly [Field in keyof ResultRow]?: ResultRow[Field] | undefined };

/** The rows that match, in their order. */
export function select<Row extends ResultRow>(rows: readonly Row[], where: Where): Row[] {
  const wanted = Object.entries(where) as [keyof ResultRow, unknown][];
  return rows.filter((row: ResultRow) => wanted.every(([field, value]) => row[field] === value));
}

/** The distinct values of a field, in order of first appearance; rows without it are passed over. */
export function distinct<Field extends keyof ResultRow>(
  rows: readonly ResultRow[],
  field: Field,
): NonNullable<ResultRow[Field]>[] {
  return [...new Set(rows.map((row) => row[field]).filter((value) => value !== undefined))] as NonNullable<
    ResultRow[Field]
  >[];
}

/**
 * Rows of a null's distribution over seeds: mean, low and high averaged each, for they are the null's own quantiles and no interval of its mean.
 */
export function nullsOverSeeds(rows: readonly ResultRow[]): ResultRow[] {
  const key = ({ metric, checkpoint, set, block, matrix, index }: ResultRow) =>
    JSON.stringify([metric, checkpoint, set, block, matrix, index]);
  const ends = (field: "low" | "high") =>
    new Map(
      overSeeds(
        rows.flatMap((row) => {
          const { low: _low, high: _high, ...rest } = row;
          return row[field] === undefined ? [] : [{ ...rest, value: row[field] }];
        }),
      ).map((row) => [key(row), row.value]),
    );
  const [lows, highs] = [ends("low"), ends("high")];
  return overSeeds(rows).map((row) => {
    const { low: _low, high: _high, ...rest } = row;
    const [low, high] = [lows.get(key(row)), highs.get(key(row))];
    return { ...rest, ...(low !== undefined && high !== undefined && { low, high }) };
  });
}

/**
 * The rows that speak of all branches together; a quantity measured on one branch alone (mixed text has no other) stands for the whole.
 */
export function allBranches(rows: readonly ResultRow[]): ResultRow[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const { measure, metric, checkpoint, set, outcome, block, matrix, index, alpha, step, seed } = row;
    const key = JSON.stringify([measure, metric, checkpoint, set, outcome, block, matrix, index, alpha, step, seed]);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()].flatMap((group) => {
    const whole = group.filter((row) => row.branch === undefined);
    if (whole.length > 0) return whole;
    return group.length === 1 ? group : [];
  });
}

/** A share's interval as written, or Wilson's from its count where the row has none: a share is never shown bare when n is known. */
export function shareInterval(row: ResultRow): { readonly low: number; readonly high: number } | undefined {
  if (row.low !== undefined && row.high !== undefined)
    return { low: Math.max(0, row.low), high: Math.min(1, row.high) };
  if (row.n === undefined || !(row.value >= 0 && row.value <= 1)) return undefined;
  return wilsonInterval(Math.round(row.value * row.n), row.n);
}

/** Measures whose rows may name two checkpoints or a part of one. */
const COMPOSING: ReadonlySet<string> = new Set(["interventions", "overlap"]);

/** The checkpoints that rows name, without the composed names of interventions and pairs; elsewhere a name with such signs is just a name. */
export function plainCheckpoints(rows: readonly ResultRow[]): string[] {
  return distinct(
    rows.filter(({ measure, checkpoint }) => !(COMPOSING.has(measure) && isComposed(checkpoint ?? ""))),
    "checkpoint",
  );
}

/** Sets in reading order: `safe`, `unsafe`, jailbreak sets by name, then the others by name and by the strength in it (5 before 10). */
export function orderSets(sets: readonly string[]): string[] {
  const rank = (set: string) => (set === "safe" ? 0 : set === "unsafe" ? 1 : isJailbreak(set) ? 2 : 3);
  const stem = (set: string) => set.replace(/-?\d+$/, "");
  const strength = (set: string) => Number(/\d+$/.exec(set)?.[0] ?? -1);
  const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return [...sets].sort(
    (a, b) => rank(a) - rank(b) || byText(stem(a), stem(b)) || strength(a) - strength(b) || byText(a, b),
  );
}

/** Whether a set attacks the refusal: its name begins with `jb-`. */
export function isJailbreak(set: string): boolean {
  return set.startsWith("jb-");
}
