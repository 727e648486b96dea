/** Figures of what only an audit of real checkpoints measures on activations. */
import type { ResultRow } from "../../study/results.js";
import { orderCheckpoints } from "../checkpoints.js";
import { checkpointKeys, type Figure } from "../figure.js";
import { html } from "../html.js";
import { linesFigure } from "../lines.js";
import { SYMBOLS, seriesInk } from "../palette.js";
import { distinct, orderSets, select } from "../rows.js";
import type { LegendEntry } from "../svg.js";
import { setTitle } from "../words.js";

interface PanelKind {
  readonly metric: string;
  readonly title: string;
}

const GENERATED: readonly PanelKind[] = [
  { metric: "auc", title: "AUC of τ" },
  { metric: "cosine-auc", title: "AUC of cosine τ" },
  { metric: "separation", title: "separation of mean τ" },
  { metric: "tau", title: "mean τ" },
];
const PATH: readonly PanelKind[] = [
  { metric: "auc", title: "AUC of τ" },
  { metric: "cosine-auc", title: "AUC of cosine τ" },
  { metric: "separation", title: "separation of mean τ" },
  { metric: "fisher", title: "Fisher criterion" },
];
const DIRECTION: readonly PanelKind[] = [
  { metric: "auc", title: "AUC along the direction" },
  { metric: "norm-share", title: "|r| over the mean state’s norm" },
  { metric: "base-cosine", title: "cosine with the base model’s" },
  { metric: "place", title: "place between safe (0) and unsafe (1)" },
];

/** Rows of a measure that have a block, and a panel for each metric and, where there are several, set. */
function panelsOf(allRows: readonly ResultRow[], measure: string, kinds: readonly PanelKind[]) {
  const rows = select(allRows, { measure }).filter(
    (r) => r.block !== undefined && r.checkpoint !== undefined && kinds.some(({ metric }) => metric === r.metric),
  );
  const shown = rows.filter((r) => Number.isFinite(r.value));
  const panels = kinds.flatMap(({ metric, title }) => {
    const own = select(shown, { metric });
    const sets = orderSets(distinct(own, "set"));
    if (sets.length === 0) return own.length === 0 ? [] : [{ title, rows: own }];
    return sets.map((set) => ({ title: `${title} · ${setTitle(set)}`, tags: { set }, rows: select(own, { set }) }));
  });
  return { rows, shown, panels };
}

/** Clusters at the first generated token, beside those at the last prompt token. `undefined` without such rows. */
export function generatedClustersFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const { rows, shown, panels } = panelsOf(allRows, "clusters-generated", GENERATED);
  const keys = checkpointKeys(allRows);
  return linesFigure({
    id: "clusters-generated",
    title: "The clusters at the first generated token",
    description: "Separation of safe and unsafe activations at the first generated token, against the block.",
    panels,
    x: { field: "block", label: "block" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: orderCheckpoints(distinct(shown, "checkpoint")).map((checkpoint) => keys.get(checkpoint)!),
    reading:
      "Each model reads the token that it would itself write first. Where answers to safe and unsafe prompts begin with other words, the words alone part these activations: compare with the last prompt token, where both kinds end alike.",
    formula: html`<p>As above, with <i>a</i> at the position after the prompt’s last token.</p>`,
    rows,
  });
}

/** The clusters along W + alpha dW, a line for each alpha. `undefined` without such rows. */
export function pathByBlockFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const { rows, shown, panels } = panelsOf(allRows, "alpha-path", PATH);
  const alphas = distinct(shown, "alpha").sort((a, b) => a - b);
  const looks = new Map(
    alphas.map((alpha, i): [number, LegendEntry] => [
      alpha,
      { label: `α = ${alpha}`, colour: seriesInk(i % 8), symbol: SYMBOLS[i % SYMBOLS.length]! },
    ]),
  );
  return linesFigure({
    id: "alpha-path",
    title: "Clusters along W + αΔW, block by block",
    description: "Separation of safe and unsafe activations against the block, a line for each alpha.",
    columns: 2,
    panels,
    x: { field: "block", label: "block" },
    series: (r) => looks.get(r.alpha!)!,
    legend: [...looks.values()],
    reading:
      "α = 0 is the base model, α = 1 the tuned one. If what tuning added is what parts safe from unsafe, the AUC rises with α; beyond 1 it may rise further, or the model may break.",
    formula: html`<p>Every parameter is (1 − α) W<sub>base</sub> + α W<sub>tuned</sub>. Class means and measured samples as for the clusters, at the last prompt token.</p>`,
    rows,
  });
}

/** The difference-of-means direction of each block of an audit. `undefined` without such rows. */
export function directionFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const { rows, shown, panels } = panelsOf(allRows, "refusal-direction", DIRECTION);
  const keys = checkpointKeys(allRows);
  return linesFigure({
    id: "refusal-direction-blocks",
    title: "One direction between safe and unsafe, block by block",
    description:
      "The difference of mean states of unsafe and safe prompts: what it tells apart, its size, and its likeness to the base model’s.",
    columns: 2,
    panels,
    x: { field: "block", label: "block" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: orderCheckpoints(distinct(shown, "checkpoint")).map((checkpoint) => keys.get(checkpoint)!),
    reading:
      "AUC: how often an unsafe prompt lies farther along the direction than a safe one. Nothing is ablated here: that the direction parts the two does not show that the model uses it.",
    formula: html`<p><i>r</i> = μ<sup>U</sup> − μ<sup>S</sup> of the residual stream after the block, at the last prompt token, from one half of the prompts; AUC on the other half.</p>`,
    rows,
  });
}
