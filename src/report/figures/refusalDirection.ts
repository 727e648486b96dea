import type { ResultRow } from "../../study/results.js";
import { orderCheckpoints } from "../checkpoints.js";
import { checkpointKeys, type Figure } from "../figure.js";
import { html } from "../html.js";
import { linesFigure } from "../lines.js";
import { formula, mi, mo, row, sub, sup } from "../mathml.js";
import { allBranches, distinct, finalRows, orderSets, overSeeds, select } from "../rows.js";
import { setTitle } from "../words.js";

const METRICS = [
  { metric: "ablation-null", title: "refusal, direction ablated" },
  { metric: "ablation-instruct", title: "success, direction ablated" },
  { metric: "addition-null", title: "refusal, direction added" },
  { metric: "addition-instruct", title: "success, direction added" },
] as const;

/** What the difference of means does when it is taken out of the residual stream, or put in. `undefined` without such rows. */
export function refusalDirectionFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = finalRows(select(allRows, { measure: "refusal-direction" })).filter(
    (r) => METRICS.some(({ metric }) => metric === r.metric) && r.block !== undefined && r.checkpoint !== undefined,
  );
  const shown = overSeeds(allBranches(rows)).filter((r) => Number.isFinite(r.value));
  const keys = checkpointKeys(allRows);
  const panels = METRICS.flatMap(({ metric, title }) =>
    orderSets(distinct(select(shown, { metric }), "set")).map((set) => ({
      title: `${title} · ${setTitle(set)}`,
      tags: { set },
      rows: select(shown, { metric, set }),
      share: true,
    })),
  );
  return linesFigure({
    id: "refusal-direction",
    title: "Whether one direction carries the refusal",
    description:
      "Refusal and success when the difference of means is ablated or added, against the block that it is read from.",
    columns: 2,
    panels,
    x: { field: "block", label: "block that the direction is read from" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: orderCheckpoints(distinct(shown, "checkpoint")).map((checkpoint) => keys.get(checkpoint)!),
    chance: "a random direction of equal norm, per checkpoint",
    ownChance: true,
    reading:
      "If one direction carries the refusal, unsafe prompts are answered when it is ablated and safe prompts refused when it is added, and neither with a random direction.",
    formula: html`${formula(
      mi("d"),
      mo("="),
      sup(mi("μ"), mi("U")),
      mo("−"),
      sup(mi("μ"), mi("S")),
      mo(","),
      row(sub(mi("h"), mi("abl")), mo("="), mi("h"), mo("−"), mi("d̂"), sup(mi("d̂"), mi("T")), mi("h")),
      mo(","),
      row(sub(mi("h"), mi("add")), mo("="), mi("h"), mo("+"), mi("d")),
    )}<p><i>h</i>: the residual stream; means over unsafe and safe samples at position <i>k</i>, taken from other samples than those steered.</p>`,
    rows,
  });
}
