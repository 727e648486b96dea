import * as Plot from "@observablehq/plot";
import { ink } from "./palette.js";
import type { LegendEntry } from "./svg.js";
import { tagTitle } from "./tags.js";

/** One value of a series with its interval, and how the series looks. */
export interface SeriesPoint extends LegendEntry {
  readonly x: number;
  readonly value: number;
  /** Equal to `value` where there is no interval. */
  readonly low: number;
  readonly high: number;
  /** What is said when the point is pointed at; see `sayRow`. */
  readonly said?: string;
}

/** The series that a mark belongs to, for the page's filters. */
const series = ({ checkpoint, set }: SeriesPoint) => tagTitle({ checkpoint, set });

/** How intervals are drawn: as bars at the points, or as a band along the line. */
export type IntervalStyle = "bars" | "bands";

/**
 * Lines through the points, one per label, with intervals and symbols. A band needs a line to lie along: a series of one point has a bar instead.
 * Colours and symbols are the points' own, so the plot's colour and symbol scales must be of type identity.
 */
export function seriesMarks(points: readonly SeriesPoint[], intervals: IntervalStyle, radius = 3.4): Plot.Markish[] {
  const lengths = new Map<string, number>();
  for (const { label } of points) lengths.set(label, (lengths.get(label) ?? 0) + 1);
  const banded = (point: SeriesPoint) => intervals === "bands" && lengths.get(point.label)! > 1;
  const dashes = [...new Set(points.map((point) => point.dash))];
  return [
    Plot.areaY(points.filter(banded), {
      x: "x",
      y1: "low",
      y2: "high",
      z: "label",
      sort: "x",
      fill: "colour",
      fillOpacity: 0.13,
      title: series,
    }),
    Plot.ruleX(
      points.filter((point) => !banded(point) && point.high > point.low),
      { x: "x", y1: "low", y2: "high", stroke: "colour", strokeWidth: 1.6, title: series },
    ),
    // Plot breaks lines per mark, not per datum.
    ...dashes.map((dash) =>
      Plot.line(
        points.filter((point) => point.dash === dash),
        {
          x: "x",
          y: "value",
          z: "label",
          sort: "x",
          stroke: "colour",
          strokeWidth: 1.7,
          title: series,
          ...(dash !== undefined && { strokeDasharray: dash }),
        },
      ),
    ),
    Plot.dot(points, {
      x: "x",
      y: "value",
      symbol: "symbol",
      r: radius,
      fill: (point: SeriesPoint) => (point.hollow ? ink("page") : point.colour),
      stroke: "colour",
      strokeWidth: 1.4,
      title: ({ checkpoint, set, said }: SeriesPoint) => tagTitle({ checkpoint, set, said }),
    }),
  ];
}
