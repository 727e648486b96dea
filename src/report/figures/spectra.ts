import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, orderCheckpoints } from "../checkpoints.js";
import { type Figure, setKeys } from "../figure.js";
import { html } from "../html.js";
import { linesFigure } from "../lines.js";
import { formula, mi, mo, over, row, sub, sum } from "../mathml.js";
import { allBranches, distinct, finalRows, orderSets, overSeeds, select } from "../rows.js";
import { percent } from "../words.js";

/** Covariance spectra of the safe and of the unsafe cluster, a figure per block from the last to the first. */
export function spectraFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = finalRows(select(allRows, { measure: "clusters", metric: "sigma-share" })).filter(
    (r) => r.block !== undefined && r.index !== undefined && r.checkpoint !== undefined && r.set !== undefined,
  );
  const blocks = distinct(rows, "block").sort((a, b) => b - a);
  return blocks.flatMap((block) => spectra(select(rows, { block }), block) ?? []);
}

function spectra(rows: readonly ResultRow[], block: number): Figure | undefined {
  const shown = overSeeds(allBranches(rows)).filter((r) => Number.isFinite(r.value));
  const sets = orderSets(distinct(shown, "set"));
  const keys = setKeys(sets);
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const said = checkpoints.flatMap((checkpoint) => {
    const [safe, unsafe] = ["safe", "unsafe"].map((set) => select(shown, { checkpoint, set, index: 1 })[0]);
    return safe && unsafe
      ? [`${checkpointTitle(checkpoint)} ${percent(unsafe.value, 0)} and ${percent(safe.value, 0)}`]
      : [];
  });
  return linesFigure({
    id: `spectra-block-${block}`,
    title: `Whether the clusters collapse to a line (block ${block})`,
    description:
      "Share of each of the first singular values of the covariance of safe and of unsafe activations, a panel for each checkpoint.",
    panels: checkpoints.map((checkpoint) => ({
      title: checkpointTitle(checkpoint),
      tags: { checkpoint, block },
      rows: select(shown, { checkpoint }),
      share: true,
    })),
    x: { field: "index", label: "singular value i", sign: "i = " },
    series: (r) => keys[sets.indexOf(r.set!)]!,
    legend: keys,
    chance: "the first share of isotropic noise of this size (×)",
    reading: `A cluster whose first share is near 100% is a line${said.length > 0 ? `; the paper finds about 62% for unsafe and 12% for safe samples (DPO, last block). First share of unsafe and of safe: ${said.join("; ")}` : ""}.`,
    formula: html`${formula(
      sub(mi("s"), mi("i")),
      mo("="),
      over(sub(mi("σ"), mi("i")), row(sum(mi("j")), sub(mi("σ"), mi("j")))),
    )}<p>σ<sub>i</sub>: singular values of the covariance of one class’s activations in this block, q = 1.</p>`,
    rows,
  });
}
