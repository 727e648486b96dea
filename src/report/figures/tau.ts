import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, orderCheckpoints } from "../checkpoints.js";
import { type Figure, sampleCounts, seedCounts, setKeys } from "../figure.js";
import { html } from "../html.js";
import { formula, mi, mo, norm, sub } from "../mathml.js";
import { ink } from "../palette.js";
import { allBranches, distinct, finalRows, isJailbreak, orderSets, overSeeds, select } from "../rows.js";
import { AXIS, airyDomain, type Panel, renderGrid } from "../svg.js";
import { sayRow, tagTitle } from "../tags.js";
import { fixed, sentenceList } from "../words.js";

const COLUMNS = 3;

/** How far panels may differ in range and still share an axis: beyond this the small ones would be flat lines. */
const SHARED_RANGE = 12;

/** Mean τ per block of safe and unsafe samples, a panel per checkpoint, a band of panels per q: the paper's figure 3. */
export function tauFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = tauRows(allRows).filter((r) => r.set === "safe" || r.set === "unsafe");
  return drawTau(rows, {
    id: "tau",
    title: "How far safe and unsafe activations part",
    read: (shown, checkpoints, q) => {
      const parts = lastBlock(shown, checkpoints, q, (safe, unsafe) => `${fixed(safe)} and ${fixed(unsafe)}`);
      const rule = "The farther apart the lines, the better a block tells safe from unsafe.";
      return parts === "" ? rule : `${rule} In the last block the mean τ of safe and of unsafe samples is: ${parts}.`;
    },
  });
}

/** The same with every jailbreak set, all its attempts, between the two classes, for the smallest q: whether an attack looks safe to the model. */
export function jailbreakTauFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const all = tauRows(allRows);
  if (!all.some((r) => isJailbreak(r.set!))) return undefined;
  const windows = distinct(all, "index");
  const smallest = windows.length > 0 ? Math.min(...windows) : undefined;
  return drawTau(select(all, { index: smallest }), {
    id: "tau-jailbreaks",
    title: "Whether jailbreaks look safe from inside",
    read: () =>
      "A jailbreak set near the safe line is one that the model’s activations take for safe; near the unsafe line, it is recognised.",
  });
}

function tauRows(rows: readonly ResultRow[]): ResultRow[] {
  return finalRows(select(rows, { measure: "clusters", metric: "tau" })).filter(
    (r) => r.block !== undefined && r.set !== undefined && r.checkpoint !== undefined,
  );
}

interface TauWords {
  readonly id: string;
  readonly title: string;
  readonly read: (shown: readonly ResultRow[], checkpoints: readonly string[], q: number | undefined) => string;
}

function drawTau(rows: readonly ResultRow[], { id, title, read }: TauWords): Figure | undefined {
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
      const suffix = q === undefined ? "" : `, q = ${q}`;
      panels.push(
        points.length === 0
          ? null
          : { ...tauPanel(`mean τ · ${checkpointTitle(checkpoint)}${suffix}`, points, domain), tags: { checkpoint } },
      );
    }
    while (panels.length % columns !== 0) panels.push(null);
  }
  const axes = domain ? "" : " Each panel has its own axis, because the ranges differ much.";
  return {
    id,
    title,
    ...renderGrid({
      id,
      title,
      description: `Mean tau of ${sentenceList(sets)} samples against the block, one panel for each of ${sentenceList(checkpoints.map(checkpointTitle))}.`,
      columns,
      legend: keys,
      panels,
    }),
    reading: read(shown, checkpoints, windows[0]) + axes,
    formula: TAU,
    n: `${sampleCounts(shown)}; ${seedCounts(rows)}; bars are 95% intervals`,
    rows,
  };
}

const TAU = (() => {
  const a = sub(mi("a"), mi("L"));
  const distanceTo = (set: string) =>
    norm(a, mo("("), mi("x"), mo(")"), mo("−"), html`<msubsup>${mi("μ")}${mi("L")}${mi(set)}</msubsup>`);
  return html`${formula(sub(mi("τ"), mi("L")), mo("("), mi("x"), mo(")"), mo("="), distanceTo("U"), mo("−"), distanceTo("S"))}
    <p><i>a</i> is the MLP activation of block <i>L</i>, averaged over the <i>q</i> positions from the one that predicts the first
    output token; μ<sup>S</sup> and μ<sup>U</sup> are the class means, taken from samples other than <i>x</i>. Above 0: nearer to safe. τ is a
    distance and grows with the activations’ norm, so read it beside its scale-free twins.</p>`;
})();

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
      y: {
        ...AXIS,
        label: null,
        grid: true,
        ticks: 5,
        domain: [...(domain ?? airyDomain(points.flatMap((point) => [lowOf(point), highOf(point)])))],
      },
      color: { type: "identity" },
      symbol: { type: "identity" },
      marks: [
        Plot.ruleY([0], { stroke: ink("muted"), strokeWidth: 1 }),
        Plot.line(points, {
          x: "block",
          y: "value",
          z: "set",
          sort: "block",
          stroke: "colour",
          strokeWidth: 1.8,
          title: series,
        }),
        Plot.ruleX(points, { x: "block", y1: lowOf, y2: highOf, stroke: "colour", strokeWidth: 1.8, title: series }),
        Plot.dot(points, { x: "block", y: "value", fill: "colour", symbol: "symbol", r: 4, title: point }),
      ],
    },
  };
}

const series = ({ set }: ResultRow) => tagTitle({ set });
const point = (r: ResultRow) => tagTitle({ set: r.set, said: sayRow(r) });
const lowOf = (point: ResultRow) => point.low ?? point.value;
const highOf = (point: ResultRow) => point.high ?? point.value;

/** One y-axis for all panels, unless a checkpoint's range is so much larger that the others would vanish. */
function sharedDomain(rows: readonly ResultRow[], checkpoints: readonly string[]): [number, number] | undefined {
  const reach = checkpoints.map((checkpoint) =>
    Math.max(...select(rows, { checkpoint }).map((r) => Math.max(Math.abs(lowOf(r)), Math.abs(highOf(r))))),
  );
  if (Math.max(...reach) > SHARED_RANGE * Math.min(...reach)) return undefined;
  return airyDomain(rows.flatMap((r) => [lowOf(r), highOf(r)]));
}

/** "before tuning 0.58 and −0.09; SSFT medium ...", or nothing where a class is missing. */
function lastBlock(
  rows: readonly ResultRow[],
  checkpoints: readonly string[],
  q: number | undefined,
  say: (safe: number, unsafe: number) => string,
): string {
  const parts = checkpoints.flatMap((checkpoint) => {
    const here = select(rows, { checkpoint, index: q });
    const last = Math.max(...here.map((r) => r.block!));
    const safe = select(here, { set: "safe", block: last })[0];
    const unsafe = select(here, { set: "unsafe", block: last })[0];
    return safe && unsafe ? [`${checkpointTitle(checkpoint)} ${say(safe.value, unsafe.value)}`] : [];
  });
  return parts.join("; ");
}
