import type { ResultRow } from "../../study/results.js";
import { BASELINE, checkpointTitle, orderCheckpoints } from "../checkpoints.js";
import { checkpointKeys, type Figure } from "../figure.js";
import { html } from "../html.js";
import { linesFigure } from "../lines.js";
import { formula, mi, mo, norm, row, sub } from "../mathml.js";
import { distinct, finalRows, orderSets, overSeeds, select } from "../rows.js";
import { fixed, setTitle } from "../words.js";

/** How far the span of activations turned, safe and unsafe apart: per direction, and all directions together. */
export function activationSpaceFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = finalRows(select(allRows, { measure: "activation-space" })).filter(
    (r) => r.block !== undefined && r.set !== undefined && r.checkpoint !== undefined && r.checkpoint !== BASELINE,
  );
  const shown = overSeeds(rows).filter((r) => Number.isFinite(r.value));
  const keys = checkpointKeys(allRows);
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const sets = orderSets(distinct(shown, "set"));
  const blocks = distinct(shown, "block").sort((a, b) => a - b);
  const common = {
    series: (r: ResultRow) => keys.get(r.checkpoint!)!,
    legend: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
    chance: "the model before tuning against itself, on other samples",
  };
  const definition = html`${formula(
    row(mi("sin"), sub(mi("θ"), mi("i"))),
    mo("="),
    norm(row(mo("("), mi("I"), mo("−"), mi("P"), mo(")"), sub(mi("u"), mi("i")))),
  )}<p><i>u<sub>i</sub></i>: the <i>i</i>-th principal direction of the activations after tuning; <i>P</i> projects on the directions that hold 99% of those before tuning. The null: two
    halves of the samples, both before tuning.</p>`;
  const all = select(shown, { metric: "sin-theta-all" });
  const last = blocks.at(-1);
  const parts = checkpoints.flatMap((checkpoint) => {
    const [safe, unsafe] = ["safe", "unsafe"].map((set) => select(all, { checkpoint, set, block: last })[0]);
    return safe && unsafe ? [`${checkpointTitle(checkpoint)} ${fixed(safe.value)} and ${fixed(unsafe.value)}`] : [];
  });
  return [
    linesFigure({
      ...common,
      id: "activation-space-all",
      title: "How much of the activations is new after tuning",
      description:
        "Share of the activations’ norm outside their span before tuning, against the block, for safe and unsafe samples.",
      columns: 2,
      panels: sets.map((set) => ({
        title: setTitle(set),
        tags: { set },
        rows: select(all, { set }),
        domain: [0, 1.03],
      })),
      x: { field: "block", label: "block" },
      reading: `Above the dashed line the model uses directions that it did not use before${parts.length > 0 ? `. Safe and unsafe samples in block ${last}: ${parts.join("; ")}` : ""}.`,
      formula: definition,
      rows: select(rows, { metric: "sin-theta-all" }),
    }),
    linesFigure({
      ...common,
      id: "activation-space",
      title: "The same, direction by direction",
      description:
        "Sine of the angle of each principal direction of the activations to their span before tuning, a panel for each set and block.",
      columns: Math.min(3, blocks.length),
      panels: sets.flatMap((set) =>
        blocks.map((block) => ({
          title: `sin θᵢ · ${setTitle(set)}, block ${block}`,
          tags: { set, block },
          rows: select(shown, { metric: "sin-theta", set, block }),
          domain: [0, 1.03] as const,
        })),
      ),
      x: { field: "index", label: "direction i", sign: "i = " },
      reading:
        "The first directions carry most of the activations; late ones are noisy in both, which is what the dashed line shows.",
      formula: definition,
      rows: select(rows, { metric: "sin-theta" }),
    }),
  ].filter((figure) => figure !== undefined);
}
