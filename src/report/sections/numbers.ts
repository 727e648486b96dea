import type { ResultRow } from "../../study/results.js";
import { checkpointTitle } from "../checkpoints.js";
import { type Html, html } from "../html.js";
import { allBranches, overSeeds } from "../rows.js";
import { slug } from "../tags.js";
import { count, setTitle, significant } from "../words.js";

/** A longer table is read by nobody and makes the page heavy. */
const MOST_ROWS = 240;

/** What tells rows apart, in the order of reading, and how a cell is said. */
const COLUMNS = [
  ["metric", (row: ResultRow) => row.metric],
  ["checkpoint", (row: ResultRow) => (row.checkpoint === undefined ? "" : checkpointTitle(row.checkpoint))],
  ["set", (row: ResultRow) => (row.set === undefined ? "" : setTitle(row.set))],
  ["outcome", (row: ResultRow) => row.outcome ?? ""],
  ["block", (row: ResultRow) => text(row.block)],
  ["matrix", (row: ResultRow) => row.matrix ?? ""],
  ["index", (row: ResultRow) => text(row.index)],
  ["alpha", (row: ResultRow) => text(row.alpha)],
  ["step", (row: ResultRow) => text(row.step)],
] as const satisfies readonly (readonly [keyof ResultRow, (row: ResultRow) => string])[];

/** The figure's numbers over seeds as a table, folded: the same for those who cannot see or point. Empty where it would be too long. */
export function numbersTable(rows: readonly ResultRow[]): Html {
  const shown = overSeeds(allBranches(rows)).filter((row) => Number.isFinite(row.value));
  if (shown.length === 0) return html``;
  if (shown.length > MOST_ROWS)
    return html`<p class="quiet numbers">The ${count(shown.length)} numbers over seeds are too many for a table; the CSV holds them.</p>`;
  const columns = COLUMNS.filter(([field]) => new Set(shown.map((row) => row[field])).size > 1);
  const has = (field: "low" | "n" | "chance") => shown.some((row) => row[field] !== undefined);
  const tags = (row: ResultRow) =>
    html`${row.checkpoint !== undefined && html` data-c="${slug(row.checkpoint)}"`}${row.set !== undefined && html` data-s="${slug(row.set)}"`}`;
  return html`<details class="numbers"><summary>Its numbers as a table</summary><div class="scroll" role="region" aria-label="Numbers" tabindex="0"><table class="plain"><thead><tr>${columns.map(
    ([field]) => html`<th scope="col">${field}</th>`,
  )}<th scope="col" class="number">value</th>${has("low") && html`<th scope="col" class="number">95% interval</th>`}${has("n") && html`<th scope="col" class="number">n</th>`}${has("chance") && html`<th scope="col" class="number">chance</th>`}</tr></thead><tbody>${shown.map(
    (row) =>
      html`<tr${tags(row)}>${columns.map(([, say]) => html`<td>${say(row)}</td>`)}<td class="number">${significant(row.value)}</td>${
        has("low") && html`<td class="number">${interval(row)}</td>`
      }${has("n") && html`<td class="number">${row.n === undefined ? "" : count(row.n)}</td>`}${
        has("chance") && html`<td class="number">${row.chance === undefined ? "" : significant(row.chance)}</td>`
      }</tr>`,
  )}</tbody></table></div></details>
`;
}

function interval({ low, high }: ResultRow): string {
  return low === undefined || high === undefined ? "" : `${significant(low)} to ${significant(high)}`;
}

function text(value: number | undefined): string {
  return value === undefined ? "" : String(value);
}
