import { holm } from "../../stats/multipleComparisons.js";
import type { ResultRow } from "../results.js";
import { type Effect, type Measured, measure } from "./effect.js";
import type { ClaimsFile } from "./load.js";
import type { Claim, ClaimPart } from "./schema.js";

export type Verdict = "supported" | "contradicted" | "undecided";

/** One part of a claim, decided. */
export interface ClaimRow {
  readonly id: string;
  /** Id of the claim that it is a part of. */
  readonly claim: string;
  readonly statement: string;
  /** By the part's own rule, at 95%. */
  readonly verdict: Verdict;
  /** The same after Holm's correction over all parts of the file that have an interval. */
  readonly corrected: Verdict;
  readonly value?: number;
  /** 95% interval of the effect. */
  readonly low?: number;
  readonly high?: number;
  /** The null. */
  readonly chance?: number;
  /** The fewest samples that a row of the effect rests on. */
  readonly n?: number;
  readonly seeds: number;
  /** Two-sided, of the effect against the bound that the verdict is about; and after Holm's correction. */
  readonly p?: number;
  readonly pHolm?: number;
  readonly rule: string;
  readonly measure: string;
  /** Why a verdict could not be reached. */
  readonly reason?: string;
}

/** A claim's verdict, from those of its parts. */
export interface ClaimSummary {
  readonly id: string;
  readonly statement: string;
  readonly source: string;
  /** Supported when every part is; contradicted when a part is; else undecided. */
  readonly verdict: Verdict;
  readonly corrected: Verdict;
  readonly parts: readonly string[];
}

/** The verdicts on one file of claims. */
export interface DecidedClaims {
  readonly file: string;
  readonly sha256: string;
  readonly claims: readonly ClaimSummary[];
  readonly rows: readonly ClaimRow[];
}

/** The verdicts of a run's rows on a file of claims: a pure function of both. What was not measured is undecided, with the reason. */
export function evaluateClaims(
  { name, sha256, claims }: Omit<ClaimsFile, "bytes">,
  rows: readonly ResultRow[],
): DecidedClaims {
  // Intermediate steps and training curves are many and claims read them rarely: what no claim can read is passed over once.
  const measures = new Set(claims.flatMap((claim) => claim.parts.flatMap(measuresOf)));
  const readable = rows.filter((row) => measures.has(row.measure));
  const decided = claims.flatMap((claim) => claim.parts.map((part) => decide(claim, part, readable)));
  const tested = decided.filter((row) => row.p !== undefined);
  const adjusted = holm(tested.map((row) => row.p!));
  const corrected = new Map(tested.map((row, i) => [row, adjusted[i]!]));
  const all = decided.map((row): ClaimRow => {
    const pHolm = corrected.get(row);
    if (pHolm === undefined) return row;
    return { ...row, pHolm, corrected: pHolm <= ALPHA ? row.verdict : "undecided" };
  });
  return {
    file: name,
    sha256,
    claims: claims.map(({ id, statement, source, parts }) => {
      const own = all.filter((row) => row.claim === id);
      const verdict = whole(own.map((row) => row.verdict));
      const after = whole(own.map((row) => row.corrected));
      return { id, statement, source, verdict, corrected: after, parts: parts.map((part) => part.id) };
    }),
    rows: all,
  };
}

/** 1 − 95%. */
const ALPHA = 0.05;

function measuresOf({ of, against, chance }: ClaimPart): string[] {
  return [of, against, typeof chance === "object" ? chance : undefined].flatMap((one) => one?.measure ?? []);
}

function whole(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes("contradicted")) return "contradicted";
  return verdicts.every((verdict) => verdict === "supported") ? "supported" : "undecided";
}

function decide(claim: Claim, part: ClaimPart, rows: readonly ResultRow[]): ClaimRow {
  const measured = measure(part, rows);
  const { effect, value, null: null_, n, seeds, reason } = measured;
  const judged = effect === undefined ? { verdict: "undecided" as const } : judge(part, effect);
  return {
    ...{ id: part.id, claim: claim.id, statement: part.statement, verdict: judged.verdict, corrected: judged.verdict },
    ...(value !== undefined && { value }),
    ...(effect !== undefined && { low: effect.low, high: effect.high }),
    ...(null_ !== undefined && { chance: null_ }),
    ...(n !== undefined && { n }),
    seeds,
    ...("p" in judged && { p: judged.p }),
    ...{ rule: ruleOf(part), measure: part.of.measure },
    ...(reason !== undefined && { reason: reason as NonNullable<Measured["reason"]> }),
  };
}

/**
 * Supported: the whole interval lies beyond the null by the margin, on the claimed side. Contradicted: it lies on the null's other side. The two-sided p
 * belongs to the nearer of the two verdicts and is at most 5% exactly when that verdict is reached.
 */
export function judge(
  { direction, margin = 0 }: Pick<ClaimPart, "direction" | "margin">,
  effect: Effect,
): { verdict: Verdict; p: number } {
  const { low, high, null: null_ } = effect;
  const above = direction === "above";
  const bound = above ? null_ + margin : null_ - margin;
  const supported = above ? low > bound : high < bound;
  const contradicted = above ? high < null_ : low > null_;
  const pSupported = above ? effect.pAbove(bound) : effect.pBelow(bound);
  const pContradicted = above ? effect.pBelow(null_) : effect.pAbove(null_);
  const verdict = supported ? "supported" : contradicted ? "contradicted" : "undecided";
  return { verdict, p: Math.min(1, 2 * Math.min(pSupported, pContradicted)) };
}

/** A part's decision rule in words. */
export function ruleOf({ direction, margin = 0, chance, contrast, against }: ClaimPart): string {
  const other = direction === "above" ? "below" : "above";
  const beyond = margin === 0 ? "" : ` by more than ${margin}`;
  const what = contrast ?? (against === undefined ? "value" : "difference");
  const level =
    typeof chance === "number" ? `${chance}` : chance === "own" ? "the rows' own chance" : `the null's rows`;
  return `supported when the 95% interval of the ${what} lies ${direction} ${level}${beyond}; contradicted when it lies ${other} ${level}; else undecided`;
}
