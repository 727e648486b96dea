import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../../study/results.js";
import { type Figure, sampleCounts, seedCounts, setKeys } from "../figure.js";
import { html } from "../html.js";
import { formula, mi, mo, norm, row, sub, sup } from "../mathml.js";
import { ink } from "../palette.js";
import { allBranches, distinct, orderCheckpoints, orderSets, overSeeds, select } from "../rows.js";
import { AXIS, type Panel, renderGrid } from "../svg.js";
import { checkpointTitle, fixed } from "../words.js";

const COLUMNS = 3;

/** How far panels may differ in range and still share an axis: beyond this the small ones would be flat lines. */
const SHARED_RANGE = 6;

/**
 * Mean τ per block of safe and unsafe samples, a panel per checkpoint (the paper's figure 3), a band of panels per q. `undefined` without
 * rows of `tau`.
 */
export function tauFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = select(allRows, { measure: "clusters", metric: "tau" }).filter((r) => r.block !== undefined);
  const shown = overSeeds(allBranches(rows)).filter((r) => Number.isFinite(r.value));
  if (shown.length === 0) return undefined;
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const sets = orderSets(distinct(shown, "set"));
  const keys = setKeys(sets);
  const windows = distinct(shown, "index").sort((a, b) => a - b);
  const columns = Math.min(COLUMNS, checkpoints.length);
  const domain = sharedDomain(shown, checkpoints);
  const panels: (Panel | null)[] = [];
  for (const q of windows.length > 0 ? windows : [undefined]) {
    for (const checkpoint of checkpoints) {
      const points = select(shown, { checkpoint, index: q }).map((r) => ({ ...r, ...keys[sets.indexOf(r.set!)]! }));
      const suffix = q === undefined ? "" : ` · q = ${q}`;
      panels.push(points.length === 0 ? null : tauPanel(`${checkpointTitle(checkpoint)}${suffix}`, points, domain));
    }
    while (panels.length % columns !== 0) panels.push(null);
  }
  return {
    id: "tau",
    title: "How far safe and unsafe activations part",
    svg: renderGrid({
      id: "tau",
      title: "Mean tau per block, before and after tuning",
      description: `Mean tau of ${sets.join(" and ")} samples against the block, one panel for each of ${checkpoints.map(checkpointTitle).join(", ")}.`,
      columns,
      legend: keys,
      panels,
    }),
    reading: reading(shown, checkpoints, windows[0], domain !== undefined),
    formula: html`${formula(
      sub(mi("τ"), mi("L")),
      mo("("),
      mi("x"),
      mo(")"),
      mo("="),
      norm(sub(mi("a"), mi("L")), mo("("), mi("x"), mo(")"), mo("−"), sup(sub(mi("μ"), mi("L")), mi("U"))),
      mo("−"),
      norm(sub(mi("a"), mi("L")), mo("("), mi("x"), mo(")"), mo("−"), sup(sub(mi("μ"), mi("L")), mi("S"))),
    )}<p>${row()}<i>a</i> is the MLP activation of block <i>L</i>, averaged over the <i>q</i> positions from the one that predicts the first output token;
      μ<sup>S</sup> and μ<sup>U</sup> are the class means from a held-out half. Above 0: nearer to safe. τ is a distance and grows with the activations' norm: compare with its scale-free twins below.</p>`,
    n: `${sampleCounts(shown)}; ${seedCounts(rows)}; bars are 95% intervals`,
    rows,
  };
}

type Point = ResultRow & { readonly colour: string };

function tauPanel(title: string, points: readonly Point[], domain: readonly [number, number] | undefined): Panel {
  const blocks = distinct(points, "block").sort((a, b) => a - b);
  return {
    title,
    height: 190,
    plot: {
      marginLeft: 44,
      marginRight: 10,
      marginTop: 8,
      marginBottom: 38,
      x: { ...AXIS, label: "block", domain: [blocks[0]! - 0.3, blocks.at(-1)! + 0.3], ticks: blocks, tickFormat: "d" },
      y: { ...AXIS, label: "mean τ", labelAnchor: "top", grid: true, ticks: 5, ...(domain && { domain: [...domain] }) },
      color: { type: "identity" },
      symbol: { type: "identity" },
      marks: [
        Plot.ruleY([0], { stroke: ink("muted"), strokeWidth: 1 }),
        Plot.line(points, { x: "block", y: "value", z: "set", sort: "block", stroke: "colour", strokeWidth: 1.8 }),
        Plot.ruleX(points, { x: "block", y1: lowOf, y2: highOf, stroke: "colour", strokeWidth: 1.8 }),
        Plot.dot(points, { x: "block", y: "value", fill: "colour", symbol: "symbol", r: 4 }),
      ],
    },
  };
}

const lowOf = (point: ResultRow) => point.low ?? point.value;
const highOf = (point: ResultRow) => point.high ?? point.value;

/** One y-axis for all panels, unless a checkpoint's range is so much larger that the others would vanish. */
function sharedDomain(rows: readonly ResultRow[], checkpoints: readonly string[]): [number, number] | undefined {
  const reach = checkpoints.map((checkpoint) =>
    Math.max(...select(rows, { checkpoint }).map((r) => Math.max(Math.abs(lowOf(r)), Math.abs(highOf(r))))),
  );
  if (Math.max(...reach) > SHARED_RANGE * Math.min(...reach)) return undefined;
  const low = Math.min(0, ...rows.map(lowOf));
  const high = Math.max(0, ...rows.map(highOf));
  const margin = 0.06 * (high - low);
  return [low - margin, high + margin];
}

function reading(
  rows: readonly ResultRow[],
  checkpoints: readonly string[],
  q: number | undefined,
  shared: boolean,
): string {
  const parts = checkpoints.flatMap((checkpoint) => {
    const here = select(rows, { checkpoint, index: q });
    const last = Math.max(...here.map((r) => r.block!));
    const safe = select(here, { set: "safe", block: last })[0];
    const unsafe = select(here, { set: "unsafe", block: last })[0];
    return safe && unsafe ? [`${checkpointTitle(checkpoint)} ${fixed(safe.value)} and ${fixed(unsafe.value)}`] : [];
  });
  const axis = shared ? "" : " Each panel has its own axis, because the ranges differ much.";
  if (parts.length === 0) return `The farther apart the lines, the better a block tells safe from unsafe.${axis}`;
  return `The farther apart the lines, the better a block tells safe from unsafe. In the last block mean τ of safe and of unsafe samples is: ${parts.join("; ")}.${axis}`;
}
