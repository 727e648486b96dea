import type { ResultRow } from "../study/results.js";
import type { Html } from "./html.js";
import { ink, SYMBOLS, seriesInk } from "./palette.js";
import type { LegendEntry } from "./svg.js";
import { checkpointTitle, count, setTitle } from "./words.js";

/** A figure with all that a reader needs to trust it. */
export interface Figure {
  /** One word; the file's name and the anchor in the page. */
  readonly id: string;
  readonly title: string;
  /** With CSS variables for colours; see `standaloneSvg` for a file. */
  readonly svg: string;
  /** How to read it, and what it shows, from its numbers. */
  readonly reading: string;
  /** What is drawn, as formulas with their words. */
  readonly formula: Html;
  /** How many samples, seeds, and which interval. */
  readonly n: string;
  /** The numbers behind it. */
  readonly rows: readonly ResultRow[];
}

/** Colour and symbol of each checkpoint, the same in every figure. checkpoints in reading order, the baseline first. */
export function checkpointKeys(checkpoints: readonly string[]): LegendEntry[] {
  return checkpoints.map((checkpoint, i) => ({
    label: checkpointTitle(checkpoint),
    colour: seriesInk(i),
    symbol: SYMBOLS[i % SYMBOLS.length]!,
  }));
}

/** Circle and triangle are taken by safe and unsafe. */
const ATTACK_SYMBOLS = SYMBOLS.filter((symbol) => symbol !== "circle" && symbol !== "triangle");

/** Colour and symbol of each set: safe and unsafe have their own, jailbreak sets take the series' colours. sets in reading order. */
export function setKeys(sets: readonly string[]): LegendEntry[] {
  let others = 0;
  return sets.map((set) => {
    if (set === "safe") return { label: "safe", colour: ink("safe"), symbol: "circle" };
    if (set === "unsafe") return { label: "unsafe", colour: ink("unsafe"), symbol: "triangle" };
    others++;
    return { label: setTitle(set), colour: seriesInk(others), symbol: ATTACK_SYMBOLS[others % ATTACK_SYMBOLS.length]! };
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
