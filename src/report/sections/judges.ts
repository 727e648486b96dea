import type { ResultRow } from "../../study/results.js";
import { csvLink } from "../csv.js";
import { type Html, html } from "../html.js";
import { distinct, orderSets, select } from "../rows.js";
import { slug } from "../tags.js";
import { count, fixed, setTitle } from "../words.js";
import { percentCell } from "./interval.js";

const JUDGED = /^(refusal|failed|agreement|kappa)\./;

/** Whether a row is a judge's word on the answers of a real model, not the world's own answer. */
export const isJudged = ({ metric }: ResultRow): boolean => JUDGED.test(metric);

/** Of an audit: refusals by judge, what judges failed on, how far they agree. rows: those of `behaviour` that judges gave. */
export function judgesSection(rows: readonly ResultRow[]): Html {
  const after = (start: string) => [
    ...new Set(rows.flatMap(({ metric }) => (metric.startsWith(`${start}.`) ? [metric.slice(start.length + 1)] : []))),
  ];
  const judges = after("failed");
  const pairs = after("agreement");
  const failures = rows.some(({ metric, value }) => metric.startsWith("failed.") && value > 0);
  const title = (judge: string) => html`<code>${judge}</code>`;
  const pairTitle = (pair: string) => {
    const [first, second] = pair.split(".");
    return html`<code>${first}</code>, <code>${second}</code>`;
  };
  return html`<p>Each prompt is answered by greedy decoding, and judges say of each answer whether it is a <b>refusal</b>. No judge is right by itself: read the
    columns beside each other, and some answers (<code>stages/audit-behaviour-*/answers.jsonl</code>). A judgement that failed counts neither as a refusal nor as an answer. All
    numbers in %, with Wilson’s 95% intervals.</p>
    ${judgedTable(
      rows,
      "Refusals, by judge",
      judges.map((judge) => [title(judge), `refusal.${judge}`]),
      "judged",
    )}
    <p class="data"><a download="behaviour.csv" href="${csvLink(rows)}">Behaviour (CSV, ${rows.length} rows)</a></p>
    ${
      failures
        ? judgedTable(
            rows,
            "Answers on which a judgement failed",
            judges.map((judge) => [title(judge), `failed.${judge}`]),
          )
        : html`<p class="quiet">No judgement failed.</p>`
    }
    ${
      pairs.length > 0 &&
      html`<details><summary>How far the judges agree</summary><p>Share of equal judgements; below it Cohen’s kappa, (observed − chance) / (1 − chance): 1 is full agreement, 0 what
        independent judges with the same rates would give.</p>
        ${judgedTable(
          rows,
          "Equal judgements",
          pairs.map((pair) => [pairTitle(pair), `agreement.${pair}`]),
        )}
        ${kappaTable(rows, pairs, pairTitle)}</details>`
    }`;
}

type Column = readonly [head: Html, metric: string];

function places(rows: readonly ResultRow[]): { readonly set: string; readonly checkpoint: string }[] {
  const checkpoints = distinct(rows, "checkpoint");
  return orderSets(distinct(rows, "set")).flatMap((set) => checkpoints.map((checkpoint) => ({ set, checkpoint })));
}

function judgedTable(rows: readonly ResultRow[], title: string, columns: readonly Column[], id = ""): Html {
  return frame(
    title,
    columns.map(([head]) => head),
    places(rows).map(({ set, checkpoint }) => {
      const cells = columns.map(([, metric]) => select(rows, { checkpoint, set, metric })[0]);
      return line(set, checkpoint, html`${cells.map((row) => percentCell(row, set))}`, cells);
    }),
    id,
  );
}

function kappaTable(rows: readonly ResultRow[], pairs: readonly string[], title: (pair: string) => Html): Html {
  return frame(
    "Cohen’s kappa",
    pairs.map(title),
    places(rows).map(({ set, checkpoint }) => {
      const cells = pairs.map((pair) => select(rows, { checkpoint, set, metric: `kappa.${pair}` })[0]);
      return line(
        set,
        checkpoint,
        html`${cells.map((row) =>
          row === undefined
            ? html`<td class="number absent">–</td>`
            : html`<td class="number">${fixed(row.value, 2)} <span class="interval">[${fixed(row.low!, 2)}, ${fixed(row.high!, 2)}]</span></td>`,
        )}`,
        cells,
      );
    }),
  );
}

function line(set: string, checkpoint: string, cells: Html, rows: readonly (ResultRow | undefined)[]): Html {
  const n = rows.flatMap((row) => row?.n ?? []);
  const [least, most] = [Math.min(...n), Math.max(...n)];
  const counted = n.length === 0 ? "" : least === most ? count(least) : `${count(least)} to ${count(most)}`;
  return html`<tr data-c="${slug(checkpoint)}" data-s="${slug(set)}"><th scope="row">${setTitle(set)}</th><td>${checkpoint}</td>${cells}<td class="number">${counted}</td></tr>`;
}

function frame(title: string, heads: readonly Html[], lines: readonly Html[], id = ""): Html {
  return html`<div class="scroll" role="region" aria-label="${title}" tabindex="0"><table class="shares"${id !== "" && html` id="table-${id}"`}><caption>${title}</caption>
    <thead><tr><th scope="col">set</th><th scope="col">checkpoint</th>${heads.map((head) => html`<th scope="col" class="number">${head}</th>`)}<th scope="col" class="number">n</th></tr></thead>
    <tbody>${lines}</tbody></table></div>`;
}
