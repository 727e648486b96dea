import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../../study/results.js";
import { BASELINE, checkpointParts, checkpointTitle, methodTitle, orderCheckpoints } from "../checkpoints.js";
import { type CheckpointKey, checkpointKeys, type Figure, seedCounts } from "../figure.js";
import { html } from "../html.js";
import { formula, mi, mo, over, row, sub, sum } from "../mathml.js";
import { distinct, select } from "../rows.js";
import { AXIS, type LegendEntry, logTicks, type Panel, renderGrid } from "../svg.js";
import { tagTitle } from "../tags.js";
import { count, significant } from "../words.js";

/** Training's metrics in the order of the figure's rows. */
const METRICS = [
  { metric: "loss", title: "loss", height: 170, log: true },
  { metric: "accuracy", title: "accuracy", height: 120, log: false },
  { metric: "gradient-norm", title: "gradient norm", height: 110, log: true },
  { metric: "learning-rate", title: "learning rate", height: 95, log: false },
  { metric: "text-share", title: "text share", height: 95, log: false },
] as const;

/** Points per curve: more than the pixels of a panel allow to tell apart would only make the page larger. */
const MAX_POINTS = 200;
const COLUMNS = 3;

/** Values that span less than this are read more easily on a linear axis. */
const LOG_RANGE = 10;

/** Training curves: pretraining first, then a column per method with a line per rate and seed. `undefined` without rows of `training`. */
export function trainingFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = thinned(
    select(allRows, { measure: "training" }).filter(
      (r) => r.step !== undefined && r.checkpoint !== undefined && Number.isFinite(r.value),
    ),
  );
  if (rows.length === 0) return undefined;
  const checkpoints = orderCheckpoints(distinct(rows, "checkpoint"));
  const keys = checkpointKeys(allRows);
  const tuned = checkpoints.filter((checkpoint) => checkpoint !== BASELINE);
  const methods = [...new Set(tuned.map((checkpoint) => checkpointParts(checkpoint).method))];
  const panels: (Panel | null)[] = [];
  const columns = checkpoints.includes(BASELINE) ? COLUMNS : Math.min(COLUMNS, methods.length);
  const metrics = (own: readonly ResultRow[]) => METRICS.filter(({ metric }) => own.some((r) => r.metric === metric));
  const pretraining = select(rows, { checkpoint: BASELINE });
  for (const kind of metrics(pretraining)) panels.push(curve(pretraining, [BASELINE], kind, keys));
  while (panels.length % columns !== 0) panels.push(null);
  for (let start = 0; start < methods.length; start += columns) {
    const group = Array.from({ length: columns }, (_, i) => {
      const own = tuned.filter((checkpoint) => checkpointParts(checkpoint).method === methods[start + i]);
      return { own, rows: rows.filter((r) => own.includes(r.checkpoint!)) };
    });
    for (const kind of metrics(group.flatMap((column) => column.rows)))
      for (const column of group) panels.push(curve(column.rows, column.own, kind, keys));
  }
  return {
    id: "training",
    title: "Training curves",
    ...renderGrid({
      id: "training",
      title: "Training curves",
      description: `Training metrics against the step for ${checkpoints.map(checkpointName).join(", ")}.`,
      columns,
      legend: tuned.map((checkpoint) => lineKey(keys.get(checkpoint)!)),
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
    )}<p>Loss: mean negative log-likelihood of the tokens in the stage’s loss mask <i>M</i>, in nats per token; of DPO, unlearning and the other objectives it is the objective itself. Gradient norm: of the whole gradient, before clipping. Text share: of the samples, those that train the text instead of the output. One value per logged batch, at most 200 of a curve; one line per seed, the rates of a method told apart by their dashes.</p>`,
    n: `${seedCounts(rows)}; single batches, so no interval`,
    rows,
  };
}

/** A checkpoint's colour and dash without its symbol: the curves are too dense for symbols. */
function lineKey({ label, colour, dash }: CheckpointKey): LegendEntry {
  return { label, colour, ...(dash !== undefined && { dash }) };
}

function curve(
  rows: readonly ResultRow[],
  checkpoints: readonly string[],
  { metric, title, height, log }: (typeof METRICS)[number],
  keys: ReadonlyMap<string, CheckpointKey>,
): Panel | null {
  const points = select(rows, { metric });
  if (points.length === 0) return null;
  const seeds = distinct(points, "seed");
  const values = points.map((point) => point.value);
  const onLog = log && Math.min(...values) > 0 && Math.max(...values) >= LOG_RANGE * Math.min(...values);
  const opacity = seeds.length > 1 ? 0.65 : 1;
  return {
    title: `${panelName(checkpoints)} · ${title}`,
    height,
    plot: {
      marginLeft: 44,
      marginRight: 14,
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
      marks: checkpoints.map((checkpoint) => {
        const { colour, dash } = keys.get(checkpoint)!;
        return Plot.line(select(points, { checkpoint }), {
          x: "step",
          y: "value",
          z: (point: ResultRow) => String(point.seed),
          stroke: colour,
          strokeWidth: 1.2,
          strokeOpacity: opacity,
          title: () => tagTitle({ checkpoint }),
          ...(dash !== undefined && { strokeDasharray: dash }),
        });
      }),
    },
  };
}

/** "SSFT": the legend tells its rates apart. */
function panelName(checkpoints: readonly string[]): string {
  if (checkpoints[0] === BASELINE) return checkpointName(BASELINE);
  return methodTitle(checkpointParts(checkpoints[0]!).method);
}

/** Every curve (one metric of one checkpoint and seed) in the order of its steps, with at most MAX_POINTS of them. */
function thinned(rows: readonly ResultRow[]): ResultRow[] {
  const curves = new Map<string, ResultRow[]>();
  for (const r of rows) {
    const key = JSON.stringify([r.metric, r.checkpoint, r.seed]);
    const own = curves.get(key);
    if (own) own.push(r);
    else curves.set(key, [r]);
  }
  return [...curves.values()].flatMap((own) => thin(own.sort((a, b) => a.step! - b.step!)));
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
    return [`${checkpointName(checkpoint)} ${significant(value)} (${count(last)})`];
  });
  if (ends.length === 0) return "A flat end means that more steps would change little.";
  return `A flat end means that more steps would change little. Loss at the end (after how many steps): ${ends.join("; ")}.`;
}
