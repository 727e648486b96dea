import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../study/results.js";
import { type Figure, sampleCounts, seedCounts } from "./figure.js";
import { type SeriesPoint, seriesMarks } from "./marks.js";
import { ink } from "./palette.js";
import { distinct, shareInterval } from "./rows.js";
import { AXIS, airyDomain, BAND_OPACITY, type LegendEntry, type Panel, renderGrid } from "./svg.js";
import { sayRow, type Tags, tagTitle } from "./tags.js";

/** The field of a row that is the x-axis. */
type Axis = "block" | "index" | "alpha";

/** A null that is drawn under the series: a line, and a band where it is a distribution. */
export interface NullCurve extends LegendEntry {
  /** No line: a spread around a series, not a level. */
  readonly bandOnly?: boolean;
  readonly points: readonly {
    readonly x: number;
    readonly value: number;
    readonly low?: number | undefined;
    readonly high?: number | undefined;
  }[];
}

export interface LinesPanel {
  readonly title: string;
  readonly tags?: Tags;
  /** One row a point, over seeds and branches. */
  readonly rows: readonly ResultRow[];
  /** Values are shares, 0 to 100%. */
  readonly share?: boolean;
  /** Unless given: what holds the values, their nulls and 0. */
  readonly domain?: readonly [number, number];
  /** Beside the rows' own chance levels, which are always drawn. */
  readonly nulls?: readonly NullCurve[];
}

export interface LinesFigure extends Pick<Figure, "id" | "title" | "reading" | "formula" | "rows" | "command"> {
  /** In place of the counts of samples, where the values rest on none. */
  readonly counted?: string;
  /** Height of a panel in px; 180 unless given. */
  readonly height?: number;
  /** The figure in a sentence, for those who cannot see it. */
  readonly description: string;
  readonly columns?: number;
  readonly panels: readonly (LinesPanel | null)[];
  readonly x: {
    readonly field: Axis;
    readonly label: string;
    readonly log?: boolean;
    /** Where a vertical line stands, as at α = 1. */
    readonly rule?: number;
    /** Before the number when a point says where it is: "i = ". */
    readonly sign?: string;
  };
  /** How a row's series looks; rows with the same label make a line. */
  readonly series: (row: ResultRow) => LegendEntry;
  readonly legend: readonly LegendEntry[];
  /** What the null is, after "the dashed line is". */
  readonly chance?: string;
  /** Each series has a null of its own, drawn as a dotted line in its colour. */
  readonly ownChance?: boolean;
}

/** How wide blocks' points of different series stand apart, in blocks. */
const SPREAD = 0.5;

/** A figure of lines with intervals: a panel each, chance levels drawn in. `undefined` where no panel has rows. */
export function linesFigure(figure: LinesFigure): Figure | undefined {
  const { id, title, description, panels, legend, reading, formula, rows, command, chance = "chance" } = figure;
  const shown = panels.flatMap((panel) => (panel ? panel.rows : []));
  if (shown.length === 0) return undefined;
  const hasChance = shown.some((row) => row.chance !== undefined);
  const bands = figure.x.field !== "block";
  const columns = Math.min(figure.columns ?? 3, panels.length);
  return {
    id,
    title,
    ...renderGrid({
      id,
      title,
      description,
      columns,
      legend: [
        ...legend,
        ...(hasChance ? [{ label: chance, colour: ink("muted"), dash: figure.ownChance ? "1.5 3" : "4 3" }] : []),
      ],
      panels: panels.map((panel) => (panel && panel.rows.length > 0 ? linesPanel(panel, figure) : null)),
    }),
    reading,
    formula,
    n: `${figure.counted ?? sampleCounts(shown)}; ${seedCounts(rows)}; ${bands ? "bands" : "bars"} are 95% intervals${hasChance ? `; the ${figure.ownChance ? "dotted lines are" : "dashed line is"} ${chance}` : ""}`,
    rows,
    ...(command !== undefined && { command }),
  };
}

function linesPanel({ title, tags, rows, share = false, domain, nulls = [] }: LinesPanel, figure: LinesFigure): Panel {
  const { field, label, log = false, rule, sign } = figure.x;
  const here = new Set(rows.map((row) => figure.series(row).label));
  const labels = figure.legend.map((entry) => entry.label).filter((name) => here.has(name));
  const xs = distinct(rows, field).sort((a, b) => a - b);
  // Side by side where there is no line to lie along, so that intervals of equal values do not hide each other.
  const dodge = field === "block" || (xs.length === 1 && !log) ? Math.min(0.09, SPREAD / labels.length) : 0;
  const shift = (name: string) => (labels.indexOf(name) - (labels.length - 1) / 2) * dodge;
  const points = rows.map((row): SeriesPoint => {
    const look = figure.series(row);
    const bounds = share ? shareInterval(row) : boundsOf(row);
    const said = { share, name: look.label, ...(sign !== undefined && { at: `${sign}${row[field]}` }) };
    return {
      ...look,
      x: row[field]! + shift(look.label),
      value: row.value,
      low: bounds?.low ?? row.value,
      high: bounds?.high ?? row.value,
      said: sayRow({ ...row, ...bounds }, said),
    };
  });
  const chances = figure.ownChance
    ? labels.flatMap((name) => {
        const own = rows.filter((row) => figure.series(row).label === name);
        const { symbol: _symbol, ...look } = figure.series(own[0]!);
        return chanceCurves(own, field).map(({ points: levels }) => ({
          ...look,
          dash: "1.5 3",
          points: levels.map((level) => ({ ...level, x: level.x + shift(name) })),
        }));
      })
    : chanceCurves(rows, field);
  const curves = [...chances, ...nulls];
  const extremes = [
    ...points.flatMap((point) => [point.low, point.high]),
    ...curves.flatMap(({ points: own }) => own.flatMap(({ value, low = value, high = value }) => [low, high])),
  ];
  return {
    title,
    ...(tags && { tags }),
    height: figure.height ?? 180,
    plot: {
      marginLeft: 44,
      marginRight: 10,
      marginTop: 8,
      marginBottom: 38,
      x: {
        ...AXIS,
        label,
        ...(log
          ? { type: "log", base: 2, domain: [xs[0]!, Math.max(xs.at(-1)!, xs[0]! * 2)], insetLeft: 8, insetRight: 8 }
          : { domain: airyX(xs, field) }),
        ticks: fewTicks(xs, log),
        tickFormat: (value: number) => String(value),
      },
      y: {
        ...AXIS,
        label: null,
        grid: true,
        ticks: 5,
        domain: [...(domain ?? (share ? [0, 1] : airyDomain(extremes)))],
        ...(share && { tickFormat: (value: number) => `${Math.round(value * 100)}%` }),
      },
      color: { type: "identity" },
      symbol: { type: "identity" },
      marks: [
        ...(rule === undefined ? [] : [Plot.ruleX([rule], { stroke: ink("rule"), strokeWidth: 1.5 })]),
        ...(!share && !domain ? [Plot.ruleY([0], { stroke: ink("rule") })] : []),
        ...curves.flatMap((curve) => nullMarks(curve, xs.length)),
        ...seriesMarks(points, field === "block" ? "bars" : "bands", xs.length > 10 ? 2.3 : 3),
      ],
    },
  };
}

/** A null as a band where it has one and as a line, or as a level where there is one place only. */
function nullMarks(
  { points, colour, dash = "4 3", checkpoint, set, bandOnly }: NullCurve,
  places: number,
): Plot.Markish[] {
  const banded = points.filter(({ low, high }) => low !== undefined && high !== undefined);
  const title = () => tagTitle({ checkpoint, set });
  return [
    Plot.areaY(banded, { x: "x", y1: "low", y2: "high", fill: colour, fillOpacity: BAND_OPACITY, title }),
    ...(bandOnly ? [] : [level(points, places)]),
  ];
  function level(at: NullCurve["points"], of: number): Plot.Markish {
    const look = { x: "x", y: "value", stroke: colour, strokeWidth: 1.3, title } as const;
    // A level known at one of several places is marked there and nowhere else.
    if (of > 1 && at.length === 1) return Plot.dot(at, { ...look, symbol: "times", r: 4 });
    return of > 1
      ? Plot.line(at, { ...look, strokeDasharray: dash })
      : Plot.ruleY(at, { y: "value", stroke: colour, strokeWidth: 1.3, strokeDasharray: dash, title });
  }
}

/** The rows' own chance levels: one line where they agree, and a band from the least to the largest where they do not. */
function chanceCurves(rows: readonly ResultRow[], field: Axis): NullCurve[] {
  const points = distinct(rows, field)
    .sort((a, b) => a - b)
    .flatMap((x) => {
      const levels = rows.flatMap((row) => (row[field] === x && row.chance !== undefined ? [row.chance] : []));
      if (levels.length === 0) return [];
      const [low, high] = [Math.min(...levels), Math.max(...levels)];
      const value = levels.reduce((total, level) => total + level, 0) / levels.length;
      return [{ x, value, ...(high > low && { low, high }) }];
    });
  return points.length > 0 ? [{ label: "chance", colour: ink("muted"), points }] : [];
}

function boundsOf({ low, high }: ResultRow): { low: number; high: number } | undefined {
  return low !== undefined && high !== undefined ? { low, high } : undefined;
}

function airyX(xs: readonly number[], field: Axis): [number, number] {
  const [first, last] = [xs[0]!, xs.at(-1)!];
  const air = field === "block" ? 0.4 : Math.max(0.03 * (last - first), last > first ? 0 : 0.5);
  return [first - air, last + air];
}

/** The measured places, as many as have room for their labels. */
function fewTicks(xs: readonly number[], log: boolean): number[] {
  const span = xs.at(-1)! - xs[0]!;
  if (log || span === 0) return [...xs];
  const kept: number[] = [];
  for (const x of xs) if (kept.length === 0 || x - kept.at(-1)! >= 0.13 * span) kept.push(x);
  return kept;
}
