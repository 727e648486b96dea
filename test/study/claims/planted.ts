import { createStream, randomKey } from "../../../src/random/index.js";
import { bootstrapMeanInterval, seedInterval, wilsonInterval } from "../../../src/stats/intervals.js";
import { mean } from "../../../src/stats/moments.js";
import type { Verdict } from "../../../src/study/claims/evaluate.js";
import { type ClaimRow, evaluateClaims } from "../../../src/study/claims/evaluate.js";
import { parseClaims } from "../../../src/study/claims/load.js";
import type { Claim } from "../../../src/study/claims/schema.js";
import type { ResultRow } from "../../../src/study/results.js";

/** Decides one part, written as YAML, by these rows. */
export function decide(test: string, rows: readonly ResultRow[]): ClaimRow {
  return decideFile(claimOf(test), rows).rows[0]!;
}

export const claimOf = (test: string) =>
  `claims:\n  - id: X\n    statement: x\n    source: y\n${test.replace(/^/gm, "    ")}\n`;

export function decideFile(claims: string | readonly Claim[], rows: readonly ResultRow[]) {
  const parsed = typeof claims === "string" ? parseClaims(claims, "test.yaml") : claims;
  return evaluateClaims({ name: "test", sha256: "0".repeat(64), claims: parsed }, rows);
}

export interface Drawing {
  readonly uniform: () => number;
  readonly normal: () => number;
  readonly bootstrap: boolean;
}

export function drawing(purpose: string, index: number, bootstrap = true): Drawing {
  const { uniform } = createStream(randomKey(1, purpose), index);
  // Box and Muller; 1 - u is never 0.
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal, bootstrap };
}

/** A row of n normal samples with this mean and spread 1, its interval bootstrapped as measures do, or Student's, which is faster. */
export function meanRow(
  { uniform, normal, bootstrap }: Drawing,
  mu: number,
  n: number,
  fields: Partial<ResultRow>,
): ResultRow {
  const values = Float64Array.from({ length: n }, () => mu + normal());
  const interval = bootstrap
    ? bootstrapMeanInterval(values, { resamples: 160, random: uniform })
    : seedInterval(values);
  return { measure: "m", metric: "x", value: mean(values), n, ...interval, ...fields };
}

/** A row of the share of n tosses. */
export function shareRow({ uniform }: Drawing, p: number, n: number, fields: Partial<ResultRow>): ResultRow {
  let successes = 0;
  for (let i = 0; i < n; i++) if (uniform() < p) successes++;
  return { measure: "m", metric: "x", value: successes / n, n, ...wilsonInterval(successes, n), ...fields };
}

/** How often each verdict came out. */
export function counts(rows: readonly ClaimRow[]): Record<Verdict, number> {
  const of = (verdict: Verdict) => rows.filter((row) => row.verdict === verdict).length;
  return { supported: of("supported"), contradicted: of("contradicted"), undecided: of("undecided") };
}
