import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../study/results.js";
import { type Figure, sampleCounts, seedCounts } from "./figure.js";
import { ink } from "./palette.js";
import { AXIS, airyDomain, type LegendEntry, renderGrid } from "./svg.js";
import { sayRow, tagTitle } from "./tags.js";

/** A value with its interval, on a lane. */
export interface LanePoint extends LegendEntry {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly lane: number;
}

/** Marks of values and their intervals; a hollow symbol lets the page through. */
export function valuesWithBars(points: readonly LanePoint[]): Plot.Markish[] {
  return [
    Plot.link(points, {
      x1: "low",
      x2: "high",
      y1: "lane",
      y2: "lane",
      stroke: "colour",
      strokeWidth: 1.8,
      title: "series",
    }),
    Plot.dot(points, {
      x: "value",
      y: "lane",
      symbol: "symbol",
      r: 3.8,
      fill: (point: LanePoint) => (point.hollow ? ink("page") : point.colour),
      stroke: "colour",
      strokeWidth: 1.4,
      title: "title",
    }),
  ];
}

export interface LanesFigure extends Pick<Figure, "id" | "title" | "reading" | "formula" | "rows"> {
  readonly description: string;
  /** From top to bottom. */
  readonly lanes: readonly { readonly label: string; readonly checkpoint?: string; readonly set?: string }[];
  readonly laneOf: (row: ResultRow) => number;
  /** What stands side by side in a lane, and how each looks. */
  readonly series: readonly string[];
  readonly seriesOf: (row: ResultRow) => number;
  readonly looks: readonly LegendEntry[];
  /** One row a point, over seeds and branches. */
  readonly shown: readonly ResultRow[];
  readonly axis: string;
}

/** Named lanes with a point and its interval for each series, on a common axis with 0 drawn in. `undefined` without rows. */
export function lanesFigure(figure: LanesFigure): Figure | undefined {
  const { id, title, description, lanes, laneOf, series, seriesOf, looks, shown, axis } = figure;
  if (shown.length === 0) return undefined;
  const depth = series.length + 1;
  const points = shown.map((row) => {
    const look = looks[seriesOf(row)]!;
    const { checkpoint, set, value, low = value, high = value } = row;
    return {
      ...look,
      value,
      low,
      high,
      lane: laneOf(row) * depth + seriesOf(row) + 1,
      series: tagTitle({ checkpoint, set }),
      title: tagTitle({ checkpoint, set, said: sayRow(row) }),
    };
  });
  const middle = (lane: number) => lane * depth + depth / 2;
  return {
    id,
    title,
    ...renderGrid({
      id,
      title,
      description,
      columns: 1,
      legend: looks,
      panels: [
        {
          title: "",
          height: lanes.length * depth * (depth > 5 ? 12 : 14) + 52,
          plot: {
            marginLeft: 160,
            marginRight: 24,
            marginTop: 4,
            marginBottom: 44,
            x: {
              ...AXIS,
              label: axis,
              grid: true,
              domain: airyDomain(points.flatMap(({ low, high }) => [low, high])),
            },
            y: { domain: [0, lanes.length * depth], reverse: true, axis: null },
            color: { type: "identity" },
            symbol: { type: "identity" },
            marks: [
              Plot.ruleX([0], { stroke: ink("muted"), strokeDasharray: "4 3" }),
              Plot.ruleY(lanes.slice(1), { y: (_, i: number) => (i + 1) * depth, stroke: ink("rule") }),
              Plot.text(lanes, {
                frameAnchor: "left",
                y: (_, i: number) => middle(i),
                text: "label",
                textAnchor: "end",
                dx: -14,
                fontSize: 12,
                title: ({ checkpoint, set }: LanesFigure["lanes"][number]) => tagTitle({ checkpoint, set }),
              }),
              ...valuesWithBars(points),
            ],
          },
        },
      ],
    }),
    reading: figure.reading,
    formula: figure.formula,
    n: `${sampleCounts(shown)}; ${seedCounts(figure.rows)}; bars are 95% intervals`,
    rows: figure.rows,
  };
}
