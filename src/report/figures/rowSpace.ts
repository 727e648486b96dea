import type { ResultRow } from "../../study/results.js";
import { BASELINE, checkpointTitle, isTuned, orderCheckpoints } from "../checkpoints.js";
import { checkpointKeys, type Figure, seedCounts, setKeys } from "../figure.js";
import { html } from "../html.js";
import { linesFigure, type NullCurve } from "../lines.js";
import { formula, mi, mo, norm, over, row, sub, sup } from "../mathml.js";
import { OUTCOMES_LEGEND, outcomesPanel, outcomesReading } from "../outcomes.js";
import { ink } from "../palette.js";
import { allBranches, distinct, finalRows, orderSets, overSeeds, select } from "../rows.js";
import { renderGrid } from "../svg.js";
import { fixed, setTitle } from "../words.js";
import { orderMatrices } from "./columnSpace.js";

const CLASSES: readonly (string | undefined)[] = ["safe", "unsafe"];

/** What ΔW does to safe and to unsafe inputs: how much it moves them, along which directions, and which neurons do it. */
export function rowSpaceFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = select(allRows, { measure: "row-space", step: undefined }).filter(
    (r) => r.block !== undefined && r.checkpoint !== undefined && r.checkpoint !== BASELINE && Number.isFinite(r.value),
  );
  const projections = finalRows(rows).filter((r) => /^projection(-sd)?$/.test(r.metric));
  const blocks = distinct(projections, "block").sort((a, b) => b - a);
  return [
    gainRatio(finalRows(rows), allRows),
    gainOutcomes(rows),
    ...orderMatrices(projections).flatMap((matrix) =>
      blocks.map((block) => projection(select(projections, { matrix, block }), matrix, block)),
    ),
    neurons(finalRows(rows), allRows),
  ].filter((figure) => figure !== undefined);
}

function gainRatio(rows: readonly ResultRow[], allRows: readonly ResultRow[]): Figure | undefined {
  const own = select(rows, { metric: "gain-ratio" });
  const shown = overSeeds(own);
  const keys = checkpointKeys(allRows);
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const matrices = orderMatrices(shown);
  const said = checkpoints.filter(isTuned).flatMap((checkpoint) => {
    const best = select(shown, { checkpoint, matrix: matrices[0] }).sort((a, b) => b.value - a.value)[0];
    return best ? [`${checkpointTitle(checkpoint)} ${fixed(best.value)} (block ${best.block})`] : [];
  });
  return linesFigure({
    id: "row-space-gain",
    title: "How much more the update moves unsafe inputs than safe ones",
    description:
      "Ratio of the mean change that the update makes to unsafe and to safe inputs, against the block, for each matrix.",
    columns: 2,
    panels: matrices.map((matrix) => ({ title: `gain ratio · ${matrix}`, rows: select(shown, { matrix }) })),
    x: { field: "block", label: "block" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
    chance: "the control’s ratio, or 1 without a control",
    reading: `1 is no difference; an update made for safety is one whose interval lies above the dashed line${said.length > 0 ? `. Largest: ${said.join("; ")}` : ""}.`,
    formula: html`${formula(
      mi("ratio"),
      mo("="),
      over(
        row(sub(mi("mean"), mi("unsafe")), norm(row(mi("ΔW"), mi("a")))),
        row(sub(mi("mean"), mi("safe")), norm(row(mi("ΔW"), mi("a")))),
      ),
    )}<p><i>a</i>: the unit-norm input of the matrix at position <i>k</i>, which predicts the first output token.</p>`,
    rows: own,
  });
}

/** The gain on every attack, its successful and failed attempts apart, in the last block of the paper's W. */
function gainOutcomes(rows: readonly ResultRow[]): Figure | undefined {
  const all = select(rows, { metric: "gain" }).filter((r) => r.set !== undefined && isTuned(r.checkpoint!));
  const matrix = orderMatrices(all)[0];
  const block = Math.max(...all.map((r) => r.block!));
  const own = select(all, { matrix, block });
  const shown = overSeeds(allBranches(own));
  const attacks = shown.filter((r) => !CLASSES.includes(r.set));
  const checkpoints = orderCheckpoints(distinct(attacks, "checkpoint"));
  if (checkpoints.length === 0) return undefined;
  const sets = orderSets(distinct(attacks, "set"));
  return {
    id: "row-space-outcomes",
    title: "Whether the update moves jailbreaks as it moves unsafe inputs",
    ...renderGrid({
      id: "row-space-outcomes",
      title: "Mean gain of successful and of failed attempts",
      description: `Mean gain in block ${block} of all, successful and failed attempts on ${sets.map(setTitle).join(", ")}, a panel for each checkpoint.`,
      columns: Math.min(2, checkpoints.length),
      legend: OUTCOMES_LEGEND,
      panels: checkpoints.map((checkpoint) =>
        outcomesPanel(checkpoint, select(shown, { checkpoint }), sets, "mean ‖ΔW a‖"),
      ),
    }),
    reading: outcomesReading(
      "An attack near the safe line is one that the update hardly acts on.",
      shown,
      checkpoints,
      sets,
    ),
    formula: html`${formula(mi("gain"), mo("="), row(mi("mean"), norm(row(mi("ΔW"), mi("a")))))}<p>${matrix}, block ${block}.</p>`,
    n: `n at the end of each line; ${seedCounts(own)}; bars are 95% intervals; the lines are the means of safe and of unsafe samples`,
    rows: own,
  };
}

function projection(rows: readonly ResultRow[], matrix: string, block: number): Figure | undefined {
  const shown = overSeeds(rows);
  const means = select(shown, { metric: "projection" }).filter((r) => CLASSES.includes(r.set));
  const spreads = select(shown, { metric: "projection-sd" });
  const checkpoints = orderCheckpoints(distinct(means, "checkpoint"));
  const sets = orderSets(distinct(means, "set"));
  const keys = setKeys(sets);
  const matrixWord = matrix.replaceAll(/[^A-Za-z0-9]/g, "-");
  const nulls = (checkpoint: string): NullCurve[] => {
    const random = select(spreads, { checkpoint, set: sets[0] }).flatMap(({ index, chance }) =>
      chance === undefined ? [] : [{ x: index!, value: 0, low: -chance, high: chance }],
    );
    return [
      { label: RANDOM, colour: ink("muted"), bandOnly: true, points: random },
      ...keys.map((key, s) => ({
        ...key,
        bandOnly: true,
        points: select(means, { checkpoint, set: sets[s] }).flatMap((r) => {
          const spread = select(spreads, { checkpoint, set: sets[s], index: r.index })[0]?.value;
          return spread === undefined
            ? []
            : [{ x: r.index!, value: r.value, low: r.value - spread, high: r.value + spread }];
        }),
      })),
    ];
  };
  return linesFigure({
    id: `row-space-${matrixWord}-block-${block}`,
    title: `Along which directions the update acts: ${matrix}, block ${block}`,
    description:
      "Mean projection of safe and of unsafe inputs on each right singular direction of the update, a panel for each checkpoint.",
    panels: checkpoints.map((checkpoint) => ({
      title: checkpointTitle(checkpoint),
      tags: { checkpoint, block },
      rows: select(means, { checkpoint }).map(({ chance: _chance, ...r }) => r),
      nulls: nulls(checkpoint),
    })),
    x: { field: "index", label: "singular direction i of ΔW", sign: "i = " },
    series: (r) => keys[sets.indexOf(r.set!)]!,
    legend: [...keys, { label: RANDOM, colour: ink("muted"), band: true }],
    reading:
      "Where the unsafe line leaves 0 and the safe line stays there, the update writes to unsafe inputs alone; a wide coloured band means that samples differ.",
    formula: html`${formula(
      sub(mi("p"), mi("i")),
      mo("="),
      row(sub(mi("σ"), mi("i")), html`<msubsup>${mi("v")}${mi("i")}${mi("T")}</msubsup>`, mi("a")),
      mo(","),
      row(html`<munder><mo>∑</mo>${mi("i")}</munder>`, html`<msubsup>${mi("p")}${mi("i")}${mi("2")}</msubsup>`),
      mo("="),
      sup(norm(row(mi("ΔW"), mi("a"))), mi("2")),
    )}<p>ΔW = Σ σ<sub>i</sub> u<sub>i</sub> v<sub>i</sub><sup>T</sup>; the sign of each direction is the one that makes the mean over unsafe inputs positive. Wide bands: one standard deviation over
      samples; grey: that of an input in a random direction, σ<sub>i</sub> / √inputs.</p>`,
    rows,
  });
}

const RANDOM = "null: random input, ± one deviation";

function neurons(rows: readonly ResultRow[], allRows: readonly ResultRow[]): Figure | undefined {
  const own = select(rows, { metric: "neuron-cosine" });
  const shown = overSeeds(own);
  const keys = checkpointKeys(allRows);
  const sets = orderSets(distinct(shown, "set"));
  return linesFigure({
    id: "row-space-neurons",
    title: "Whether the neurons that turned along the first direction are those that act",
    description:
      "Correlation over neurons between their alignment with the update’s first direction and their change, against the block.",
    columns: 2,
    panels: orderMatrices(shown).flatMap((matrix) =>
      sets.map((set) => ({
        title: `${matrix}, ${setTitle(set)}`,
        tags: { set },
        rows: select(shown, { matrix, set }),
      })),
    ),
    x: { field: "block", label: "block" },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: orderCheckpoints(distinct(shown, "checkpoint")).map((checkpoint) => keys.get(checkpoint)!),
    reading: "Near 1 the update is the work of few neurons that point the same way; 0 is no relation.",
    formula: formula(
      mi("corr"),
      mo("("),
      row(mo("|"), mi("cos"), mo("("), sub(mi("ΔW"), mi("n")), mo(","), sub(mi("v"), mi("1")), mo(")"), mo("|")),
      mo(","),
      row(mo("|"), sub(row(mo("("), mi("ΔW"), mi("a"), mo(")")), mi("n")), mo("|")),
      mo(")"),
    ),
    rows: own,
  });
}
