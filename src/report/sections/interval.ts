import type { ResultRow } from "../../study/results.js";
import { type Html, html } from "../html.js";
import { shareInterval } from "../rows.js";
import { slug } from "../tags.js";
import { fixed, percent } from "../words.js";

/** A share in a table of percentages: "97.3 [95.3, 99.3]", the interval in small type. An en dash where it was not measured. */
export function percentCell(row: ResultRow | undefined, set: string): Html {
  if (!row || !Number.isFinite(row.value)) return html`<td class="number absent" data-s="${slug(set)}">–</td>`;
  const bounds = shareInterval(row);
  return html`<td class="number" data-s="${slug(set)}">${fixed(row.value * 100, 1)}${
    bounds && html` <span class="interval">[${fixed(bounds.low * 100, 1)}, ${fixed(bounds.high * 100, 1)}]</span>`
  }</td>`;
}

/** A share in a sentence: "98.2% [97.5, 98.8]". */
export function sharePhrase(row: ResultRow): string {
  const bounds = shareInterval(row);
  if (!bounds) return percent(row.value);
  return `${percent(row.value)} [${fixed(bounds.low * 100, 1)}, ${fixed(bounds.high * 100, 1)}]`;
}
