import { chiSquareUpperTail } from "../stats/chiSquare.js";
import { type Interval, Z95 } from "../stats/intervals.js";
import { mean, variance } from "../stats/moments.js";
import { benjaminiHochberg } from "../stats/multipleComparisons.js";
import { studentCdf, studentQuantile } from "../stats/student.js";
import { canonicalJson, type JsonValue } from "./canonicalJson.js";
import type { OpenRun } from "./openRun.js";
import { RESULT_COLUMNS, type ResultRow } from "./results.js";
import { sortRows } from "./resultsFiles.js";

/** What a row is about: every column but its numbers and its seed. */
export type Quantity = Omit<ResultRow, "seed" | "value" | "n" | "low" | "high" | "chance">;

/** One quantity in both runs. */
export interface ComparedRow extends Interval {
  readonly quantity: Quantity;
  /** Mean over the seeds of each run. */
  readonly first: number;
  readonly second: number;
  /** second - first, with its 95% interval. */
  readonly difference: number;
  /** `intervals`: from the rows' own intervals. `paired`: over seeds that both have. `seeds`: over the seeds of each. */
  readonly by: "intervals" | "paired" | "seeds";
  /** Two-sided, of no difference. */
  readonly pValue: number;
  /** After Benjamini and Hochberg's correction over all compared rows. */
  readonly adjusted: number;
}

export interface ConfigDifference {
  /** Dotted: `tune.rates.medium`. */
  readonly key: string;
  /** As JSON; undefined where the run has no such key. */
  readonly first: string | undefined;
  readonly second: string | undefined;
}

/** How two runs differ. */
export interface RunComparison {
  readonly config: readonly ConfigDifference[];
  readonly checkpoints: { readonly onlyFirst: readonly string[]; readonly onlySecond: readonly string[] };
  /** Quantities that only one run has, by measure. */
  readonly rows: {
    readonly onlyFirst: Readonly<Record<string, number>>;
    readonly onlySecond: Readonly<Record<string, number>>;
  };
  /** Quantities that both have. */
  readonly matched: number;
  /** Of them, with every value the same to the last bit. */
  readonly same: number;
  /** Of them, different and without an interval to judge by (training curves, for example), by measure. */
  readonly unjudged: Readonly<Record<string, number>>;
  /** Of them, those with intervals, by rising p-value. */
  readonly compared: readonly ComparedRow[];
  /** How many of `compared` have p < 0.05, and how many would by chance were there no difference at all. */
  readonly flagged: number;
  readonly flaggedByChance: number;
  /** How many stay below 0.05 after correction. */
  readonly beyondNoise: number;
  readonly correction: "Benjamini-Hochberg";
  /** The same configuration (but for the name), the same rows, the same values. */
  readonly identical: boolean;
}

/** A difference is called one below this. */
export const LEVEL = 0.05;
/** Keys of a configuration that say nothing of the study. */
const NO_DIFFERENCE = /^(name|threads|saveSteps|versions\..*)$/;

/** Compares two runs: configurations, checkpoints, and every row that both have. @throws UserError when a run lacks an asked-for measure. */
export async function compareRuns(
  first: OpenRun,
  second: OpenRun,
  { measures }: { readonly measures?: readonly string[] | undefined } = {},
): Promise<RunComparison> {
  const rowsOf = async (run: OpenRun) =>
    (await Promise.all((measures ?? run.measures).map((measure) => run.results(measure).rows()))).flat();
  const config = configDifferences(first.config, second.config);
  return { ...compareRows(await rowsOf(first), await rowsOf(second), config), config };
}

/** Compares the rows of two runs; quantities are matched by all their columns but the seed. */
export function compareRows(
  first: readonly ResultRow[],
  second: readonly ResultRow[],
  config: readonly ConfigDifference[] = [],
): Omit<RunComparison, "config"> {
  const [a, b] = [byQuantity(first), byQuantity(second)];
  const only = (these: ReadonlyMap<string, Rows>, those: ReadonlyMap<string, Rows>) =>
    countByMeasure([...these].filter(([key]) => !those.has(key)).map(([, { quantity }]) => quantity));
  const checkpoints = (rows: readonly ResultRow[]) => new Set(rows.flatMap(({ checkpoint }) => checkpoint ?? []));
  const [namesA, namesB] = [checkpoints(first), checkpoints(second)];
  const both = [...a].flatMap(([key, rows]) => (b.has(key) ? [{ one: rows, other: b.get(key)! }] : []));
  const differing = both.filter(({ one, other }) => !sameRows(one.rows, other.rows));
  const judged = both.map(({ one, other }) => ({ one, other, found: judge(one, other) }));
  const tested = judged.flatMap(({ found }) => found ?? []);
  const adjusted = benjaminiHochberg(tested.map(({ pValue }) => pValue));
  const compared = tested
    .map((row, i) => ({ ...row, adjusted: adjusted[i]! }))
    .sort((x, y) => x.pValue - y.pValue || Math.abs(y.difference) - Math.abs(x.difference));
  const rows = { onlyFirst: only(a, b), onlySecond: only(b, a) };
  const nothingOnly = Object.keys(rows.onlyFirst).length + Object.keys(rows.onlySecond).length === 0;
  return {
    checkpoints: {
      onlyFirst: [...namesA].filter((name) => !namesB.has(name)).sort(),
      onlySecond: [...namesB].filter((name) => !namesA.has(name)).sort(),
    },
    rows,
    matched: both.length,
    same: both.length - differing.length,
    unjudged: countByMeasure(
      judged
        .filter(({ one, other, found }) => found === undefined && !sameRows(one.rows, other.rows))
        .map(({ one }) => one.quantity),
    ),
    compared,
    flagged: compared.filter(({ pValue }) => pValue < LEVEL).length,
    flaggedByChance: LEVEL * compared.length,
    beyondNoise: compared.filter((row) => row.adjusted < LEVEL).length,
    correction: "Benjamini-Hochberg",
    identical: config.length === 0 && nothingOnly && differing.length === 0,
  };
}

/** Every key whose value differs, in order. */
export function configDifferences(first: unknown, second: unknown): ConfigDifference[] {
  const [a, b] = [leaves(first), leaves(second)];
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((key) => !NO_DIFFERENCE.test(key) && a.get(key) !== b.get(key))
    .sort()
    .map((key) => ({ key, first: a.get(key), second: b.get(key) }));
}

/** The leaves of a tree of settings as JSON by dotted key; a list is a leaf. */
function leaves(tree: unknown, path = ""): Map<string, string> {
  if (typeof tree !== "object" || tree === null || Array.isArray(tree))
    return tree === undefined ? new Map() : new Map([[path, canonicalJson(tree as JsonValue)]]);
  return new Map(
    Object.entries(tree).flatMap(([key, value]) => [...leaves(value, path === "" ? key : `${path}.${key}`)]),
  );
}

interface Rows {
  readonly quantity: Quantity;
  /** One a seed. */
  readonly rows: readonly ResultRow[];
}

function byQuantity(rows: readonly ResultRow[]): ReadonlyMap<string, Rows> {
  const found = new Map<string, { quantity: Quantity; rows: ResultRow[] }>();
  for (const row of sortRows(rows)) {
    const { seed: _, value: __, n: ___, low: ____, high: _____, chance: ______, ...quantity } = row;
    const key = RESULT_COLUMNS.map((column) => (quantity as Partial<ResultRow>)[column] ?? "").join("\u0000");
    const known = found.get(key);
    if (known === undefined) found.set(key, { quantity, rows: [row] });
    else known.rows.push(row);
  }
  return found;
}

function sameRows(a: readonly ResultRow[], b: readonly ResultRow[]): boolean {
  return a.length === b.length && a.every((row, i) => row.seed === b[i]!.seed && row.value === b[i]!.value);
}

function countByMeasure(quantities: readonly Quantity[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { measure } of quantities) counts[measure] = (counts[measure] ?? 0) + 1;
  return counts;
}

type Judged = Omit<ComparedRow, "adjusted">;

/** The difference of one quantity; undefined where there is neither an interval nor more than one seed. */
function judge({ quantity, rows: first }: Rows, { rows: second }: Rows): Judged | undefined {
  const [x, y] = [first.map(({ value }) => value), second.map(({ value }) => value)];
  const numbers = { quantity, first: mean(x), second: mean(y), difference: mean(y) - mean(x) };
  if (x.length > 1 && y.length > 1) {
    const paired = x.length === y.length && first.every((row, i) => row.seed === second[i]!.seed);
    // The same seeds have the same test samples; a difference that is the same on every seed is then certain.
    const [spread, freedom] = paired
      ? [Math.sqrt(variance(y.map((value, i) => value - x[i]!)) / x.length), x.length - 1]
      : welch(x, y);
    if (spread === 0) return { ...numbers, ...certain(numbers.difference), by: paired ? "paired" : "seeds" };
    const half = studentQuantile(0.975, freedom) * spread;
    const pValue = 2 * studentCdf(-Math.abs(numbers.difference) / spread, freedom);
    const by = paired ? "paired" : "seeds";
    return { ...numbers, low: numbers.difference - half, high: numbers.difference + half, pValue, by };
  }
  const [a, b] = [sidesOf(first), sidesOf(second)];
  if (a === undefined || b === undefined) return undefined;
  // Newcombe's hybrid (method 10), or MOVER: the sides of each interval that face each other, squared and added.
  const below = Math.hypot(b.below, a.above);
  const above = Math.hypot(b.above, a.below);
  const { difference } = numbers;
  const facing = difference > 0 ? below : above;
  const pValue = difference === 0 ? 1 : facing === 0 ? 0 : chiSquareUpperTail(((Z95 * difference) / facing) ** 2, 1);
  return { ...numbers, low: difference - below, high: difference + above, pValue, by: "intervals" };
}

function certain(difference: number) {
  return { low: difference, high: difference, pValue: difference === 0 ? 1 : 0 };
}

/** How far the interval of the mean over seeds reaches below and above it, from the rows' own intervals. */
function sidesOf(rows: readonly ResultRow[]): { readonly below: number; readonly above: number } | undefined {
  if (rows.some(({ low, high }) => low === undefined || high === undefined)) return undefined;
  const side = (of: (row: ResultRow) => number) => Math.hypot(...rows.map(of)) / rows.length;
  return { below: side(({ value, low }) => value - low!), above: side(({ value, high }) => high! - value) };
}

/** Standard error and degrees of freedom of a difference of means, variances unequal. Welch 1947. */
function welch(x: readonly number[], y: readonly number[]): readonly [number, number] {
  const [a, b] = [variance(x) / x.length, variance(y) / y.length];
  if (a + b === 0) return [0, 1];
  return [Math.sqrt(a + b), (a + b) ** 2 / (a ** 2 / (x.length - 1) + b ** 2 / (y.length - 1))];
}
