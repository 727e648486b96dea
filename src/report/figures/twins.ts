import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, orderCheckpoints } from "../checkpoints.js";
import { type CheckpointKey, checkpointKeys, type Figure, sampleCounts, seedCounts } from "../figure.js";
import { type Html, html } from "../html.js";
import { seriesMarks } from "../marks.js";
import { formula, mi, mo, over, row, sub, sup } from "../mathml.js";
import { ink } from "../palette.js";
import { allBranches, distinct, finalRows, orderSets, overSeeds, select } from "../rows.js";
import { AXIS, airyDomain, type LegendEntry, type Panel, renderGrid } from "../svg.js";
import { sayRow } from "../tags.js";
import { fixed } from "../words.js";

/** The metrics beside τ, in the figure's order. `bounded`: between ½ and 1, so the axis is fixed. */
const METRICS = [
  { metric: "auc", title: "AUC of τ", bounded: true },
  { metric: "cosine-auc", title: "AUC of cosine τ", bounded: true },
  { metric: "two-means", title: "2-means accuracy", bounded: true },
  { metric: "fisher", title: "Fisher criterion", bounded: false },
  { metric: "separation", title: "separation of mean τ", bounded: false },
  { metric: "cosine-tau", title: "cosine τ", bounded: false },
  { metric: "norm", title: "activation norm", bounded: false },
  { metric: "sigma1-share", title: "share of σ₁", bounded: false },
  { metric: "effective-rank", title: "effective rank", bounded: false },
] as const;

const COLUMNS = 3;

/** The two classes that tuning should tell apart, and the rows that compare them; jailbreak sets have their own figure. */
const CLASSES: ReadonlySet<string | undefined> = new Set(["safe", "unsafe", undefined]);

/** τ's scale-free twins, the norms and the spectra per block: one figure for each q that was measured. */
export function twinFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = finalRows(select(allRows, { measure: "clusters" })).filter(
    (r) => r.block !== undefined && METRICS.some(({ metric }) => metric === r.metric) && CLASSES.has(r.set),
  );
  const shown = overSeeds(allBranches(rows)).filter((r) => Number.isFinite(r.value) && r.checkpoint !== undefined);
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const keys = checkpointKeys(allRows);
  const windows = distinct(shown, "index").sort((a, b) => a - b);
  const perWindow = windows.length > 0 ? windows : [undefined];
  return perWindow.flatMap((q) => {
    // Rows without an index do not depend on q: they stand in the first figure.
    const belongs = (r: ResultRow) => r.index === q || (r.index === undefined && q === perWindow[0]);
    const here = shown.filter(belongs);
    return here.length > 0 ? [twinFigure(here, rows.filter(belongs), checkpoints, keys, q)] : [];
  });
}

function twinFigure(
  shown: readonly ResultRow[],
  rows: readonly ResultRow[],
  checkpoints: readonly string[],
  keys: ReadonlyMap<string, CheckpointKey>,
  q: number | undefined,
): Figure {
  const panels = METRICS.flatMap((kind) => {
    const ofMetric = select(shown, { metric: kind.metric });
    const sets = orderSets(distinct(ofMetric, "set"));
    return (sets.length > 0 ? sets : [undefined]).flatMap((set) => {
      const points = select(ofMetric, { set });
      const title = set === undefined ? kind.title : `${kind.title}, ${set}`;
      if (points.length === 0) return [];
      return [{ ...twinPanel(title, points, checkpoints, keys, kind.bounded), tags: { set } }];
    });
  });
  const hasChance = shown.some((r) => r.chance !== undefined);
  const chanceKey: LegendEntry = { label: "chance", colour: ink("muted"), dash: "4 3" };
  const id = q === undefined ? "clusters" : `clusters-q${q}`;
  return {
    id,
    title: q === undefined ? "The same clusters, free of scale" : `The same clusters, free of scale (q = ${q})`,
    ...renderGrid({
      id,
      title: "Scale-free measures of the clusters per block",
      description: `${panels.map((panel) => panel.title).join(", ")} against the block, one line for each of ${checkpoints.map(checkpointTitle).join(", ")}.`,
      columns: COLUMNS,
      legend: [...checkpoints.map((checkpoint) => keys.get(checkpoint)!), ...(hasChance ? [chanceKey] : [])],
      panels,
    }),
    reading: reading(shown, checkpoints),
    formula: definitions(new Set(shown.map((r) => r.metric))),
    n: `${sampleCounts(shown)}; ${seedCounts(rows)}; bars are 95% intervals${hasChance ? "; the dashed line is chance" : ""}`,
    rows,
  };
}

function twinPanel(
  title: string,
  rows: readonly ResultRow[],
  checkpoints: readonly string[],
  keys: ReadonlyMap<string, CheckpointKey>,
  bounded: boolean,
): Panel {
  const blocks = distinct(rows, "block").sort((a, b) => a - b);
  const step = Math.min(0.09, 0.5 / checkpoints.length);
  const points = rows.map((r) => {
    const i = checkpoints.indexOf(r.checkpoint!);
    // Side by side, so that intervals of equal values do not hide each other.
    const x = r.block! + (i - (checkpoints.length - 1) / 2) * step;
    return {
      ...keys.get(r.checkpoint!)!,
      x,
      value: r.value,
      low: r.low ?? r.value,
      high: r.high ?? r.value,
      said: sayRow(r),
    };
  });
  const chance = blocks.flatMap((block) => {
    const levels = select(rows, { block })
      .map((r) => r.chance)
      .filter((level) => level !== undefined);
    return levels.length > 0
      ? [{ block, level: levels.reduce((total, level) => total + level, 0) / levels.length }]
      : [];
  });
  const extremes = points.flatMap((p) => [p.value, p.low, p.high]);
  const edge = blocks.length > 1 || chance.length === 0 ? chance : [];
  return {
    title,
    height: 165,
    plot: {
      marginLeft: 44,
      marginRight: 10,
      marginTop: 8,
      marginBottom: 36,
      x: {
        ...AXIS,
        label: "block",
        domain: [blocks[0]! - 0.35, blocks.at(-1)! + 0.35],
        ticks: blocks,
        tickFormat: "d",
      },
      y: {
        ...AXIS,
        label: null,
        grid: true,
        ticks: 5,
        ...(bounded ? { domain: [Math.min(0.45, ...extremes), 1.02] } : { domain: airyDomain(extremes) }),
      },
      color: { type: "identity" },
      symbol: { type: "identity" },
      marks: [
        Plot.ruleY(edge.length > 0 ? [] : chance, { y: "level", stroke: ink("muted"), strokeDasharray: "4 3" }),
        Plot.line(edge, { x: "block", y: "level", stroke: ink("muted"), strokeDasharray: "4 3", strokeWidth: 1.3 }),
        ...seriesMarks(points, "bars"),
      ],
    },
  };
}

/** What each panel shows, in words and symbols; only those that are drawn. */
function definitions(metrics: ReadonlySet<string>): Html {
  const entries: [string, Html][] = [
    [
      "auc",
      html`<b>AUC of τ</b>: how often τ of a safe sample exceeds τ of an unsafe one, ties counting half. Chance ½.`,
    ],
    [
      "cosine-auc",
      html`<b>AUC of cosine τ</b>: the same for cos(<i>a</i>, μ<sup>S</sup>) − cos(<i>a</i>, μ<sup>U</sup>), which no norm can move. Chance ½.`,
    ],
    ["two-means", html`<b>2-means accuracy</b>: two clusters found without labels, then named the better way round.`],
    [
      "fisher",
      html`<b>Fisher criterion</b>: squared distance of the class means <i>m</i> over the sum of the variances <i>v</i>, both along μ<sup>S</sup> − μ<sup>U</sup>.`,
    ],
    ["separation", html`<b>Separation</b>: mean τ of safe minus mean τ of unsafe samples (not scale-free).`],
    ["cosine-tau", html`<b>Cosine τ</b>: mean of cos(<i>a</i>, μ<sup>S</sup>) − cos(<i>a</i>, μ<sup>U</sup>) per set.`],
    ["norm", html`<b>Activation norm</b>: mean ‖<i>a</i>‖ per set; when it grows, τ grows with it.`],
    [
      "sigma1-share",
      html`<b>Share of σ₁</b>: the first singular value’s part in the nuclear norm of the class’s covariance.`,
    ],
    [
      "effective-rank",
      html`<b>Effective rank</b>: the exponential of the entropy of the normalised singular values of the centred activations.`,
    ],
  ];
  const auc = formula(
    mi("AUC"),
    mo("="),
    row(mi("P"), mo("("), sub(mi("τ"), mi("s")), mo(">"), sub(mi("τ"), mi("u")), mo(")")),
    mo("+"),
    over(mi("1"), mi("2")),
    row(mi("P"), mo("("), sub(mi("τ"), mi("s")), mo("="), sub(mi("τ"), mi("u")), mo(")")),
  );
  const square = (...parts: readonly Html[]) => sup(row(mo("("), ...parts, mo(")")), mi("2"));
  const fisher = formula(
    mi("J"),
    mo("="),
    over(
      square(sub(mi("m"), mi("s")), mo("−"), sub(mi("m"), mi("u"))),
      row(sub(mi("v"), mi("s")), mo("+"), sub(mi("v"), mi("u"))),
    ),
  );
  return html`${metrics.has("auc") && auc}${metrics.has("fisher") && fisher}<ul class="definitions">${entries
    .filter(([metric]) => metrics.has(metric))
    .map(([, words]) => html`<li>${words}</li>`)}</ul>`;
}

function reading(rows: readonly ResultRow[], checkpoints: readonly string[]): string {
  const areas = select(rows, { metric: "auc" });
  const parts = checkpoints.flatMap((checkpoint) => {
    const best = select(areas, { checkpoint }).sort((a, b) => b.value - a.value)[0];
    return best ? [`${checkpointTitle(checkpoint)} ${fixed(best.value)} (block ${best.block})`] : [];
  });
  if (parts.length === 0) return "A line above chance means that the block’s activations tell safe from unsafe.";
  return `A line above chance means that the block’s activations tell safe from unsafe, whatever their size. Highest AUC: ${parts.join("; ")}.`;
}
