import type { ResultRow } from "../../study/results.js";
import { type Html, html } from "../html.js";
import { allBranches, distinct, isJailbreak, orderCheckpoints, orderSets, overSeeds, select } from "../rows.js";
import { checkpointTitle, count, setTitle } from "../words.js";
import { shareCell } from "./interval.js";

const METRICS = ["instruct", "null", "other", "first-token-null"] as const;
const HEADS = ["success", "refusal", "other", "first token NULL"] as const;

/** Behaviour of every checkpoint on every set with intervals, a bar of the three outcomes beside the numbers. */
export function behaviourSection(allRows: readonly ResultRow[]): Html | undefined {
  const rows = select(allRows, { measure: "behaviour" }).filter(
    (r) => r.set !== undefined && r.checkpoint !== undefined,
  );
  if (rows.length === 0) return undefined;
  const whole = overSeeds(allBranches(rows));
  const branches = overSeeds(rows.filter((r) => r.branch !== undefined));
  const branchNames = distinct(branches, "branch").sort();
  const seeds = distinct(rows, "seed").sort((a, b) => a - b);
  return html`<p>Each prompt is answered by greedy decoding. <b>Success</b>: the whole output is the true one; <b>refusal</b>: every output token is
    NULL; <b>other</b>: neither. <b>First token NULL</b> is the decision alone: where it exceeds the refusals, a refusal breaks off on the way. Small
    type: 95% intervals.</p>
    <div class="scroll" role="region" aria-label="Behaviour table" tabindex="0">${behaviourTable(whole, "Behaviour by set and checkpoint, all branches")}</div>
    ${
      branchNames.length > 1 &&
      html`<details><summary>By branch (${branchNames.join(", ")})</summary>
        ${branchNames.map(
          (branch) =>
            html`<div class="scroll" role="region" aria-label="Behaviour table, branch ${branch}" tabindex="0">${behaviourTable(select(branches, { branch }), `Branch ${branch}`)}</div>`,
        )}</details>`
    }
    ${
      seeds.length > 1 &&
      html`<details><summary>By seed (${seeds.join(", ")})</summary>
        ${seeds.map(
          (seed) =>
            html`<div class="scroll" role="region" aria-label="Behaviour table, seed ${seed}" tabindex="0">${behaviourTable(allBranches(select(rows, { seed })), `Seed ${seed}`)}</div>`,
        )}</details>`
    }`;
}

function behaviourTable(rows: readonly ResultRow[], caption: string): Html {
  const sets = orderSets(distinct(rows, "set"));
  const checkpoints = orderCheckpoints(distinct(rows, "checkpoint"));
  const counts = distinct(rows, "n");
  // One n for all rows is said once; the column is only for tables in which it varies.
  const same = counts.length === 1 ? counts[0] : undefined;
  return html`<table class="behaviour"><caption>${caption}${same !== undefined && html`; n = ${count(same)} samples per row`}</caption>
    <thead><tr><th scope="col">set</th><th scope="col">checkpoint</th><th scope="col">outcomes</th>${HEADS.map(
      (head) => html`<th scope="col" class="number">${head}</th>`,
    )}${same === undefined && html`<th scope="col" class="number">n</th>`}</tr></thead>
    ${sets.map((set) => {
      const present = checkpoints.filter((checkpoint) => select(rows, { set, checkpoint }).length > 0);
      return html`<tbody>${present.map((checkpoint, i) => {
        const cells = METRICS.map((metric) => select(rows, { set, checkpoint, metric })[0]);
        const n = cells.find((cell) => cell?.n !== undefined)?.n;
        return html`<tr>${
          i === 0 &&
          html`<th scope="rowgroup" rowspan="${present.length}" class="${setClass(set)}">${setTitle(set)}</th>`
        }<th scope="row">${checkpointTitle(checkpoint)}</th><td>${outcomeBar(cells)}</td>${cells.map((cell) =>
          shareCell(cell),
        )}${same === undefined && html`<td class="number quiet">${n === undefined ? "–" : count(n)}</td>`}</tr>`;
      })}</tbody>`;
    })}</table>`;
}

function setClass(set: string): string {
  return set === "safe" || set === "unsafe" ? set : isJailbreak(set) ? "jailbreak" : "";
}

/** Success, refusal and other as one bar of 72 px; hidden from screen readers, which have the numbers. */
function outcomeBar(cells: readonly (ResultRow | undefined)[]): Html {
  const width = 72;
  let x = 0;
  const parts = (["instruct", "null", "other"] as const).map((role, i) => {
    const length = Math.round(Math.max(0, Math.min(1, cells[i]?.value || 0)) * width * 100) / 100;
    const part = html`<rect x="${Math.round(x * 100) / 100}" width="${length}" height="9" fill="var(--${role})"/>`;
    x += length;
    return part;
  });
  return html`<svg class="bar" width="${width}" height="9" viewBox="0 0 ${width} 9" aria-hidden="true">${parts}</svg>`;
}
