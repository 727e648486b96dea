import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../study/results.js";
import { checkpointTitle } from "./checkpoints.js";
import { ink } from "./palette.js";
import { select } from "./rows.js";
import { AXIS, type LegendEntry, type Panel } from "./svg.js";
import { sayRow, tagTitle } from "./tags.js";
import { count, setTitle } from "./words.js";

const LANE = 12;

/** The three groups of attempts on one set, from top to bottom. */
const GROUPS = [
  { outcome: undefined, label: "all attempts", colour: ink("muted"), symbol: "square" },
  { outcome: "success", label: "successful", colour: ink("safe"), symbol: "circle" },
  { outcome: "failure", label: "failed", colour: ink("unsafe"), symbol: "triangle" },
] as const;

/** Keys of the three groups and of the two levels. */
export const OUTCOMES_LEGEND: readonly LegendEntry[] = [
  ...GROUPS.map(({ label, colour, symbol }) => ({ label, colour, symbol })),
  { label: "mean of safe samples", colour: ink("safe") },
  { label: "mean of unsafe samples", colour: ink("unsafe"), dash: "4 3" },
];

/**
 * One checkpoint's panel: a lane for all, for the successful and for the failed attempts on each set, between the levels of safe and unsafe samples.
 * The number at the end of a lane is its n.
 */
export function outcomesPanel(
  checkpoint: string,
  rows: readonly ResultRow[],
  sets: readonly string[],
  axis: string,
): Panel {
  const lanes = GROUPS.length + 1;
  const points = sets.flatMap((set, s) =>
    GROUPS.flatMap(({ outcome, colour, symbol }, g) => {
      const found = select(rows, { set, outcome })[0];
      if (!found) return [];
      const { value, low = value, high = value, n } = found;
      return [
        {
          value,
          low,
          high,
          colour,
          symbol,
          lane: s * lanes + g + 1,
          said: n === undefined ? "" : count(n),
          series: tagTitle({ set }),
          title: tagTitle({ set, said: sayRow(found) }),
        },
      ];
    }),
  );
  const level = (set: string) => select(rows, { set, outcome: undefined }).map(({ value }) => value);
  const reach = [...points.flatMap((point) => [point.low, point.high]), ...level("safe"), ...level("unsafe")];
  const [low, high] = [Math.min(...reach), Math.max(...reach)];
  const air = high > low ? 0.05 * (high - low) : 0.5;
  return {
    title: checkpointTitle(checkpoint),
    tags: { checkpoint },
    height: sets.length * lanes * LANE + 48,
    plot: {
      marginLeft: 128,
      marginRight: 44,
      marginTop: 4,
      marginBottom: 40,
      x: { ...AXIS, label: axis, grid: true, ticks: 5, domain: [low - air, high + air] },
      y: { domain: [0, sets.length * lanes], reverse: true, axis: null },
      color: { type: "identity" },
      symbol: { type: "identity" },
      marks: [
        Plot.ruleX(level("safe"), { stroke: ink("safe"), strokeWidth: 1.4 }),
        Plot.ruleX(level("unsafe"), { stroke: ink("unsafe"), strokeWidth: 1.4, strokeDasharray: "4 3" }),
        Plot.ruleY(sets.slice(1), { y: (set: string) => sets.indexOf(set) * lanes, stroke: ink("rule") }),
        Plot.text(sets, {
          y: (set: string) => sets.indexOf(set) * lanes + lanes / 2,
          text: setTitle,
          frameAnchor: "left",
          textAnchor: "end",
          dx: -10,
          fontSize: 11,
        }),
        Plot.link(points, {
          x1: "low",
          x2: "high",
          y1: "lane",
          y2: "lane",
          stroke: "colour",
          strokeWidth: 1.6,
          title: "series",
        }),
        Plot.dot(points, { x: "value", y: "lane", fill: "colour", symbol: "symbol", r: 3.6, title: "title" }),
        Plot.text(points, {
          y: "lane",
          text: "said",
          // In a column of their own, where no mark or line can cross them.
          frameAnchor: "right",
          textAnchor: "end",
          dx: 38,
          fontSize: 9.5,
          fill: ink("muted"),
        }),
      ],
    },
  };
}

/** How often, over checkpoints and sets, the successful attempts lie nearer to safe, and how often their intervals are apart. */
export function outcomesReading(
  rule: string,
  rows: readonly ResultRow[],
  checkpoints: readonly string[],
  sets: readonly string[],
): string {
  let [pairs, higher, apart, below] = [0, 0, 0, 0];
  for (const checkpoint of checkpoints)
    for (const set of sets) {
      const success = select(rows, { checkpoint, set, outcome: "success" })[0];
      const failure = select(rows, { checkpoint, set, outcome: "failure" })[0];
      if (!success || !failure) continue;
      pairs++;
      if (success.value > failure.value) higher++;
      if (success.low !== undefined && failure.high !== undefined && success.low > failure.high) apart++;
      if (success.high !== undefined && failure.low !== undefined && success.high < failure.low) below++;
    }
  if (pairs === 0) return `${rule} No set has both successful and failed attempts here.`;
  return `${rule} Of ${pairs} pairs of checkpoint and set with both, the successful ones have the higher mean in ${higher}; their intervals lie wholly above those of the failed ones in ${apart}, wholly below in ${below}.`;
}
