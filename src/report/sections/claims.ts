import type { ClaimVerdict } from "../claims.js";
import { type Html, html } from "../html.js";
import { count, significant } from "../words.js";

/** Verdicts in reading order, with the sign that stands before the word: no verdict is told by its colour alone. */
const VERDICTS: ReadonlyMap<string, string> = new Map([
  ["supported", "✓"],
  ["contradicted", "✗"],
  ["undecided", "?"],
]);

/** The claims under test, each with verdict, effect, interval, null, n and seeds; the rule of decision unfolds. `undefined` without claims. */
export function claimsSection(claims: readonly ClaimVerdict[]): Html | undefined {
  if (claims.length === 0) return undefined;
  const tally = [...VERDICTS.keys()].flatMap((verdict) => {
    const n = claims.filter((claim) => claim.verdict === verdict).length;
    return n > 0 ? [`${n} ${verdict}`] : [];
  });
  const seeds = [...new Set(claims.flatMap((claim) => claim.seeds ?? []))].sort((a, b) => a - b);
  const over =
    seeds.length === 0
      ? ""
      : ` ${seeds.length === 1 && seeds[0] === 1 ? "One seed: another may say otherwise." : `${seeds.join(" to ")} seeds.`}`;
  return html`<p>${tally.join(", ")}. A verdict follows from the effect’s 95% interval against its null, by a rule that was fixed before the run.${over}</p>
<div class="scroll" role="region" aria-label="Claims" tabindex="0"><table class="claims"><caption>Claims of the paper, and any of your own, under test</caption><thead><tr><th scope="col">claim</th><th scope="col">verdict</th>
<th scope="col" class="number">effect</th><th scope="col" class="number">null</th><th scope="col" class="number">n</th><th scope="col" class="number">seeds</th></tr></thead>
<tbody>${claims.map(claimRow)}</tbody></table></div>`;
}

function claimRow({ id, statement, verdict, value, low, high, chance, n, seeds, rule, measure }: ClaimVerdict): Html {
  const sign = VERDICTS.get(verdict);
  const kind = sign === undefined ? "undecided" : verdict;
  return html`<tr id="claim-${id.replace(/[^A-Za-z0-9_-]/g, "-")}"><th scope="row"><b>${id}</b> ${statement}${
    (rule !== undefined || measure !== undefined) &&
    html`<details><summary>rule</summary><p>${rule ?? "not recorded"}${measure !== undefined && html` Measure: <code>${measure}</code>.`}</p></details>`
  }</th><td class="verdict ${kind}"><span aria-hidden="true">${sign ?? "–"}</span> ${verdict}</td><td class="number"><b>${value === undefined ? "–" : significant(value)}</b>${
    low !== undefined &&
    high !== undefined &&
    html` <span class="interval">[${significant(low)}, ${significant(high)}]</span>`
  }</td><td class="number">${chance === undefined ? "–" : significant(chance)}</td><td class="number">${n === undefined ? "–" : count(n)}</td><td class="number">${
    seeds === undefined ? "–" : String(seeds)
  }</td></tr>`;
}
