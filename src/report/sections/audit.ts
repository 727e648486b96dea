import type { ResultRow } from "../../study/results.js";
import { orderMatrices } from "../figures/columnSpace.js";
import { type Html, html } from "../html.js";
import { distinct, select } from "../rows.js";
import { fixed, percent } from "../words.js";

/** What an audit's config.yaml says that it compared. */
export interface AuditFacts {
  readonly base: string;
  readonly tuned: string;
  readonly control: string | undefined;
  /** "llama, 32 blocks, width 4096". */
  readonly model: string;
}

/** The facts of an audit; undefined where the run is a study, or its configuration is not readable. */
export function auditOf(config: unknown): AuditFacts | undefined {
  if (!isRecord(config) || !isRecord(config.audit)) return undefined;
  const name = (member: unknown) => (isRecord(member) && typeof member.name === "string" ? member.name : undefined);
  const { family, blocks, width } = isRecord(config.model) ? config.model : {};
  const model = [
    ...(typeof family === "string" ? [family] : []),
    ...(typeof blocks === "number" ? [`${blocks} blocks`] : []),
    ...(typeof width === "number" ? [`width ${width}`] : []),
  ].join(", ");
  return {
    base: name(config.base) ?? "a base model",
    tuned: name(config.tuned) ?? "a tuned model",
    control: name(config.control),
    model,
  };
}

export function auditLede({ base, tuned, control, model }: AuditFacts): Html {
  return html`What tuning changed between ${base} and ${tuned}${model !== "" && ` (${model})`}${
    control !== undefined && html`, beside the change of ${control}, which was tuned without safety`
  }. ΔW holds all training between the two, instructions and safety together: nothing here tells them apart. Every figure has its formula, its null and its data.`;
}

/** How far each matrix moved and where to, over its blocks, in a table. */
export function auditHeadline(rows: readonly ResultRow[]): Html {
  const space = select(rows, { measure: "column-space" });
  if (space.length === 0)
    return html`<p>The weights were not measured in this audit; the sections below hold what was.</p>`;
  const range = (matrix: string, measure: string, metric: string, say: (value: number) => string, index?: number) => {
    const values = select(rows, { measure, matrix, metric, ...(index !== undefined && { index }) }).map((r) => r.value);
    if (values.length === 0) return "none";
    const [least, most] = [say(Math.min(...values)), say(Math.max(...values))];
    return least === most ? least : `${least} to ${most}`;
  };
  const whole = (value: number) => String(Math.round(value));
  const beyond = (matrix: string) => {
    const own = select(space, { matrix, metric: "sin-theta-all" });
    const above = own.filter((row) => {
      const null95 = select(space, { matrix, metric: "null-matched-all", block: row.block })[0];
      return null95?.high !== undefined && row.value > null95.high;
    });
    return own.length === 0 ? "no change" : `${above.length} of ${own.length}`;
  };
  return html`<div class="scroll"><table><caption>From the least block to the greatest. sin θ: share of ΔW’s norm outside the column space of W; a random ΔW of the same
    spectrum has the null’s. Only what lies above it is more than chance</caption><thead><tr><th scope="col">matrix</th><th scope="col" class="number">|ΔW| / |W|</th><th scope="col" class="number">ΔW: directions with 99%</th>
    <th scope="col" class="number">W: directions with 99%</th><th scope="col" class="number">sin θ</th><th scope="col" class="number">null</th><th scope="col" class="number">blocks above the null</th></tr></thead><tbody>${orderMatrices(
      space,
    ).map(
      (
        matrix,
      ) => html`<tr><th scope="row">${matrix}</th><td class="number">${range(matrix, "column-space", "norm", (v) => percent(v))}</td>
      <td class="number">${range(matrix, "weights", "energy-rank", whole, 99)}</td><td class="number">${range(matrix, "column-space", "rank", whole)}</td>
      <td class="number">${range(matrix, "column-space", "sin-theta-all", fixed)}</td><td class="number">${range(matrix, "column-space", "null-matched-all", fixed)}</td><td class="number">${beyond(matrix)}</td></tr>`,
    )}</tbody></table></div><p class="rate">${distinct(space, "block").length} blocks.</p>`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
