import { seedInterval, wilsonInterval } from "../stats/intervals.js";
import { mean } from "../stats/moments.js";
import type { ResultRow } from "./results.js";

/**
 * One row per quantity, over seeds: the study's own row without a seed where there is one, else the only seed's row, its interval over samples; else the
 * mean over seeds with Student's interval. n: all samples together, or with `count: "seeds"` how many seeds. Training curves keep their seeds and do not come here.
 */
export function overSeeds(
  rows: readonly ResultRow[],
  { count = "samples" }: { readonly count?: "samples" | "seeds" } = {},
): ResultRow[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const { measure, metric, checkpoint, set, branch, outcome, block, matrix, index, alpha, step } = row;
    const key = JSON.stringify([measure, metric, checkpoint, set, branch, outcome, block, matrix, index, alpha, step]);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()].map((group) => combineSeeds(group, count));
}

function combineSeeds(group: readonly ResultRow[], count: "samples" | "seeds"): ResultRow {
  const whole = group.find((row) => row.seed === undefined);
  if (whole) return whole;
  const first = group[0]!;
  const { seed: _seed, n: _n, low: _low, high: _high, chance: _chance, ...shared } = first;
  if (group.length === 1) {
    const { seed: _only, ...row } = first;
    return row;
  }
  const values = group.map((row) => row.value);
  const counts = group.map((row) => row.n).filter((n) => n !== undefined);
  const samples = counts.reduce((total, n) => total + n, 0);
  // Seeds that agree to the last digit (all of them refuse everything) have no spread for Student; the pooled samples still bound a share.
  const agree = isShare(first) && counts.length === group.length && values.every((value) => value === values[0]);
  const chances = group.map((row) => row.chance).filter((chance) => chance !== undefined);
  return {
    ...shared,
    value: agree ? values[0]! : mean(values),
    ...(!agree && seedInterval(values)),
    ...(agree && count === "seeds" && wilsonInterval(Math.round(values[0]! * samples), samples)),
    ...(count === "seeds" ? { n: group.length } : counts.length > 0 && { n: samples }),
    ...(chances.length > 0 && { chance: mean(chances) }),
  };
}

/** Whether a row's value is a share of its n samples. */
function isShare({ measure, metric }: ResultRow): boolean {
  if (measure === "behaviour" || measure === "refusal-direction") return metric !== "norm";
  if (measure === "interventions") return metric === "instruct" || metric === "null" || metric === "other";
  return measure === "attacks" && metric !== "loss";
}
