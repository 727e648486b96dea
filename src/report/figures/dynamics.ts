import type { ResultRow } from "../../study/results.js";
import { BASELINE, checkpointTitle, orderCheckpoints } from "../checkpoints.js";
import { type CheckpointKey, checkpointKeys, type Figure, sampleCounts, seedCounts } from "../figure.js";
import { type Html, html } from "../html.js";
import { type SeriesPoint, seriesMarks } from "../marks.js";
import { formula, mi, mo, over, row, sub, sum } from "../mathml.js";
import { allBranches, distinct, isJailbreak, orderSets, overSeeds, select, shareInterval } from "../rows.js";
import { AXIS, airyDomain, type Panel, renderGrid } from "../svg.js";
import { sayRow } from "../tags.js";
import { count, percent, setTitle } from "../words.js";

const COLUMNS = 3;

/** Steps nearer to each other than this share of the axis would write their labels on each other. */
const LABEL_SHARE = 0.12;

/** Behaviour while tuning goes on: refusal of unsafe prompts, success on safe ones and on every jailbreak set. `undefined` without such rows. */
export function behaviourDynamics(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = select(allRows, { measure: "behaviour" }).filter((r) =>
    r.set === "unsafe"
      ? r.metric === "null"
      : r.metric === "instruct" && (r.set === "safe" || isJailbreak(r.set ?? "")),
  );
  const curves = alongTuning(rows, allRows);
  if (!curves) return undefined;
  const sets = orderSets(distinct(curves.points, "set"));
  const ordered = ["unsafe", "safe", ...sets.filter(isJailbreak)].filter((set) => sets.includes(set));
  return figure({
    id: "dynamics-behaviour",
    title: "When refusal comes, and when jailbreaks go",
    curves,
    allRows,
    panels: ordered.map((set) => ({
      title: set === "unsafe" ? "refusal of unsafe prompts" : `success on ${setTitle(set)}`,
      points: select(curves.points, { set }),
      share: true,
      set,
    })),
    reading: refusalReading(curves.points),
    formula: html`${formula(
      row(mi("success"), mo("("), mi("t"), mo(")")),
      mo("="),
      over(mi("1"), mi("n")),
      sum(mi("x")),
      row(mo("["), sub(mi("y"), sub(mi("W"), mi("t"))), mo("("), mi("x"), mo(")"), mo("="), mi("y"), mo("]")),
    )}<p><i>W<sub>t</sub></i> are the weights after <i>t</i> steps of tuning. Refusal: every output token is NULL. ${AXIS_WORDS}</p>`,
  });
}

/** The clusters of the last block while tuning goes on, for the smallest q: two scale-free measures and the separation of mean τ. */
export function clusterDynamics(allRows: readonly ResultRow[]): Figure | undefined {
  const all = select(allRows, { measure: "clusters" }).filter(
    (r) =>
      CLUSTER_METRICS.some(({ metric }) => metric === r.metric) && r.block !== undefined && r.outcome === undefined,
  );
  const moving = all.filter((r) => r.step !== undefined);
  if (moving.length === 0) return undefined;
  const last = Math.max(...moving.map((r) => r.block!));
  const windows = distinct(moving, "index");
  const q = windows.length > 0 ? Math.min(...windows) : undefined;
  const rows = all.filter((r) => r.block === last && r.index === q);
  const curves = alongTuning(rows, allRows);
  if (!curves) return undefined;
  return figure({
    id: "dynamics-clusters",
    title: `When safe and unsafe activations part (block ${last}${q === undefined ? "" : `, q = ${q}`})`,
    curves,
    allRows,
    panels: CLUSTER_METRICS.map(({ metric, title, share }) => ({
      title,
      points: select(curves.points, { metric }),
      share,
    })).filter(({ points }) => points.length > 0),
    reading:
      "Where the AUCs are flat and the separation rises, tuning made the activations larger, not the classes easier to tell apart.",
    formula: html`${formula(
      row(mi("separation"), mo("("), mi("t"), mo(")")),
      mo("="),
      sub(mi("τ̄"), mi("s")),
      mo("−"),
      sub(mi("τ̄"), mi("u")),
    )}<p>Means of τ over safe and over unsafe samples, at step <i>t</i> of tuning; AUC of τ and of cosine τ as above, chance ½. ${AXIS_WORDS}</p>`,
  });
}

const AXIS_WORDS =
  "The axis is the square root of the step, so that the first steps, in which most happens, have room; step 0 is the model before tuning.";

const CLUSTER_METRICS = [
  { metric: "auc", title: "AUC of τ", share: false },
  { metric: "cosine-auc", title: "AUC of cosine τ", share: false },
  { metric: "separation", title: "separation of mean τ", share: false },
] as const;

type StepRow = ResultRow & { readonly step: number; readonly checkpoint: string };

interface Curves {
  /** Over seeds and branches, with step 0 (before tuning) and the last step where they are known. */
  readonly points: readonly StepRow[];
  readonly rows: readonly ResultRow[];
}

/**
 * Rows with a step as curves. The model before tuning begins every curve, at step 0; the finished checkpoint ends its own, at the last step that
 * its training logged (without a training log the curve ends at its last intermediate step). `undefined` without rows with a step.
 */
function alongTuning(rows: readonly ResultRow[], allRows: readonly ResultRow[]): Curves | undefined {
  const usable = rows.filter((r) => r.checkpoint !== undefined && r.outcome === undefined);
  const moving = new Set(
    distinct(
      usable.filter((r) => r.step !== undefined && r.checkpoint !== BASELINE),
      "checkpoint",
    ),
  );
  if (moving.size === 0) return undefined;
  const ends = new Map<string, number>();
  for (const r of allRows)
    if (r.measure === "training" && r.checkpoint !== undefined && r.step !== undefined)
      ends.set(r.checkpoint, Math.max(r.step, ends.get(r.checkpoint) ?? 0));
  const placed: ResultRow[] = usable.flatMap((r): ResultRow[] => {
    const checkpoint = r.checkpoint!;
    if (checkpoint === BASELINE && r.step === undefined)
      return [...moving].map((other) => ({ ...r, checkpoint: other, step: 0 }));
    if (!moving.has(checkpoint)) return [];
    if (r.step !== undefined) return [r];
    const end = ends.get(checkpoint);
    return end === undefined ? [] : [{ ...r, step: end }];
  });
  // A run that also kept its last step as an intermediate one says the same twice; the later row, the finished checkpoint's, wins.
  const once = new Map(
    placed.map((r) => [JSON.stringify([r.checkpoint, r.metric, r.set, r.branch, r.step, r.seed, r.index, r.block]), r]),
  );
  const points = overSeeds(allBranches([...once.values()])).filter((r) => Number.isFinite(r.value)) as StepRow[];
  const used = usable.filter((r) => moving.has(r.checkpoint!) || r.checkpoint === BASELINE);
  return { points, rows: used };
}

interface Drawing extends Pick<Figure, "id" | "title" | "reading" | "formula"> {
  readonly curves: Curves;
  readonly allRows: readonly ResultRow[];
  readonly panels: readonly {
    readonly title: string;
    readonly points: readonly StepRow[];
    readonly share: boolean;
    readonly set?: string;
  }[];
  readonly formula: Html;
}

function figure({ id, title, curves, allRows, panels, reading, formula: drawn }: Drawing): Figure {
  const checkpoints = orderCheckpoints(distinct(curves.points, "checkpoint"));
  const keys = checkpointKeys(allRows);
  return {
    id,
    title,
    ...renderGrid({
      id,
      title,
      description: `${panels.map((panel) => panel.title).join(", ")} against the step of tuning, one line for each of ${checkpoints.map(checkpointTitle).join(", ")}.`,
      columns: Math.min(COLUMNS, panels.length),
      legend: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
      panels: panels.map((panel) => stepPanel(panel, keys)),
    }),
    reading,
    formula: drawn,
    n: `${sampleCounts(curves.points)}; ${seedCounts(curves.rows)}; bands are 95% intervals`,
    rows: curves.rows,
  };
}

function stepPanel(
  { title, points: rows, share, set }: Drawing["panels"][number],
  keys: ReadonlyMap<string, CheckpointKey>,
): Panel {
  const points = rows.map((r): SeriesPoint => {
    const bounds = share
      ? shareInterval(r)
      : r.low !== undefined && r.high !== undefined && { low: r.low, high: r.high };
    const { low, high } = bounds || { low: r.value, high: r.value };
    return {
      ...keys.get(r.checkpoint)!,
      x: r.step,
      value: r.value,
      low,
      high,
      said: sayRow({ ...r, ...bounds }, { share, at: `step ${r.step}` }),
    };
  });
  const steps = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  return {
    title,
    tags: { set },
    height: 185,
    plot: {
      marginLeft: 44,
      marginRight: 14,
      marginTop: 8,
      marginBottom: 38,
      x: {
        ...AXIS,
        type: "sqrt",
        label: "step of tuning",
        domain: steps.length > 1 ? [steps[0]!, steps.at(-1)!] : [0, Math.max(1, 2 * steps[0]!)],
        ticks: roomyTicks(steps),
        tickFormat: count,
        insetLeft: 6,
        insetRight: 6,
      },
      y: {
        ...AXIS,
        label: null,
        grid: true,
        ticks: 5,
        ...(share
          ? { domain: [0, 1], tickFormat: (value: number) => `${Math.round(value * 100)}%` }
          : {
              domain: paddedDomain(
                points.flatMap((point) => [point.low, point.high]),
                title,
              ),
            }),
      },
      color: { type: "identity" },
      symbol: { type: "identity" },
      marks: seriesMarks(points, "bands", 2.8),
    },
  };
}

/** AUCs have ½ in view and 1 as their top; separations have 0. */
function paddedDomain(values: readonly number[], title: string): [number, number] {
  return title.startsWith("AUC") ? [Math.min(0.45, ...values), 1.02] : airyDomain(values);
}

/** The first and the last measured step, and those between them whose labels do not touch on a square-root axis. */
function roomyTicks(steps: readonly number[]): number[] {
  const [first, last] = [steps[0]!, steps.at(-1)!];
  const room = LABEL_SHARE * Math.sqrt(last);
  const apart = (a: number, b: number) => Math.sqrt(b) - Math.sqrt(a) >= room;
  const kept = [last];
  for (const step of [...steps].reverse())
    if (apart(step, kept.at(-1)!) && (step === first || apart(first, step))) kept.push(step);
  return kept.includes(first) ? kept.reverse() : [first, ...kept.reverse()];
}

/** The first measured step at which each checkpoint refuses at least half of the unsafe prompts. */
function refusalReading(points: readonly StepRow[]): string {
  const rule = "A curve that has reached its end early gains nothing from further steps.";
  const refusals = select(points, { set: "unsafe", metric: "null" });
  const parts = orderCheckpoints(distinct(refusals, "checkpoint")).flatMap((checkpoint) => {
    const own = select(refusals, { checkpoint }).sort((a, b) => a.step - b.step);
    const half = own.find((r) => r.value >= 0.5);
    const last = own.at(-1)!;
    return half
      ? [`${checkpointTitle(checkpoint)} by step ${count(half.step)}`]
      : [`${checkpointTitle(checkpoint)} not at all (${percent(last.value)} at step ${count(last.step)})`];
  });
  return parts.length === 0 ? rule : `${rule} Half of the unsafe prompts are refused by: ${parts.join("; ")}.`;
}
