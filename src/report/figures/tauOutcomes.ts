import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, isTuned, orderCheckpoints } from "../checkpoints.js";
import { type Figure, seedCounts } from "../figure.js";
import { html } from "../html.js";
import { formula, mi, mo, over, row, sub, sum } from "../mathml.js";
import { OUTCOMES_LEGEND, outcomesPanel, outcomesReading } from "../outcomes.js";
import { allBranches, distinct, orderSets, overSeeds, select } from "../rows.js";
import { renderGrid } from "../svg.js";
import { setTitle } from "../words.js";

const COLUMNS = 2;
/**
 * Mean τ of the last block of every attack's attempts, successful and failed ones apart, between the means of safe and of unsafe samples: a panel per
 * tuned checkpoint, for the smallest q. `undefined` without rows that have an outcome.
 */
export function tauOutcomesFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const all = select(allRows, { measure: "clusters", metric: "tau", step: undefined }).filter(
    (r) => r.block !== undefined && r.set !== undefined && r.checkpoint !== undefined && isTuned(r.checkpoint),
  );
  const apart = all.filter((r) => r.outcome !== undefined);
  if (apart.length === 0) return undefined;
  const last = Math.max(...apart.map((r) => r.block!));
  const windows = distinct(apart, "index");
  const q = windows.length > 0 ? Math.min(...windows) : undefined;
  const rows = all.filter((r) => r.block === last && r.index === q);
  const shown = overSeeds(allBranches(rows)).filter((r) => Number.isFinite(r.value));
  const split = shown.filter((r) => r.outcome !== undefined);
  const checkpoints = orderCheckpoints(distinct(split, "checkpoint"));
  if (checkpoints.length === 0) return undefined;
  const sets = orderSets(distinct(split, "set"));
  const columns = Math.min(COLUMNS, checkpoints.length);
  const where = `block ${last}${q === undefined ? "" : `, q = ${q}`}`;
  return {
    id: "tau-outcomes",
    title: "Whether the attempts that succeed look safer than those that fail",
    ...renderGrid({
      id: "tau-outcomes",
      title: "Mean tau of successful and of failed attempts",
      description: `Mean tau in ${where} of all, successful and failed attempts on ${sets.map(setTitle).join(", ")}, one panel for each of ${checkpoints.map(checkpointTitle).join(", ")}.`,
      columns,
      legend: OUTCOMES_LEGEND,
      panels: checkpoints.map((checkpoint) => outcomesPanel(checkpoint, select(shown, { checkpoint }), sets, "mean τ")),
    }),
    reading: outcomesReading(
      "A successful attempt that the activations take for safe lies near the safe line, to the right of the failed ones.",
      shown,
      checkpoints,
      sets,
    ),
    formula: html`${formula(
      sub(mi("τ̄"), mi("o")),
      mo("="),
      over(mi("1"), sub(mi("n"), mi("o"))),
      sum(row(mi("x"), mo("∈"), mi("o"))),
      row(mi("τ"), mo("("), mi("x"), mo(")")),
    )}<p>τ in ${where}; <i>o</i>: the attempts whose whole greedy output is the true one, or the others. The number at the end of a line is
      <i>n<sub>o</sub></i>; a mean over few attempts says little, and its interval shows it.</p>`,
    n: `n at the end of each line, over all seeds; ${seedCounts(rows)}; bars are 95% intervals`,
    rows,
  };
}
