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
import { orderMatrices } from "./columnSpace.js";

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
const GENERATED_SPACE: readonly PanelKind[] = [{ metric: "sin-theta-all", title: "sin θ of the whole space" }];
const GENERATED_ROWS: readonly PanelKind[] = [{ metric: "gain-ratio", title: "gain, unsafe over safe" }];
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
  const { rows, panels } = panelsOf(allRows, "clusters-generated", GENERATED);
  return linesByBlock(allRows, {
    id: "clusters-generated",
    title: "The clusters at the first generated token",
    description: "Separation of safe and unsafe activations at the first generated token, against the block.",
    panels,
    reading:
      "Each model reads the token that it would itself write first. Where answers to safe and unsafe prompts begin with other words, the words alone part these activations: compare with the last prompt token, where both kinds end alike.",
    formula: html`<p>As above, with <i>a</i> at the position after the prompt’s last token.</p>`,
    rows,
  });
}

/** What ΔW does at the first generated token: the gain of unsafe over that of safe prompts. `undefined` without such rows. */
export function generatedRowSpaceFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const { rows, shown } = panelsOf(allRows, "row-space-generated", GENERATED_ROWS);
  return linesByBlock(allRows, {
    id: "row-space-generated",
    title: "ΔW at the first generated token",
    description: "Gain of dW on unsafe over safe prompts at the first generated token, against the block.",
    panels: orderMatrices(shown).map((matrix) => ({
      title: matrix,
      rows: select(shown, { matrix }),
    })),
    reading: "Above 1, ΔW acts more on what follows unsafe prompts. Compare with the last prompt token.",
    formula: html`<p>Mean of |ΔW <i>a</i>|, <i>a</i> of norm 1, over unsafe prompts, divided by that over safe ones; <i>a</i> at the position after the prompt’s last token.</p>`,
    rows,
  });
}

/** The activations' space at the first generated token. `undefined` without such rows. */
export function generatedSpaceFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const { rows, panels } = panelsOf(allRows, "activation-space-generated", GENERATED_SPACE);
  return linesByBlock(allRows, {
    id: "activation-space-generated",
    title: "The space of activations at the first generated token",
    description:
      "Share of activations outside of what the base model's span, at the first generated token, against the block.",
    panels,
    reading:
      "The base model’s line is its own other half, the null. Each model reads the token that it would itself write first.",
    formula: html`<p>|(I − P) A| / |A|, P onto what one half of the base model’s activations span, A the other half’s.</p>`,
    rows,
  });
}

/** The direction between the classes at the first generated token. `undefined` without such rows. */
export function generatedDirectionFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const { rows, panels } = panelsOf(allRows, "refusal-direction-generated", DIRECTION);
  return linesByBlock(allRows, {
    id: "refusal-direction-generated",
    columns: 2,
    title: "The direction at the first generated token, block by block",
    description: "The difference of mean states of unsafe and safe prompts at the first generated token.",
    panels,
    reading:
      "Answers that begin with other words part the states by themselves: only where this direction parts more than the last prompt token’s does it add something.",
    formula: html`<p>As above, with the states at the position after the prompt’s last token.</p>`,
    rows,
  });
}

type BlockFigure = Pick<
  Parameters<typeof linesFigure>[0],
  "id" | "title" | "description" | "columns" | "panels" | "reading" | "formula" | "rows"
>;

/** Lines over blocks, a line for each model. */
function linesByBlock(allRows: readonly ResultRow[], figure: BlockFigure): Figure | undefined {
  const keys = checkpointKeys(allRows);
  const checkpoints = orderCheckpoints(
    distinct(
      figure.panels.flatMap((panel) => panel?.rows ?? []),
      "checkpoint",
    ),
  );
  return linesFigure({
    ...figure,
    x: { field: "block", label: "block" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
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
  const { rows, panels } = panelsOf(allRows, "refusal-direction", DIRECTION);
  return linesByBlock(allRows, {
    id: "refusal-direction-blocks",
    title: "One direction between safe and unsafe, block by block",
    description:
      "The difference of mean states of unsafe and safe prompts: what it tells apart, its size, and its likeness to the base model’s.",
    columns: 2,
    panels,
    reading:
      "AUC: how often an unsafe prompt lies farther along the direction than a safe one. Nothing is ablated here: that the direction parts the two does not show that the model uses it.",
    formula: html`<p><i>r</i> = μ<sup>U</sup> − μ<sup>S</sup> of the residual stream after the block, at the last prompt token, from one half of the prompts; AUC on the other half.</p>`,
    rows,
  });
}
