import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, isTuned } from "../checkpoints.js";
import type { Figure } from "../figure.js";
import { html } from "../html.js";
import { linesFigure } from "../lines.js";
import { formula, mi, over, row, sub, sum, sup } from "../mathml.js";
import { SYMBOLS, seriesInk } from "../palette.js";
import { distinct, finalRows, overSeeds, select } from "../rows.js";
import type { LegendEntry } from "../svg.js";
import { fixed } from "../words.js";
import { orderMatrices } from "./columnSpace.js";

/** How far two methods write into the same directions: a figure per matrix, a panel per block. */
export function overlapFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = finalRows(select(allRows, { measure: "overlap", metric: "principal-angle-cosine" })).filter(
    (r) => r.block !== undefined && r.index !== undefined && r.checkpoint !== undefined && Number.isFinite(r.value),
  );
  return orderMatrices(rows).flatMap((matrix) => overlap(select(rows, { matrix }), matrix) ?? []);
}

function overlap(rows: readonly ResultRow[], matrix: string): Figure | undefined {
  const shown = overSeeds(rows);
  // Pairs of safety tunings first: with a control on one side a pair is a comparison, not an answer.
  const tuned = (pair: string) => pair.split("~").every(isTuned);
  const pairs = distinct(shown, "checkpoint").sort((a, b) => Number(tuned(b)) - Number(tuned(a)) || (a < b ? -1 : 1));
  const look = (pair: string): LegendEntry => {
    const i = pairs.indexOf(pair);
    return {
      checkpoint: pair.split("~")[0]!,
      label: pair.split("~").map(checkpointTitle).join(" and "),
      colour: seriesInk(1 + (i % 7)),
      symbol: SYMBOLS[i % SYMBOLS.length]!,
      ...(i >= 7 && { dash: "5 3", hollow: true }),
    };
  };
  const blocks = distinct(shown, "block").sort((a, b) => a - b);
  const least = Math.min(...shown.map((r) => r.index!));
  const said = pairs.filter(tuned).flatMap((pair) => {
    const at = select(shown, { checkpoint: pair, block: blocks.at(-1), index: least })[0];
    return at
      ? [`${look(pair).label} ${fixed(at.value)}${at.chance === undefined ? "" : ` (chance ${fixed(at.chance)})`}`]
      : [];
  });
  return linesFigure({
    id: `overlap-${matrix.replaceAll(/[^A-Za-z0-9]/g, "-")}`,
    title: `Whether methods write into the same directions: ${matrix}`,
    description:
      "Mean squared cosine of the principal angles between the top directions of two methods’ updates, against their number.",
    panels: blocks.map((block) => ({
      title: `block ${block}`,
      tags: { block },
      rows: select(shown, { block }),
      domain: [0, 1.03] as const,
    })),
    x: { field: "index", label: "k top directions", log: true, sign: "k = " },
    series: (r) => look(r.checkpoint!),
    legend: pairs.map(look),
    chance: "random subspaces (k / m)",
    reading: `1: the same subspace${said.length > 0 ? `. Block ${blocks.at(-1)}, k = ${least}: ${said.join("; ")}` : ""}.`,
    counted: "one value a pair and matrix, so its interval is over seeds alone",
    formula: html`${formula(
      over(mi("1"), mi("k")),
      sum(mi("i")),
      row(sup(mi("cos"), mi("2")), sub(mi("φ"), mi("i"))),
    )}<p>φ<sub>i</sub>: principal angles between the spans of the top <i>k</i> left singular vectors of the two ΔW; random <i>k</i>-dimensional subspaces of <i>m</i> dimensions give <i>k</i>/<i>m</i>.</p>`,
    rows,
  });
}
