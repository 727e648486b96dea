import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../../study/results.js";
import { type Figure, seedCounts } from "../figure.js";
import { html } from "../html.js";
import { formula, mi, mo, over, row, sub, sum } from "../mathml.js";
import { ink } from "../palette.js";
import { distinct, orderCheckpoints, select } from "../rows.js";
import { AXIS, logTicks, type Panel, renderGrid } from "../svg.js";
import { checkpointTitle, count, significant } from "../words.js";

/** Training's metrics in the order of the figure's rows. */
const METRICS = [
  { metric: "loss", title: "loss (nats per token)", height: 170, log: true },
  { metric: "accuracy", title: "accuracy", height: 120, log: false },
  { metric: "gradient-norm", title: "gradient norm", height: 110, log: true },
  { metric: "learning-rate", title: "learning rate", height: 95, log: false },
  { metric: "text-share", title: "text share", height: 95, log: false },
] as const;

/** Points per curve: more than twice the pixels of a panel would only make the page larger. */
const MAX_POINTS = 400;
const COLUMNS = 3;

/** Values that span less than this are read more easily on a linear axis. */
const LOG_RANGE = 10;

/** Training curves: a column per trained checkpoint, a row per metric, a thin line per seed. `undefined` without rows of `training`. */
export function trainingFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = select(allRows, { measure: "training" }).filter((r) => r.step !== undefined && Number.isFinite(r.value));
  if (rows.length === 0) return undefined;
  const checkpoints = orderCheckpoints(distinct(rows, "checkpoint"));
  const panels: (Panel | null)[] = [];
  const columns = Math.min(COLUMNS, checkpoints.length);
  for (let start = 0; start < checkpoints.length; start += columns) {
    const group = Array.from({ length: columns }, (_, i) => checkpoints[start + i]);
    for (const kind of METRICS) {
      if (!group.some((checkpoint) => select(rows, { metric: kind.metric, checkpoint }).length > 0)) continue;
      for (const checkpoint of group)
        panels.push(checkpoint === undefined ? null : curve(select(rows, { metric: kind.metric, checkpoint }), kind));
    }
  }
  return {
    id: "training",
    title: "Training curves",
    svg: renderGrid({
      id: "training",
      title: "Training curves",
      description: `Training metrics against the step for ${checkpoints.map(checkpointName).join(", ")}.`,
      columns,
      legend: [],
      panels,
    }),
    reading: reading(rows, checkpoints),
    formula: html`${formula(
      mi("L"),
      mo("="),
      mo("−"),
      over(row(mi("1")), row(mo("|"), mi("M"), mo("|"))),
      sum(row(mi("p"), mo("∈"), mi("M"))),
      row(
        mi("log"),
        sub(mi("π"), mi("W")),
        mo("("),
        sub(mi("x"), row(mi("p"), mo("+"), mi("1"))),
        mo("|"),
        sub(mi("x"), row(mo("≤"), mi("p"))),
        mo(")"),
      ),
    )}<p>Loss: mean negative log-likelihood of the tokens in the stage’s loss mask <i>M</i>. Gradient norm: of the whole gradient, before clipping. Text share: of the samples, those that train the text instead of the output. One value per logged batch, one line per seed.</p>`,
    n: `${seedCounts(rows)}; single batches, so no interval`,
    rows,
  };
}

function curve(rows: readonly ResultRow[], { title, height, log }: (typeof METRICS)[number]): Panel | null {
  if (rows.length === 0) return null;
  const seeds = distinct(rows, "seed");
  const points = (seeds.length > 0 ? seeds : [undefined]).flatMap((seed) =>
    thin(select(rows, { seed }).sort((a, b) => a.step! - b.step!)),
  );
  const values = points.map((point) => point.value);
  const onLog = log && Math.min(...values) > 0 && Math.max(...values) >= LOG_RANGE * Math.min(...values);
  const opacity = seeds.length > 1 ? 0.65 : 1;
  return {
    title: `${checkpointName(rows[0]!.checkpoint)} · ${title}`,
    height,
    plot: {
      marginLeft: 44,
      marginRight: 8,
      marginTop: 8,
      marginBottom: 34,
      x: { ...AXIS, label: "step", ticks: 4, tickFormat: count },
      y: {
        ...AXIS,
        label: null,
        grid: true,
        tickFormat: significantTick,
        ...(onLog ? { type: "log", ticks: logTicks(values) } : { zero: true, ticks: 3 }),
      },
      marks: [
        Plot.line(points, {
          x: "step",
          y: "value",
          z: (point: ResultRow) => String(point.seed),
          stroke: ink("ink"),
          strokeWidth: 1.2,
          strokeOpacity: opacity,
        }),
      ],
    },
  };
}

/** At most MAX_POINTS of a curve, evenly spaced, with its first and last. */
function thin(points: readonly ResultRow[]): ResultRow[] {
  if (points.length <= MAX_POINTS) return [...points];
  const stride = (points.length - 1) / (MAX_POINTS - 1);
  return Array.from({ length: MAX_POINTS }, (_, i) => points[Math.round(i * stride)]!);
}

function significantTick(value: number): string {
  return String(Number(value.toPrecision(2)));
}

function checkpointName(checkpoint: string | undefined): string {
  return checkpoint === "instruct" ? "pretraining" : checkpointTitle(checkpoint ?? "all");
}

function reading(rows: readonly ResultRow[], checkpoints: readonly string[]): string {
  const ends = checkpoints.flatMap((checkpoint) => {
    const losses = select(rows, { metric: "loss", checkpoint });
    if (losses.length === 0) return [];
    const last = Math.max(...losses.map((loss) => loss.step!));
    const final = losses.filter((loss) => loss.step === last);
    const value = final.reduce((total, loss) => total + loss.value, 0) / final.length;
    return [`${checkpointName(checkpoint)} ends at a loss of ${significant(value)} after step ${count(last)}`];
  });
  if (ends.length === 0) return "A flat end means that more steps would change little.";
  return `A flat end means that more steps would change little: ${ends.join("; ")}.`;
}
