import type { ResultRow } from "../../study/results.js";
import type { Figure } from "../figure.js";
import { html } from "../html.js";
import { linesFigure } from "../lines.js";
import { formula, mi, mo, row, sub, sum, sup } from "../mathml.js";
import { SYMBOLS, seriesInk } from "../palette.js";
import { distinct, select } from "../rows.js";
import type { LegendEntry } from "../svg.js";
import { orderMatrices, shownBlocks } from "./columnSpace.js";

/** Lines in one panel of spectra: more would hide each other. */
const MOST_LINES = 5;
/** Directions that get a point; the data hold all. */
const DRAWN: ReadonlySet<number> = new Set([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]);

/** Spectra of ΔW, and how many directions hold its energy and W's: a panel per matrix each. */
export function weightsFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = select(allRows, { measure: "weights" }).filter(
    (r) => r.block !== undefined && r.matrix !== undefined && Number.isFinite(r.value),
  );
  return [spectra(rows), ranks(rows)].filter((figure) => figure !== undefined);
}

function spectra(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = select(allRows, { metric: "singular-value" });
  const blocks = shownBlocks(
    distinct(rows, "block").sort((a, b) => a - b),
    MOST_LINES,
  );
  const keys = blocks.map(
    (block, i): LegendEntry => ({ label: `block ${block}`, colour: seriesInk(1 + i), symbol: SYMBOLS[i]! }),
  );
  return linesFigure({
    id: "weights-spectra",
    title: "How the change is spread over directions",
    description: "The first singular values of the update of each matrix, in some of the blocks.",
    panels: orderMatrices(rows).map((matrix) => ({
      title: matrix,
      rows: select(rows, { matrix }).filter((r) => blocks.includes(r.block!) && DRAWN.has(r.index!)),
    })),
    x: { field: "index", label: "singular value i of ΔW", log: true, sign: "i = " },
    series: (r) => keys[blocks.indexOf(r.block!)]!,
    legend: keys,
    counted: "one matrix a line",
    reading:
      "A line that falls steeply is a change of few directions, as a low-rank adapter makes; a flat one is spread over many.",
    formula: html`${formula(mi("ΔW"), mo("="), row(sum(mi("i")), sub(mi("σ"), mi("i")), sub(mi("u"), mi("i")), sup(sub(mi("v"), mi("i")), mi("T"))))}<p>The first 64 of them; all blocks are in the data.</p>`,
    rows,
  });
}

function ranks(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = allRows.filter(({ metric }) => metric === "energy-rank" || metric === "base-energy-rank");
  const percents = [90, 95, 99];
  const key = (metric: string, percent: number): LegendEntry => {
    const [i, base] = [percents.indexOf(percent), metric === "base-energy-rank"];
    return {
      label: `${base ? "W" : "ΔW"}, ${percent}%`,
      colour: seriesInk(base ? 6 : 1 + i),
      symbol: SYMBOLS[base ? 6 : i]!,
      ...(base && { dash: "5 3", hollow: true }),
    };
  };
  // Of W the 99% that define its column space.
  const shown = rows.filter(({ metric, index }) => metric === "energy-rank" || index === 99);
  return linesFigure({
    id: "weights-energy-ranks",
    title: "How many directions hold the change",
    description:
      "Number of singular directions that hold 90, 95 and 99% of the squared norm of the update, against the block.",
    panels: orderMatrices(shown).map((matrix) => ({ title: matrix, rows: select(shown, { matrix }) })),
    x: { field: "block", label: "block" },
    series: (r) => key(r.metric, r.index!),
    legend: [...percents.map((percent) => key("energy-rank", percent)), key("base-energy-rank", 99)],
    counted: "one matrix a point",
    reading: "The broken line is W’s own: the column space that sin θ is measured against.",
    formula: html`<p>The least number of singular values whose squares sum to this share of all.</p>`,
    rows,
  });
}
