import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, orderCheckpoints, tunedMethods } from "../checkpoints.js";
import { checkpointKeys, type Figure, sampleCounts, seedCounts } from "../figure.js";
import { html } from "../html.js";
import { valuesWithBars } from "../lanes.js";
import { formula, mi, mo, over, row, sub, sum } from "../mathml.js";
import { ink } from "../palette.js";
import { allBranches, distinct, finalRows, isJailbreak, orderSets, overSeeds, select, shareInterval } from "../rows.js";
import { AXIS, renderGrid } from "../svg.js";
import { sayRow, tagTitle } from "../tags.js";
import { percent, setTitle } from "../words.js";

/** Distance between two checkpoints of one set, in px: as far as few need, as near as many allow. */
const lane = (checkpoints: number) => (checkpoints > 5 ? 13 : 17);

/** Success of every jailbreak set against every checkpoint, with the unsafe prompts themselves on top. `undefined` without such rows. */
export function jailbreakFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const behaviour = finalRows(select(allRows, { measure: "behaviour", metric: "instruct" }));
  const rows = behaviour.filter((r) => r.set !== undefined && (r.set === "unsafe" || isJailbreak(r.set)));
  const shown = overSeeds(allBranches(rows)).filter((r) => r.checkpoint !== undefined && Number.isFinite(r.value));
  const sets = orderSets(distinct(shown, "set"));
  if (!sets.some(isJailbreak)) return undefined;
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const keys = checkpointKeys(allRows);
  const lanes = checkpoints.length + 1;
  const points = shown.map((r) => {
    const bounds = shareInterval(r);
    return {
      ...keys.get(r.checkpoint!)!,
      value: r.value,
      lane: sets.indexOf(r.set!) * lanes + checkpoints.indexOf(r.checkpoint!) + 1,
      low: bounds?.low ?? r.value,
      high: bounds?.high ?? r.value,
      said: percent(r.value),
      series: tagTitle({ checkpoint: r.checkpoint, set: r.set }),
      title: tagTitle({
        checkpoint: r.checkpoint,
        set: r.set,
        said: sayRow({ ...r, ...bounds }, { share: true }),
      }),
    };
  });
  const middle = (set: string) => sets.indexOf(set) * lanes + lanes / 2;
  const height = sets.length * lanes * lane(checkpoints.length) + 52;
  const drawing = renderGrid({
    id: "jailbreaks",
    title: "Jailbreak success",
    description: `Share of samples answered truly, per set and checkpoint: ${points.length} points with intervals.`,
    columns: 1,
    legend: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
    panels: [
      {
        title: "",
        height,
        plot: {
          marginLeft: 150,
          marginRight: 48,
          marginTop: 4,
          marginBottom: 44,
          x: {
            ...AXIS,
            domain: [0, 1],
            grid: true,
            label: "success: share of samples with the true output",
            tickFormat: (share: number) => `${Math.round(share * 100)}%`,
          },
          y: { domain: [0, sets.length * lanes], reverse: true, axis: null },
          marks: [
            Plot.ruleY(sets.slice(1), { y: (set: string) => sets.indexOf(set) * lanes, stroke: ink("rule") }),
            Plot.text(sets, {
              x: 0,
              y: middle,
              text: (set: string) => (set === "unsafe" ? "unsafe, no attack" : setTitle(set)),
              textAnchor: "end",
              dx: -14,
              fontSize: 12,
            }),
            ...valuesWithBars(points),
            Plot.text(points, {
              x: "high",
              y: "lane",
              text: "said",
              textAnchor: "start",
              dx: 8,
              fontSize: 10.5,
              fill: ink("muted"),
              title: "series",
            }),
          ],
          color: { type: "identity" },
          symbol: { type: "identity" },
        },
      },
    ],
  });
  return {
    id: "jailbreaks",
    title: "Which jailbreaks get through",
    ...drawing,
    reading: reading(shown, sets),
    formula: html`${formula(
      mi("success"),
      mo("="),
      over(mi("1"), mi("n")),
      sum(mi("x")),
      row(
        mo("["),
        sub(mi("y"), mi("W")),
        mo("("),
        mi("x"),
        mo(")"),
        mo("="),
        sub(mi("f"), mi("j")),
        mo("("),
        sub(mi("f"), mi("i")),
        mo("("),
        mi("T"),
        mo(")"),
        mo(")"),
        mo("]"),
      ),
    )}<p>A sample counts when the whole greedy output equals the true one, token for token.</p>`,
    n: `${sampleCounts(shown)}; ${seedCounts(rows)}; bars are 95% intervals`,
    rows,
  };
}

function reading(rows: readonly ResultRow[], sets: readonly string[]): string {
  const rule = "Farther right means that the attack gets more true answers out of the model.";
  const attacks = sets.filter(isJailbreak);
  const parts = tunedMethods(distinct(rows, "checkpoint")).flatMap(({ checkpoints: [checkpoint] }) => {
    const ranked = select(rows, { checkpoint })
      .filter((r) => attacks.includes(r.set!))
      .sort((a, b) => b.value - a.value);
    const [best, worst] = [ranked[0], ranked.at(-1)];
    if (!best || !worst) return [];
    return [
      `${checkpointTitle(checkpoint!)}: ${setTitle(best.set!)} ${percent(best.value)}, ${setTitle(worst.set!)} ${percent(worst.value)}`,
    ];
  });
  return parts.length === 0 ? rule : `${rule} Strongest and weakest attack, ${parts.join("; ")}.`;
}
