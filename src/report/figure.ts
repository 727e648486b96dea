import type { ResultRow } from "../study/results.js";
import { checkpointParts, checkpointTitle, orderCheckpoints } from "./checkpoints.js";
import type { Html } from "./html.js";
import { ink, METHOD_STYLES, SYMBOLS, seriesInk } from "./palette.js";
import { plainCheckpoints } from "./rows.js";
import type { LegendEntry } from "./svg.js";
import { count, setTitle } from "./words.js";

/** A figure with all that a reader needs to trust it. */
export interface Figure {
  /** One word; the file's name and the anchor in the page. */
  readonly id: string;
  readonly title: string;
  /** With CSS variables for colours; see `standaloneSvg` for a file. */
  readonly svg: string;
  /** The same for the page, in panels. */
  readonly page: string;
  /** How to read it, and what it shows, from its numbers. */
  readonly reading: string;
  /** What is drawn, as formulas with their words. */
  readonly formula: Html;
  /** How many samples, seeds, and which interval. */
  readonly n: string;
  /** The numbers behind it. */
  readonly rows: readonly ResultRow[];
  /** What follows `nullscope` in the command that measures one of its points again, where there is one; RUN stands for the run's folder. */
  readonly command?: string;
}

/** How a checkpoint looks: its method's colour and symbol; at another rate than the method's first the symbol is hollow and the line broken. */
export type CheckpointKey = LegendEntry & { readonly checkpoint: string };

const OTHER_RATES = ["5 3", "2 3", "8 3 2 3"];

/** Colour, symbol and line of every checkpoint that the rows name, the same in every figure of a report. Rows: all rows of the run. */
export function checkpointKeys(allRows: readonly ResultRow[]): ReadonlyMap<string, CheckpointKey> {
  const checkpoints = orderCheckpoints(plainCheckpoints(allRows));
  const methods = [...new Set(checkpoints.map((checkpoint) => checkpointParts(checkpoint).method))];
  const foreign = methods.filter((method) => !METHOD_STYLES.has(method));
  return new Map(
    checkpoints.map((checkpoint) => {
      const { method, rate } = checkpointParts(checkpoint);
      const i = foreign.indexOf(method);
      const style = METHOD_STYLES.get(method) ?? { colour: seriesInk(7 - (i % 7)), symbol: SYMBOLS[7 - (i % 8)]! };
      const rates = checkpoints.map(checkpointParts).filter((other) => other.method === method);
      // Medium and small look the same whichever of them a run has.
      const place = rate === "small" ? 1 : rates.findIndex((other) => other.rate === rate);
      const broken = place > 0 ? { hollow: true, dash: OTHER_RATES[(place - 1) % OTHER_RATES.length]! } : {};
      return [checkpoint, { checkpoint, label: checkpointTitle(checkpoint), ...style, ...broken }];
    }),
  );
}

/** Circle and triangle are taken by safe and unsafe. */
const ATTACK_SYMBOLS = SYMBOLS.filter((symbol) => symbol !== "circle" && symbol !== "triangle");

/** Colour and symbol of each set: safe and unsafe have their own, jailbreak sets take the series' colours. sets in reading order. */
export function setKeys(sets: readonly string[]): LegendEntry[] {
  let others = 0;
  return sets.map((set) => {
    if (set === "safe") return { label: "safe", set, colour: ink("safe"), symbol: "circle" };
    if (set === "unsafe") return { label: "unsafe", set, colour: ink("unsafe"), symbol: "triangle" };
    others++;
    const symbol = ATTACK_SYMBOLS[others % ATTACK_SYMBOLS.length]!;
    return { label: setTitle(set), set, colour: seriesInk(others), symbol };
  });
}

/** "n = 1 000 samples", "n = 500 to 1 000 samples": the counts that the rows carry, or that they carry none. */
export function sampleCounts(rows: readonly ResultRow[], what = "samples"): string {
  const counts = rows.map((row) => row.n).filter((n) => n !== undefined);
  if (counts.length === 0) return "n is not recorded";
  const least = Math.min(...counts);
  const most = Math.max(...counts);
  return least === most
    ? `n = ${count(least)} ${what} per point`
    : `n = ${count(least)} to ${count(most)} ${what} per point`;
}

/** "1 seed (0)", "3 seeds (0, 1, 2)". */
export function seedCounts(rows: readonly ResultRow[]): string {
  const seeds = [...new Set(rows.map((row) => row.seed).filter((seed) => seed !== undefined))].sort((a, b) => a - b);
  if (seeds.length === 0) return "seeds not recorded";
  return `${seeds.length} seed${seeds.length === 1 ? "" : "s"} (${seeds.join(", ")})`;
}
