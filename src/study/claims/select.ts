import { closest, distance } from "fastest-levenshtein";
import type { Estimate } from "../../stats/combine.js";
import type { ResultRow } from "../results.js";
import type { PartialSelection, Selection } from "./schema.js";

/** The fields that a selection may name beside measure and metric; a row must not have those that it does not name. */
const FIELDS = ["checkpoint", "set", "branch", "outcome", "block", "matrix", "index", "alpha", "step"] as const;

/** The rows that a selection reads, by seed; rows without a seed (over all seeds) are under `undefined`. */
export type BySeed = ReadonlyMap<number | undefined, readonly ResultRow[]>;

/** The selection of the other side: `of` with some fields changed; null takes a field away. */
export function derived(of: Selection, changes: PartialSelection): Selection {
  return { ...of, ...changes } as Selection;
}

/** The rows of a selection; a string says what was not measured, for "not measured: ...". */
export function selectRows(rows: readonly ResultRow[], wanted: Selection): BySeed | string {
  const ofMeasure = rows.filter((row) => row.measure === wanted.measure);
  if (ofMeasure.length === 0) return `the run has no results of "${wanted.measure}"`;
  const ofMetric = ofMeasure.filter((row) => row.metric === wanted.metric);
  if (ofMetric.length === 0) {
    const nearest = closest(wanted.metric, [...new Set(ofMeasure.map((row) => row.metric))]);
    const hint = distance(nearest, wanted.metric) <= 2 ? ` (did you mean "${nearest}"?)` : "";
    return `${wanted.measure} has no metric "${wanted.metric}"${hint}`;
  }
  // Blocks by place count to the deepest block of the rows that match in everything else.
  const others = ofMetric.filter((row) => FIELDS.every((field) => field === "block" || accepts(wanted, field, row)));
  const deepest = Math.max(0, ...others.map((row) => row.block ?? 0));
  const found = others.filter((row) => acceptsBlock(wanted.block, row.block, deepest));
  if (found.length === 0) return describe(wanted);
  const bySeed = new Map<number | undefined, ResultRow[]>();
  for (const row of found) bySeed.set(row.seed, [...(bySeed.get(row.seed) ?? []), row]);
  for (const field of FIELDS) {
    const values = wanted[field] as unknown;
    if (!Array.isArray(values) || field === "block") continue;
    // A list asks for each of its values: a mean over fewer would be another quantity.
    for (const value of values)
      for (const [seed, own] of bySeed) if (!own.some((row) => row[field] === value)) bySeed.delete(seed);
  }
  return bySeed.size === 0 ? describe(wanted) : bySeed;
}

function accepts(wanted: Selection, field: (typeof FIELDS)[number], row: ResultRow): boolean {
  const values = wanted[field] ?? undefined;
  if (values === "all") return row[field] !== undefined;
  return Array.isArray(values) ? (values as unknown[]).includes(row[field]) : row[field] === values;
}

function acceptsBlock(wanted: Selection["block"], block: number | undefined, deepest: number): boolean {
  if (Array.isArray(wanted)) return wanted.some((one) => acceptsBlock(one, block, deepest));
  if (wanted === undefined || wanted === null || block === undefined) return block === (wanted ?? undefined);
  switch (wanted) {
    case "all":
      return true;
    case "first":
      return block === 1;
    case "last":
      return block === deepest;
    case "early":
      return block <= Math.floor(deepest / 2);
    case "late":
      return block > Math.ceil(deepest / 2);
    default:
      return block === wanted;
  }
}

/** A selection in words: `clusters tau, checkpoint ssft-medium, block last`. */
export function describe(wanted: Selection): string {
  const parts = FIELDS.flatMap((field) => {
    const values = wanted[field];
    if (values === undefined || values === null) return [];
    return [`${field} ${Array.isArray(values) ? values.join(" and ") : values}`];
  });
  return [`${wanted.measure} ${wanted.metric}`, ...parts].join(", ");
}

/** A row as an estimate; `undefined` bounds become the value itself. */
export function estimateOf({ value, low, high }: ResultRow): Estimate {
  return { value, low: low ?? value, high: high ?? value };
}

/** Whether all rows have an interval. */
export function haveIntervals(rows: readonly ResultRow[]): boolean {
  return rows.every((row) => row.low !== undefined && row.high !== undefined);
}
