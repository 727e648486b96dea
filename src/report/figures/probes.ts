import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, orderCheckpoints } from "../checkpoints.js";
import { checkpointKeys, type Figure } from "../figure.js";
import { html } from "../html.js";
import { linesFigure } from "../lines.js";
import { formula, mi, mo, over, row, sub, sum, sup } from "../mathml.js";
import { allBranches, distinct, finalRows, overSeeds, select } from "../rows.js";
import { percent } from "../words.js";

const METRICS = [
  { metric: "unsafe-accuracy", title: "the prompt is unsafe" },
  { metric: "refuses-accuracy", title: "the model will refuse" },
] as const;

/** Held-out accuracy of linear probes on the residual stream per block. `undefined` without such rows. */
export function probesFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = finalRows(select(allRows, { measure: "probes" })).filter(
    (r) => METRICS.some(({ metric }) => metric === r.metric) && r.block !== undefined && r.checkpoint !== undefined,
  );
  const shown = overSeeds(allBranches(rows)).filter((r) => Number.isFinite(r.value));
  const keys = checkpointKeys(allRows);
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const least = Math.min(0.45, ...shown.flatMap((r) => [r.low ?? r.value, r.chance ?? 1]));
  const said = checkpoints.flatMap((checkpoint) => {
    const best = select(shown, { checkpoint, metric: "unsafe-accuracy" }).sort((a, b) => b.value - a.value)[0];
    return best ? [`${checkpointTitle(checkpoint)} ${percent(best.value, 0)} (block ${best.block})`] : [];
  });
  return linesFigure({
    id: "probes",
    title: "What a linear probe reads from the residual stream",
    description: "Held-out accuracy of a linear probe for unsafe prompts and for refusals, against the block.",
    columns: 2,
    panels: METRICS.map(({ metric, title }) => ({
      title,
      rows: select(shown, { metric }),
      share: true,
      domain: [least, 1.01] as const,
    })),
    x: { field: "block", label: "block" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
    chance: "the same probe on permuted labels",
    reading: `What is read before tuning already was not learned by it${said.length > 0 ? `. Best accuracy for unsafe: ${said.join("; ")}` : ""}.`,
    formula: html`${formula(
      mi("accuracy"),
      mo("="),
      over(mi("1"), mi("n")),
      sum(mi("x")),
      row(
        mo("["),
        mi("sign"),
        mo("("),
        sup(mi("w"), mi("T")),
        sub(mi("h"), mi("L")),
        mo("("),
        mi("x"),
        mo(")"),
        mo("+"),
        mi("b"),
        mo(")"),
        mo("="),
        mi("label"),
        mo("]"),
      ),
    )}<p><i>h<sub>L</sub></i>: the residual stream after block <i>L</i> at position <i>k</i>; the samples counted are none that the probe was fitted on.</p>`,
    rows,
  });
}
