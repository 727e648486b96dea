import type { ResultRow } from "../../study/results.js";
import type { Figure } from "../figure.js";
import { html } from "../html.js";
import { linesFigure } from "../lines.js";
import { SYMBOLS, seriesInk } from "../palette.js";
import { distinct, select } from "../rows.js";
import type { LegendEntry } from "../svg.js";
import { orderMatrices } from "./columnSpace.js";

const LOOKS: ReadonlyMap<string, LegendEntry> = new Map([
  ["column-next", { label: "column space, next block", colour: seriesInk(1), symbol: SYMBOLS[0]! }],
  ["row-next", { label: "row space, next block", colour: seriesInk(3), symbol: SYMBOLS[1]! }],
  [
    "column-others",
    { label: "column space, mean of all others", colour: seriesInk(1), symbol: SYMBOLS[0]!, dash: "5 3", hollow: true },
  ],
  [
    "row-others",
    { label: "row space, mean of all others", colour: seriesInk(3), symbol: SYMBOLS[1]!, dash: "5 3", hollow: true },
  ],
]);
/** Dimensions of the spaces that are drawn; the others are in the data. */
const K = 5;

/** Whether blocks change the same directions: an audit's overlap of ΔW with that of the next block and of all others. */
export function layerOverlapFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = select(allRows, { measure: "overlap" }).filter(
    (r) => LOOKS.has(r.metric) && r.block !== undefined && r.matrix !== undefined && Number.isFinite(r.value),
  );
  const indices = distinct(rows, "index").sort((a, b) => a - b);
  const k = indices.filter((index) => index <= K).at(-1);
  const shown = select(rows, { index: k });
  return linesFigure({
    id: "layer-overlap",
    title: "Whether blocks change the same directions",
    description:
      "Overlap of the first directions of each block's update with those of the next block and of all others.",
    panels: orderMatrices(shown).map((matrix) => ({
      title: matrix,
      rows: select(shown, { matrix }),
      domain: [0, 1.03] as const,
    })),
    x: { field: "block", label: "block" },
    series: (r) => LOOKS.get(r.metric)!,
    legend: [...LOOKS].filter(([metric]) => shown.some((r) => r.metric === metric)).map(([, look]) => look),
    chance: "random subspaces (k / m)",
    counted: "one value a pair of blocks",
    reading: `k = ${k} first directions. Matrices that write to the residual stream (down, o) can agree in their column spaces, those that read it (gate, up, q, k, v) in their row spaces; the other side counts a block’s own neurons, and there chance is expected.`,
    formula: html`<p>Mean cos² of the principal angles between the spans of the first <i>k</i> singular vectors of ΔW in two blocks, left (column space) or right (row space).</p>`,
    rows,
  });
}
