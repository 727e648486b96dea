import type { ResultRow } from "../../study/results.js";
import { BASELINE, checkpointTitle, isControl, orderCheckpoints } from "../checkpoints.js";
import { checkpointKeys, type Figure } from "../figure.js";
import { html } from "../html.js";
import { linesFigure, type NullCurve } from "../lines.js";
import { formula, mi, mo, norm, row, sub, sup } from "../mathml.js";
import { ink, seriesInk } from "../palette.js";
import { distinct, finalRows, nullsOverSeeds, overSeeds, select } from "../rows.js";
import { slug } from "../tags.js";
import { fixed } from "../words.js";

/** Matrices in the paper's order: its W first, those of gated MLPs and of attention in their places; others follow by name. */
const MATRICES = [
  ...["mlp.fc", "mlp.gate", "mlp.up", "mlp.proj", "mlp.down"],
  ...["attn.qkv", "attn.q", "attn.k", "attn.v", "attn.proj", "attn.o"],
];

/** A model with more blocks than this is shown by some of them, evenly spaced from the first to the last. */
const MOST_PANELS = 9;

/** Blocks that get a panel or a line of their own: all of them, or `most` evenly spaced ones. blocks: ascending. */
export function shownBlocks(blocks: readonly number[], most = MOST_PANELS): number[] {
  if (blocks.length <= most) return [...blocks];
  return Array.from({ length: most }, (_, i) => blocks[Math.round((i * (blocks.length - 1)) / (most - 1))]!);
}

const NULLS = [
  { suffix: "random", label: "null: random directions", colour: ink("muted"), dash: "1.5 3" },
  { suffix: "matched", label: "null: random ΔW of this spectrum", colour: seriesInk(6), dash: "6 2" },
  { suffix: "continue", label: "null: further plain tuning", colour: ink("ink"), dash: "7 3 2 3" },
] as const;

/** Matrices of these rows in reading order. */
export function orderMatrices(rows: readonly ResultRow[]): string[] {
  const place = (matrix: string) => (MATRICES.includes(matrix) ? MATRICES.indexOf(matrix) : MATRICES.length);
  return distinct(rows, "matrix").sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}

/** sin θ_i of every block with its three nulls, a figure per matrix; then all directions together and the sizes of ΔW. */
export function columnSpaceFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = finalRows(select(allRows, { measure: "column-space" })).filter(
    (r) => r.block !== undefined && r.matrix !== undefined && r.checkpoint !== undefined && Number.isFinite(r.value),
  );
  if (rows.length === 0) return [];
  const figures = orderMatrices(rows).map((matrix) => angles(select(rows, { matrix }), matrix, allRows));
  return [...figures, wholeUpdate(rows, allRows), sizes(rows, allRows)].filter((figure) => figure !== undefined);
}

function angles(rows: readonly ResultRow[], matrix: string, allRows: readonly ResultRow[]): Figure | undefined {
  const keys = checkpointKeys(allRows);
  const { series, nulls } = apart(rows, "sin-theta", "");
  const blocks = distinct(series, "block").sort((a, b) => a - b);
  const checkpoints = orderCheckpoints(distinct(series, "checkpoint"));
  const drawn = NULLS.filter(({ suffix }) => nulls.some((r) => r.metric === `null-${suffix}`));
  const domain = lowerEnd([...series, ...nulls]);
  return linesFigure({
    counted: `${nullCounts(nulls)}; one value a direction, so its interval is over seeds alone`,
    height: 250,
    id: `column-space-${slug(matrix).replaceAll(/[^A-Za-z0-9]/g, "-")}`,
    title: `Whether ΔW leaves the column space of W: ${matrix}`,
    description: `Sine of the angle of each left singular direction of the update of ${matrix} to the column space before tuning, one panel for each block, with ${drawn.length} nulls.`,
    panels: shownBlocks(blocks).map((block) => ({
      title: `sin θᵢ · block ${block}`,
      tags: { block },
      rows: select(series, { block }).map(({ chance: _chance, ...r }) => r),
      domain,
      nulls: drawn.map(({ suffix, ...look }) =>
        curve(select(nulls, { block, metric: `null-${suffix}` }), "index", look),
      ),
    })),
    x: { field: "index", label: "singular direction i of ΔW", sign: "i = " },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: [
      ...checkpoints.map((checkpoint) => keys.get(checkpoint)!),
      ...drawn.map((look) => ({ ...look, band: look.suffix !== "continue" })),
    ],
    reading: anglesReading(series, nulls, blocks.at(-1)),
    formula: html`${formula(
      row(mi("sin"), sub(mi("θ"), mi("i"))),
      mo("="),
      norm(row(mo("("), mi("I"), mo("−"), mi("P"), mo(")"), sub(mi("u"), mi("i")))),
    )}<p><i>u<sub>i</sub></i>: the <i>i</i>-th left singular vector of ΔW = W<sub>ST</sub> − W<sub>IT</sub>; <i>P</i> projects on the first <i>r</i> left singular vectors of
      W<sub>IT</sub>, <i>r</i> the least number with 99% of its squared norm. 1: the direction lies wholly in the null space of W<sub>IT</sub><sup>T</sup>. Nulls: uniformly random directions
      (about √(1 − <i>r</i>/<i>m</i>)); random ΔW with the singular values of this one; ΔW of further tuning without safety. Bands hold 95% of each null’s draws. The axis begins above 0.</p>`,
    rows: rows.filter((r) => r.metric === "sin-theta" || /^null-(random|matched|continue)$/.test(r.metric)),
  });
}

function wholeUpdate(rows: readonly ResultRow[], allRows: readonly ResultRow[]): Figure | undefined {
  const keys = checkpointKeys(allRows);
  const { series, nulls } = apart(rows, "sin-theta-all", "-all");
  const checkpoints = orderCheckpoints(distinct(series, "checkpoint"));
  const drawn = NULLS.filter(({ suffix }) => nulls.some((r) => r.metric === `null-${suffix}-all`));
  const domain = lowerEnd([...series, ...nulls]);
  return linesFigure({
    counted: `${nullCounts(nulls)}; one value a matrix, so its interval is over seeds alone`,
    id: "column-space-all",
    title: "The share of the whole update outside the column space",
    description:
      "Share of the norm of each matrix’s update outside the column space before tuning, against the block, with the nulls.",
    columns: 2,
    panels: orderMatrices(series).map((matrix) => ({
      title: matrix,
      rows: select(series, { matrix }).map(({ chance: _chance, ...r }) => r),
      domain,
      nulls: drawn.map(({ suffix, ...look }) =>
        curve(select(nulls, { matrix, metric: `null-${suffix}-all` }), "block", look),
      ),
    })),
    x: { field: "block", label: "block" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: [
      ...checkpoints.map((checkpoint) => keys.get(checkpoint)!),
      ...drawn.map((look) => ({ ...look, band: look.suffix !== "continue" })),
    ],
    reading:
      "A point inside a null’s band leaves the column space no more than that null does, however near to 1 it is.",
    formula: formula(
      row(mi("sin"), mi("θ")),
      mo("="),
      row(norm(row(mo("("), mi("I"), mo("−"), mi("P"), mo(")"), mi("ΔW"))), mo("/"), norm(mi("ΔW"))),
    ),
    rows: rows.filter((r) => r.metric.endsWith("-all")),
  });
}

/** How large the update is, and how many directions it has. */
function sizes(rows: readonly ResultRow[], allRows: readonly ResultRow[]): Figure | undefined {
  const keys = checkpointKeys(allRows);
  const shown = overSeeds(rows.filter((r) => r.metric === "norm" || r.metric === "effective-rank"));
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const panels = (["norm", "effective-rank"] as const).flatMap((metric) =>
    orderMatrices(select(shown, { metric })).map((matrix) => ({
      title: `${metric === "norm" ? "relative norm" : "effective rank"} · ${matrix}`,
      rows: select(shown, { metric, matrix }),
    })),
  );
  return linesFigure({
    counted: "one value a matrix, so its interval is over seeds alone",
    id: "column-space-sizes",
    title: "How large the update is, and how many directions it has",
    description: "Norm of the update relative to the matrix before tuning, and its effective rank, against the block.",
    columns: Math.min(4, Math.max(1, panels.length / 2)),
    panels,
    x: { field: "block", label: "block" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
    reading: `r(W), the dimensions that hold 99% of the matrix before tuning: ${ranks(rows)}.`,
    formula: html`${formula(row(norm(mi("ΔW")), mo("/"), norm(sub(mi("W"), mi("IT")))), mo(","), sup(mi("e"), row(mi("H"), mo("("), mi("σ"), mo("/"), mi("Σσ"), mo(")"))))}<p>Frobenius norms; effective rank: the
      exponential of the entropy of the normalised singular values.</p>`,
    rows: rows.filter((r) => r.metric === "norm" || r.metric === "effective-rank" || r.metric === "rank"),
  });
}

/** The measured rows of a metric, and those of its nulls. The control that is drawn as a null is no series beside it. */
function apart(
  rows: readonly ResultRow[],
  metric: string,
  suffix: string,
): { series: ResultRow[]; nulls: ResultRow[] } {
  const nulls = nullsOverSeeds(rows.filter((r) => NULLS.some((other) => r.metric === `null-${other.suffix}${suffix}`)));
  const controlled = nulls.some((r) => r.metric === `null-continue${suffix}`);
  const series = overSeeds(select(rows, { metric })).filter(
    (r) =>
      r.checkpoint !== BASELINE && !(controlled && isControl(r.checkpoint!) && r.checkpoint!.startsWith("continue")),
  );
  return { series, nulls };
}

/** One null over all checkpoints: mean of the means, from the least low to the largest high. */
function curve(
  rows: readonly ResultRow[],
  field: "index" | "block",
  look: Pick<NullCurve, "label" | "colour" | "dash">,
): NullCurve {
  const points = distinct(rows, field)
    .sort((a, b) => a - b)
    .map((x) => {
      const own = rows.filter((r) => r[field] === x);
      const lows = own.flatMap((r) => r.low ?? []);
      const highs = own.flatMap((r) => r.high ?? []);
      return {
        x,
        value: own.reduce((total, r) => total + r.value, 0) / own.length,
        ...(lows.length > 0 && highs.length > 0 && { low: Math.min(...lows), high: Math.max(...highs) }),
      };
    });
  return { ...look, points };
}

/** From a round number below all values to 1: the nulls lie near 1, and what matters is on which side of them a line runs. */
function lowerEnd(rows: readonly ResultRow[]): [number, number] {
  const least = Math.min(1, ...rows.flatMap((r) => [r.value, r.low ?? r.value]));
  return [Math.max(0, Math.floor(least * 10 - 0.5) / 10), 1.015];
}

/** "200 draws of the random null, 100 of the matched one". */
function nullCounts(nulls: readonly ResultRow[]): string {
  const draws = (kind: string) => nulls.find((r) => r.metric.startsWith(`null-${kind}`))?.n;
  const [random, matched] = [draws("random"), draws("matched")];
  const said = [
    ...(random === undefined ? [] : [`${random} draws of random directions`]),
    ...(matched === undefined ? [] : [`${matched} of random ΔW`]),
  ];
  return said.length > 0 ? said.join(", ") : "nulls not drawn";
}

function anglesReading(series: readonly ResultRow[], nulls: readonly ResultRow[], block: number | undefined): string {
  const rule = "Only what lies above the bands leaves the column space more than chance does.";
  const parts = orderCheckpoints(distinct(series, "checkpoint")).flatMap((checkpoint) => {
    const first = select(series, { checkpoint, block, index: 1 })[0];
    const random = select(nulls, { checkpoint, block, index: 1, metric: "null-random" })[0];
    if (!first) return [];
    return [`${checkpointTitle(checkpoint)} ${fixed(first.value)}${random ? ` (random ${fixed(random.value)})` : ""}`];
  });
  return parts.length === 0 ? rule : `${rule} The first direction in block ${block}: ${parts.join("; ")}.`;
}

function ranks(rows: readonly ResultRow[]): string {
  const shown = overSeeds(select(rows, { metric: "rank" }));
  return orderMatrices(shown)
    .map((matrix) => {
      const own = select(shown, { matrix });
      const blocks = distinct(own, "block").sort((a, b) => a - b);
      return `${matrix} ${blocks.map((block) => String(Math.round(10 * select(own, { block })[0]!.value) / 10)).join(", ")}`;
    })
    .join("; ");
}
