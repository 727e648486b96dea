import type { ResultRow } from "../../study/results.js";
import { type AttackOrder, attackOrders, type Difference, PAPER_ORDER } from "../attackOrder.js";
import { checkpointTitle } from "../checkpoints.js";
import { type Html, html } from "../html.js";
import { fixed, percent, sentenceList, setTitle } from "../words.js";
import { sharePhrase } from "./interval.js";

/** The jailbreak sets by success, a column per method at the medium rate and one for the paper; `undefined` without such rows. */
export function attackOrderSection(rows: readonly ResultRow[]): Html | undefined {
  const orders = attackOrders(rows).filter(({ ranked }) => ranked.length > 0);
  if (orders.length === 0) return undefined;
  const ranks = Math.max(...orders.map(({ ranked }) => ranked.length));
  const { strongest, weakest } = PAPER_ORDER;
  const paper = (place: number) =>
    place === 0
      ? html`${setTitle(strongest.set)} <span class="interval">about ${percent(strongest.success, 0)}</span>`
      : place === ranks - 1
        ? html`${setTitle(weakest.set)} <span class="interval">about ${percent(weakest.success, 0)}</span>`
        : html`<span class="quiet">…</span>`;
  return html`<h3>The order of the attacks</h3><div class="scroll" role="region" aria-label="Order of the attacks" tabindex="0"><table class="order">
    <caption>Success in %, strongest attack first. <b>&gt;</b> leads the next one beyond noise, <b>≈</b> does not.</caption>
    <thead><tr><th scope="col">rank</th>${orders.map(({ checkpoint }) => html`<th scope="col">${checkpointTitle(checkpoint)}</th>`)}<th scope="col">the paper, DPO medium</th></tr></thead>
    <tbody>${Array.from(
      { length: ranks },
      (_, i) =>
        html`<tr><th scope="row">${i + 1}</th>${orders.map(({ ranked }) => cell(ranked[i]))}<td>${paper(i)}</td></tr>`,
    )}</tbody>
    <tbody><tr><th scope="row">${short(strongest.set)} − ${short(weakest.set)}</th>${orders.map(
      ({ paperContrast }) =>
        html`<td>${paperContrast ? html`<b>${points(paperContrast)}</b> <span class="interval">${bounds(paperContrast)}</span>` : "–"}</td>`,
    )}<td>about ${points({ value: strongest.success - weakest.success })}</td></tr></tbody></table></div>
    <p>${verdict(orders)} Differences are ${
      rows.some((r) => r.seed !== undefined && r.seed !== rows.find((other) => other.seed !== undefined)?.seed)
        ? "paired by seed, with Student’s 95% interval over the seeds"
        : "between independent test sets, with Newcombe’s 95% interval"
    }; neighbours are compared one pair at a time, without a correction for their number.</p>`;
}

function cell(ranked: AttackOrder["ranked"][number] | undefined): Html {
  if (!ranked) return html`<td class="absent">–</td>`;
  const { set, row, overNext } = ranked;
  const [share, ...interval] = sharePhrase(row).replace("%", "").split(" ");
  const mark = overNext && (overNext.beyondNoise ? ">" : "≈");
  const said =
    overNext &&
    `${overNext.beyondNoise ? "leads" : "does not lead"} the next by ${points(overNext)} ${bounds(overNext)}`;
  return html`<td><span class="set">${setTitle(set)}</span> <b>${share}</b>${
    mark && html` <abbr title="${said}">${mark}</abbr>`
  } <span class="interval">${interval.join(" ")}</span></td>`;
}

/** "CO-Text": narrow enough for the first column. */
function short(set: string): string {
  return setTitle(set).replace(/^JB-/, "");
}

/** "+37.4": a difference of shares in percentage points. */
function points({ value }: Pick<Difference, "value">): string {
  return `${value > 0 ? "+" : ""}${fixed(value * 100, 1)}`;
}

function bounds({ interval }: Difference): string {
  return interval ? `[${fixed(interval.low * 100, 1)}, ${fixed(interval.high * 100, 1)}]` : "";
}

/** Which methods show the paper's contrast, which the opposite, and which neither beyond noise. */
function verdict(orders: readonly AttackOrder[]): string {
  const { strongest, weakest } = PAPER_ORDER;
  const say = (words: string, of: (difference: Difference) => boolean) => {
    const names = orders
      .filter(({ paperContrast }) => paperContrast && of(paperContrast))
      .map(({ checkpoint }) => checkpointTitle(checkpoint));
    return names.length > 0 ? [`${words} for ${sentenceList(names)}`] : [];
  };
  const parts = [
    ...say("holds", ({ beyondNoise, value }) => beyondNoise === true && value > 0),
    ...say("is the other way round", ({ beyondNoise, value }) => beyondNoise === true && value < 0),
    ...say("is within noise", ({ beyondNoise }) => beyondNoise === false),
  ];
  const claim = `The paper finds ${setTitle(strongest.set)} the strongest and ${setTitle(weakest.set)} the weakest attack`;
  if (parts.length === 0) return `${claim}; this run did not measure both.`;
  return `${claim}. That the first exceeds the second ${sentenceList(parts)}.`;
}
