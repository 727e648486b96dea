import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, orderCheckpoints, tunedMethods } from "../checkpoints.js";
import { type CheckpointKey, checkpointKeys, type Figure, sampleCounts, seedCounts } from "../figure.js";
import { html } from "../html.js";
import { type SeriesPoint, seriesMarks } from "../marks.js";
import { formula, mi, mo, over, row, sub, sum } from "../mathml.js";
import { ink } from "../palette.js";
import { allBranches, distinct, finalRows, overSeeds, select, shareInterval } from "../rows.js";
import { AXIS, type LegendEntry, type Panel, renderGrid } from "../svg.js";
import { sayRow } from "../tags.js";
import { percent, sentenceList, setTitle } from "../words.js";

/** The two shares that are drawn, one row of panels each. */
const METRICS = [
  { metric: "success", title: "success" },
  { metric: "null", title: "refusal" },
] as const;

/** What one step of an attack's strength is. */
const STRENGTHS: ReadonlyMap<string, string> = new Map([
  ["soft-prompt", "soft tokens"],
  ["gcg", "editable positions"],
  ["prefix", "forced output tokens"],
]);

/** Attacks in the figure's order; others follow by name. */
const ORDER = [...STRENGTHS.keys()];
const COLUMNS = 3;

/** Success and refusal against the strength of each attack: a column per attack, a line per checkpoint. `undefined` without rows of `attacks`. */
export function attackFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = finalRows(select(allRows, { measure: "attacks" })).filter(
    (r) =>
      METRICS.some(({ metric }) => metric === r.metric) &&
      r.set !== undefined &&
      r.index !== undefined &&
      r.checkpoint !== undefined,
  );
  const shown = overSeeds(allBranches(rows)).filter((r) => Number.isFinite(r.value));
  if (shown.length === 0) return undefined;
  const place = (attack: string) => (ORDER.includes(attack) ? ORDER.indexOf(attack) : ORDER.length);
  const attacks = distinct(shown, "set").sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const keys = checkpointKeys(allRows);
  const columns = Math.min(COLUMNS, attacks.length);
  const panels: (Panel | null)[] = [];
  for (let start = 0; start < attacks.length; start += columns)
    for (const { metric, title } of METRICS)
      for (let i = start; i < start + columns; i++)
        panels.push(
          attacks[i] === undefined
            ? null
            : strengthPanel(title, attacks[i]!, select(shown, { metric, set: attacks[i] }), keys),
        );
  const hasChance = shown.some((r) => r.chance !== undefined);
  const chanceKey: LegendEntry = { label: "chance", colour: ink("muted"), dash: "4 3" };
  return {
    id: "attacks",
    title: "How strong an attack must be",
    ...renderGrid({
      id: "attacks",
      title: "Attack success and refusal against the attack’s strength",
      description: `Success and refusal against the strength of ${sentenceList(attacks.map(setTitle))}, one line for each of ${checkpoints.map(checkpointTitle).join(", ")}.`,
      columns,
      legend: [...checkpoints.map((checkpoint) => keys.get(checkpoint)!), ...(hasChance ? [chanceKey] : [])],
      panels,
    }),
    reading: reading(shown, attacks),
    formula: html`${formula(
      row(mi("success"), mo("("), mi("s"), mo(")")),
      mo("="),
      over(mi("1"), mi("n")),
      sum(mi("x")),
      row(mo("["), sub(mi("y"), mi("W")), mo("("), sub(mi("A"), mi("s")), mi("x"), mo(")"), mo("="), mi("y"), mo("]")),
    )}<p><i>A<sub>s</sub></i> is the attack at strength <i>s</i>, <i>y<sub>W</sub></i> the model’s whole greedy output, <i>y</i> the true one, the attack’s
    target. Refusal: every output token is NULL. Strength 0 is the unsafe prompt itself.</p>`,
    n: `${sampleCounts(shown)}; ${seedCounts(rows)}; bands are 95% intervals${hasChance ? "; the dashed line is chance" : ""}`,
    rows,
  };
}

function strengthPanel(
  title: string,
  attack: string,
  rows: readonly ResultRow[],
  keys: ReadonlyMap<string, CheckpointKey>,
): Panel | null {
  if (rows.length === 0) return null;
  const points = rows.map((r): SeriesPoint => {
    const bounds = shareInterval(r);
    return {
      ...keys.get(r.checkpoint!)!,
      x: r.index!,
      value: r.value,
      low: bounds?.low ?? r.value,
      high: bounds?.high ?? r.value,
      said: sayRow({ ...r, ...bounds }, { share: true, at: `strength ${r.index}` }),
    };
  });
  const strengths = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const air = Math.max(0.35, 0.04 * (strengths.at(-1)! - strengths[0]!));
  const chance = strengths.flatMap((strength) => {
    const level = rows.find((r) => r.index === strength && r.chance !== undefined)?.chance;
    return level === undefined ? [] : [{ strength, level }];
  });
  return {
    title: `${title} · ${setTitle(attack)}`,
    height: 200,
    plot: {
      marginLeft: 44,
      marginRight: 10,
      marginTop: 8,
      marginBottom: 38,
      x: {
        ...AXIS,
        label: `strength: ${STRENGTHS.get(attack) ?? "as the attack counts it"}`,
        domain: [strengths[0]! - air, strengths.at(-1)! + air],
        ticks: strengths.length > 8 ? strengths.filter((_, i) => i % 2 === 0) : strengths,
        tickFormat: "d",
      },
      y: {
        ...AXIS,
        label: null,
        grid: true,
        ticks: 5,
        domain: [0, 1],
        tickFormat: (share: number) => `${Math.round(share * 100)}%`,
      },
      color: { type: "identity" },
      symbol: { type: "identity" },
      marks: [
        Plot.line(chance, {
          x: "strength",
          y: "level",
          stroke: ink("muted"),
          strokeDasharray: "4 3",
          strokeWidth: 1.3,
        }),
        ...seriesMarks(points, "bands", 3),
      ],
    },
  };
}

/** What the strongest setting of each attack does to each method at the medium rate. */
function reading(rows: readonly ResultRow[], attacks: readonly string[]): string {
  const rule = "A line that rises early means that a weak attack suffices.";
  const methods = tunedMethods(distinct(rows, "checkpoint")).map(({ checkpoints }) => checkpoints[0]!);
  const parts = attacks.flatMap((attack) => {
    const own = select(rows, { set: attack, metric: "success" });
    const most = Math.max(...own.map((r) => r.index!));
    const said = methods.flatMap((checkpoint) => {
      const at = select(own, { checkpoint, index: most })[0];
      return at ? [`${checkpointTitle(checkpoint)} ${percent(at.value)}`] : [];
    });
    return said.length > 0 ? [`${setTitle(attack)} at strength ${most}: ${said.join(", ")}`] : [];
  });
  return parts.length === 0 ? rule : `${rule} Success of ${parts.join("; ")}.`;
}
