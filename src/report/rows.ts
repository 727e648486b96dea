import { seedInterval, wilsonInterval } from "../stats/intervals.js";
import { mean } from "../stats/moments.js";
import type { ResultRow } from "../study/results.js";

/** Fields that a row must have with exactly these values; `undefined` asks that the field is absent. */
export type Where = { readonly [Field in keyof ResultRow]?: ResultRow[Field] | undefined };

/** The rows that match, in their order. */
export function select(rows: readonly ResultRow[], where: Where): ResultRow[] {
  const wanted = Object.entries(where) as [keyof ResultRow, unknown][];
  return rows.filter((row) => wanted.every(([field, value]) => row[field] === value));
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
 * One row per quantity, over seeds: the study's own row without a seed where there is one, else the only seed's row, else the mean over seeds with
 * Student's interval. Training curves keep their seeds and do not come here.
 */
export function overSeeds(rows: readonly ResultRow[]): ResultRow[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const { measure, metric, checkpoint, set, branch, block, matrix, index, alpha, step } = row;
    const key = JSON.stringify([measure, metric, checkpoint, set, branch, block, matrix, index, alpha, step]);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()].map(combineSeeds);
}

function combineSeeds(group: readonly ResultRow[]): ResultRow {
  const whole = group.find((row) => row.seed === undefined);
  if (whole) return whole;
  const first = group[0]!;
  const { seed: _seed, n: _n, low: _low, high: _high, chance: _chance, ...shared } = first;
  if (group.length === 1) {
    const { seed: _only, ...row } = first;
    return row;
  }
  const values = group.map((row) => row.value);
  const chances = group.map((row) => row.chance).filter((chance) => chance !== undefined);
  const counts = group.map((row) => row.n).filter((n) => n !== undefined);
  return {
    ...shared,
    value: mean(values),
    ...seedInterval(values),
    ...(counts.length > 0 && { n: counts.reduce((total, n) => total + n, 0) }),
    ...(chances.length > 0 && { chance: mean(chances) }),
  };
}

/**
 * The rows that speak of all branches together; a quantity measured on one branch alone (mixed text has no other) stands for the whole.
 */
export function allBranches(rows: readonly ResultRow[]): ResultRow[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const { measure, metric, checkpoint, set, block, index, step, seed } = row;
    const key = JSON.stringify([measure, metric, checkpoint, set, block, index, step, seed]);
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

/** Checkpoints in reading order: `instruct` first (before tuning), the others by name. */
export function orderCheckpoints(checkpoints: readonly string[]): string[] {
  return [...checkpoints].sort((a, b) => {
    if ((a === BASELINE) !== (b === BASELINE)) return a === BASELINE ? -1 : 1;
    return a < b ? -1 : a > b ? 1 : 0;
  });
}

/** Sets in reading order: `safe`, `unsafe`, then the others by name. */
export function orderSets(sets: readonly string[]): string[] {
  const rank = (set: string) => (set === "safe" ? 0 : set === "unsafe" ? 1 : 2);
  return [...sets].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0));
}

/** The checkpoint before safety tuning, W_IT. */
export const BASELINE = "instruct";

/** Whether a set attacks the refusal: its name begins with `jb-`. */
export function isJailbreak(set: string): boolean {
  return set.startsWith("jb-");
}
