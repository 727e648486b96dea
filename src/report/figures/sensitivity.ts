import type { ResultRow } from "../../study/results.js";
import { BASELINE, checkpointTitle, isTuned, orderCheckpoints } from "../checkpoints.js";
import { checkpointKeys, type Figure, seedCounts, setKeys } from "../figure.js";
import { html } from "../html.js";
import { lanesFigure } from "../lanes.js";
import { linesFigure } from "../lines.js";
import { formula, mi, mo, norm, over, row, sub } from "../mathml.js";
import { OUTCOMES_LEGEND, outcomesPanel, outcomesReading } from "../outcomes.js";
import { allBranches, distinct, finalRows, orderSets, overSeeds, select } from "../rows.js";
import { type LegendEntry, renderGrid } from "../svg.js";
import { setTitle, significant } from "../words.js";

const CLASSES: readonly string[] = ["safe", "unsafe"];

const LIPSCHITZ = html`${formula(
  row(mi("ℓ"), mo("("), mi("x"), mo(")")),
  mo("="),
  norm(over(row(mo("∂"), sub(mi("max"), mi("c")), sub(mi("z"), mi("c"))), row(mo("∂"), mi("e")))),
)}<p><i>z</i>: the logits at <i>k</i>; <i>e</i>: the embeddings of the prompt. A large norm means that a small change of the input changes the decision much.</p>`;

/** How sharply the answer depends on the input: changes, quantiles before and after, attacks apart, and the Jacobian's norm. */
export function sensitivityFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = select(allRows, { measure: "sensitivity", step: undefined }).filter(
    (r) => r.set !== undefined && r.checkpoint !== undefined && Number.isFinite(r.value),
  );
  return [change(rows), quantiles(rows), outcomes(rows), spectralNorm(rows, allRows)].filter(
    (figure) => figure !== undefined,
  );
}

function change(all: readonly ResultRow[]): Figure | undefined {
  const rows = finalRows(select(all, { metric: "lipschitz-change" })).filter((r) => r.checkpoint !== BASELINE);
  const shown = overSeeds(allBranches(rows));
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const sets = orderSets(distinct(shown, "set"));
  const keys = setKeys(sets);
  const said = checkpoints.filter(isTuned).flatMap((checkpoint) => {
    const [safe, unsafe] = CLASSES.map((set) => select(shown, { checkpoint, set })[0]);
    return safe && unsafe
      ? [`${checkpointTitle(checkpoint)} ${significant(safe.value)} and ${significant(unsafe.value)}`]
      : [];
  });
  return lanesFigure({
    id: "sensitivity-change",
    title: "Whether tuning dulls unsafe inputs and sharpens safe ones",
    description:
      "Mean change of the gradient norm on the same samples, for safe and unsafe samples of each checkpoint.",
    lanes: checkpoints.map((checkpoint) => ({ label: checkpointTitle(checkpoint), checkpoint })),
    laneOf: (r) => checkpoints.indexOf(r.checkpoint!),
    series: sets,
    seriesOf: (r) => sets.indexOf(r.set!),
    looks: keys,
    shown,
    axis: "mean change of the gradient norm, after − before",
    reading: `The paper expects safe above 0 and unsafe below${said.length > 0 ? `. Safe and unsafe here: ${said.join("; ")}` : ""}.`,
    formula: html`${LIPSCHITZ}<p>The change is paired: the same samples before and after tuning. No change (0) is the null.</p>`,
    rows,
  });
}

function quantiles(all: readonly ResultRow[]): Figure | undefined {
  const rows = finalRows(select(all, { metric: "lipschitz-quantile" })).filter((r) => CLASSES.includes(r.set!));
  const shown = overSeeds(rows);
  const before = select(shown, { checkpoint: BASELINE });
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint")).filter((checkpoint) => checkpoint !== BASELINE);
  const keys = setKeys(CLASSES);
  const look = (r: ResultRow): LegendEntry => {
    const key = keys[CLASSES.indexOf(r.set!)]!;
    return r.checkpoint === BASELINE
      ? { ...key, label: `${key.label}, before`, hollow: true, dash: "4 3" }
      : { ...key, label: `${key.label}, after` };
  };
  return linesFigure({
    id: "sensitivity-quantiles",
    title: "The whole distribution of sensitivities, before and after",
    description:
      "Quantiles of the gradient norm of safe and of unsafe samples before and after tuning, a panel for each checkpoint.",
    panels: (checkpoints.length > 0 ? checkpoints : [BASELINE]).map((checkpoint) => ({
      title: checkpointTitle(checkpoint),
      tags: { checkpoint },
      rows: [...(checkpoint === BASELINE ? [] : before), ...select(shown, { checkpoint })],
    })),
    x: { field: "index", label: "percent of the samples below", sign: "quantile % = " },
    series: look,
    legend: CLASSES.flatMap((set) =>
      [BASELINE, ""].map((checkpoint) => look({ measure: "", metric: "", value: 0, set, checkpoint })),
    ),
    reading:
      "A curve read at 50 is the median. Where the solid line lies below the broken one of its colour, tuning made the model less sensitive.",
    formula: LIPSCHITZ,
    rows,
  });
}

function outcomes(all: readonly ResultRow[]): Figure | undefined {
  const own = select(all, { metric: "lipschitz" }).filter((r) => isTuned(r.checkpoint!));
  const shown = overSeeds(allBranches(own));
  const attacks = shown.filter((r) => !CLASSES.includes(r.set!));
  const checkpoints = orderCheckpoints(distinct(attacks, "checkpoint"));
  if (checkpoints.length === 0) return undefined;
  const sets = orderSets(distinct(attacks, "set"));
  return {
    id: "sensitivity-outcomes",
    title: "How sensitive the model is on jailbreaks that succeed and on those that fail",
    ...renderGrid({
      id: "sensitivity-outcomes",
      title: "Mean sensitivity of successful and of failed attempts",
      description: `Mean gradient norm of all, successful and failed attempts on ${sets.map(setTitle).join(", ")}, a panel for each checkpoint.`,
      columns: Math.min(2, checkpoints.length),
      legend: OUTCOMES_LEGEND,
      panels: checkpoints.map((checkpoint) =>
        outcomesPanel(checkpoint, select(shown, { checkpoint }), sets, "mean gradient norm"),
      ),
    }),
    reading: outcomesReading(
      "A jailbreak near the safe line meets a model as sensitive as on safe inputs.",
      shown,
      checkpoints,
      sets,
    ),
    formula: LIPSCHITZ,
    n: `n at the end of each line; ${seedCounts(own)}; bars are 95% intervals; the lines are the means of safe and of unsafe samples`,
    rows: own,
  };
}

function spectralNorm(all: readonly ResultRow[], allRows: readonly ResultRow[]): Figure | undefined {
  const rows = finalRows(select(all, { metric: "spectral-norm" }));
  const shown = overSeeds(allBranches(rows));
  const sets = orderSets(distinct(shown, "set"));
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const keys = checkpointKeys(allRows);
  return lanesFigure({
    id: "sensitivity-spectral-norm",
    title: "The largest gain of any direction of the input",
    description: "Mean spectral norm of the Jacobian of all logits for each set and checkpoint.",
    lanes: sets.map((set) => ({ label: setTitle(set), set })),
    laneOf: (r) => sets.indexOf(r.set!),
    series: checkpoints,
    seriesOf: (r) => checkpoints.indexOf(r.checkpoint!),
    looks: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
    shown,
    axis: "mean spectral norm of the Jacobian",
    reading: "The same question for all logits and the worst direction, instead of the largest logit alone.",
    formula: formula(
      mi("mean"),
      row(sub(mi("σ"), mi("1")), mo("("), over(row(mo("∂"), mi("z")), row(mo("∂"), mi("e"))), mo(")")),
    ),
    rows,
  });
}
