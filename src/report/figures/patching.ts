import * as Plot from "@observablehq/plot";
import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, isTuned, orderCheckpoints } from "../checkpoints.js";
import { type Figure, sampleCounts, seedCounts } from "../figure.js";
import { html } from "../html.js";
import { formula, mi, mo, over, row, sub } from "../mathml.js";
import { ink } from "../palette.js";
import { allBranches, distinct, finalRows, orderSets, overSeeds, select } from "../rows.js";
import { AXIS, type Panel, renderGrid } from "../svg.js";
import { sayRow, tagTitle } from "../tags.js";
import { percent, setTitle } from "../words.js";

/** Names of the classes of positions, which rows count from 1. */
const POSITIONS = ["tasks", "text", "EOT"];

const positionName = (index: number) => POSITIONS[index - 1] ?? `class ${index}`;

/** Which block and position carry the refusal: heat maps of what patching restores. `undefined` without such rows. */
export function patchingFigure(allRows: readonly ResultRow[]): Figure | undefined {
  const rows = finalRows(select(allRows, { measure: "patching", metric: "effect" })).filter(
    (r) => r.block !== undefined && r.index !== undefined && r.checkpoint !== undefined,
  );
  const shown = overSeeds(allBranches(rows)).filter((r) => Number.isFinite(r.value));
  if (shown.length === 0) return undefined;
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const sets = orderSets(distinct(shown, "set"));
  const perSet = sets.length > 0 ? sets : [undefined];
  const hasChance = shown.some((r) => r.chance !== undefined);
  const strongest = checkpoints.filter(isTuned).flatMap((checkpoint) => {
    const best = select(shown, { checkpoint }).sort((a, b) => b.value - a.value)[0];
    return best
      ? [`${checkpointTitle(checkpoint)} block ${best.block}, ${positionName(best.index!)} (${percent(best.value, 0)})`]
      : [];
  });
  return {
    id: "patching",
    title: "Where the refusal is decided",
    ...renderGrid({
      id: "patching",
      title: "Effect of patching per block and position",
      description:
        "Share of the refusal decision that patching each block and class of positions carries over, a map for each checkpoint and set.",
      columns: 3,
      legend: [
        { label: "towards the source run", colour: ink("accent"), band: true },
        { label: "away from it", colour: ink("series6"), band: true },
      ],
      panels: checkpoints.flatMap((checkpoint) =>
        perSet.flatMap((set) => {
          const own = select(shown, { checkpoint, set });
          return own.length > 0 ? [heatMap(own, checkpoint, set)] : [];
        }),
      ),
    }),
    reading: `100%: with this one place patched the model decides as in the other run. ${strongest.length > 0 ? `Strongest place: ${strongest.join("; ")}.` : ""}`,
    formula: html`${formula(
      mi("effect"),
      mo("="),
      over(
        row(sub(mi("d"), mi("patched")), mo("−"), sub(mi("d"), mi("own"))),
        row(sub(mi("d"), mi("source")), mo("−"), sub(mi("d"), mi("own"))),
      ),
    )}<p><i>d</i>: logit of NULL minus the largest other logit at <i>k</i>. A panel’s set is the run that is patched; the activations come from runs of the other set. Positions: the two task tokens;
      SOT and the text; EOT, which is <i>k</i>.</p>`,
    n: `${sampleCounts(shown)}; ${seedCounts(rows)}; 95% intervals${hasChance ? " and the null (patching from a run of the same kind)" : ""} are said at each cell and in the table`,
    rows,
  };
}

function heatMap(rows: readonly ResultRow[], checkpoint: string, set: string | undefined): Panel {
  const blocks = distinct(rows, "block").sort((a, b) => b - a);
  const positions = distinct(rows, "index").sort((a, b) => a - b);
  const strength = (r: ResultRow) => Math.min(1, Math.abs(r.value));
  return {
    title: `${checkpointTitle(checkpoint)}${set === undefined ? "" : ` · ${setTitle(set)} patched`}`,
    tags: { checkpoint, set },
    height: 46 + 30 * blocks.length,
    plot: {
      marginLeft: 44,
      marginRight: 10,
      marginTop: 6,
      marginBottom: 40,
      padding: 0.05,
      x: { ...AXIS, tickSize: 0, label: "position", domain: positions, tickFormat: positionName },
      y: { ...AXIS, tickSize: 0, label: "block", domain: blocks, tickFormat: "d" },
      color: { type: "identity" },
      marks: [
        Plot.cell(rows, { x: "index", y: "block", fill: ink("wash") }),
        Plot.cell(rows, {
          x: "index",
          y: "block",
          fill: (r: ResultRow) => ink(r.value < 0 ? "series6" : "accent"),
          // Never so dark that the number on it could not be read.
          fillOpacity: (r: ResultRow) => 0.5 * strength(r),
          title: (r: ResultRow) => tagTitle({ said: sayRow(r, { share: true, at: positionName(r.index!) }) }),
        }),
        Plot.text(rows, {
          x: "index",
          y: "block",
          text: (r: ResultRow) => percent(r.value, 0),
          fontSize: 11,
          fill: ink("ink"),
          pointerEvents: "none",
        }),
      ],
    },
  };
}
