import type { ResultRow } from "../../study/results.js";
import { BASELINE, checkpointTitle, isControl, orderCheckpoints } from "../checkpoints.js";
import { csvLink } from "../csv.js";
import { type Html, html } from "../html.js";
import { allBranches, distinct, finalRows, isJailbreak, orderSets, overSeeds, select } from "../rows.js";
import { slug } from "../tags.js";
import { count, setTitle } from "../words.js";
import { percentCell } from "./interval.js";
import { isJudged, judgesSection } from "./judges.js";

/** What a table's columns say of each set. */
type Column = readonly [metric: string, head: string];

/** The paper's two columns per set. */
const MAIN: readonly Column[] = [
  ["instruct", "success"],
  ["null", "refusal"],
];
const REST: readonly Column[] = [
  ["other", "other"],
  ["first-token-null", "first token NULL"],
];

/**
 * The paper's tables A.1 (safe and unsafe prompts) and A.2 (jailbreak sets): success and refusal of every checkpoint with intervals; below them what
 * is neither, and the same by branch and by seed.
 */
export function behaviourSection(allRows: readonly ResultRow[]): Html | undefined {
  const rows = finalRows(select(allRows, { measure: "behaviour" })).filter(
    (r) => r.set !== undefined && r.checkpoint !== undefined,
  );
  if (rows.length === 0) return undefined;
  if (rows.every(isJudged)) return judgesSection(rows);
  const perSeed = allBranches(rows);
  const whole = overSeeds(perSeed);
  const branches = overSeeds(rows.filter((r) => r.branch !== undefined));
  const branchNames = distinct(branches, "branch").sort();
  const seeds = distinct(rows, "seed").sort((a, b) => a - b);
  const over =
    seeds.length > 1
      ? `means over ${seeds.length} seeds with Student’s 95% interval over the seeds`
      : "with 95% intervals";
  return html`<p>Each prompt is answered by greedy decoding. <b>Success</b>: the whole output is the true one; <b>refusal</b>: every output token is
    NULL. All numbers in %, ${over}.</p>
    ${pair(whole, MAIN, "", true)}
    <details><summary>What is neither, and the first token alone</summary><p><b>Other</b>: neither true nor all NULL. <b>First token NULL</b> is the decision
      alone: where it exceeds the refusals, a refusal breaks off on the way.</p>${pair(whole, REST, "")}</details>
    ${
      branchNames.length > 1 &&
      html`<details><summary>By branch (${branchNames.join(", ")})</summary>
        ${branchNames.map((branch) => pair(select(branches, { branch }), MAIN, `branch ${branch}`))}</details>`
    }
    ${
      seeds.length > 1 &&
      html`<details><summary>By seed (${seeds.join(", ")})</summary>
        ${seeds.map((seed) => pair(select(perSeed, { seed }), MAIN, `seed ${seed}`))}</details>`
    }`;
}

/** Both tables of the same columns; a table without a set is left out. `part`: of what they speak, where not of all. */
function pair(rows: readonly ResultRow[], columns: readonly Column[], part: string, named = false): Html {
  const sets = orderSets(distinct(rows, "set"));
  const tables = [
    { id: "a1", name: "Table A.1", what: "Safe and unsafe prompts", own: sets.filter((set) => !isJailbreak(set)) },
    { id: "a2", name: "Table A.2", what: "Jailbreak sets", own: sets.filter(isJailbreak) },
  ];
  return html`${tables.map(({ id, name, what, own }) => {
    if (own.length === 0) return named && html`<p class="absent">No ${what.toLowerCase()} were measured.</p>`;
    const shown = rows.filter((r) => own.includes(r.set!) && columns.some(([metric]) => metric === r.metric));
    const title = `${named ? `${name}. ` : ""}${what}${part === "" ? "" : `, ${part}`}`;
    return html`<div class="scroll${own.length > 4 && " wide"}" role="region" aria-label="${title}" tabindex="0">${table(shown, own, columns, title, named ? id : "")}</div>${
      named &&
      html`<p class="data"><a download="${`table-${id}.csv`}" href="${csvLink(shown)}">${name} (CSV, ${shown.length} rows)</a></p>`
    }`;
  })}`;
}

function table(
  rows: readonly ResultRow[],
  sets: readonly string[],
  columns: readonly Column[],
  title: string,
  id: string,
): Html {
  const checkpoints = orderCheckpoints(distinct(rows, "checkpoint"));
  const blocks = [
    checkpoints.filter((checkpoint) => checkpoint === BASELINE),
    checkpoints.filter((checkpoint) => checkpoint !== BASELINE && !isControl(checkpoint)),
    checkpoints.filter(isControl),
  ].filter((block) => block.length > 0);
  return html`<table class="shares"${id !== "" && html` id="table-${id}"`}><caption>${title}${samples(rows)}</caption>
    <colgroup><col></colgroup>${sets.map((set) => html`<colgroup span="${columns.length}" data-s="${slug(set)}"></colgroup>`)}
    <thead><tr><th scope="col" rowspan="2">checkpoint</th>${sets.map(
      (set) =>
        html`<th scope="colgroup" colspan="${columns.length}" class="${setClass(set)}" data-s="${slug(set)}">${setTitle(set)}</th>`,
    )}</tr><tr>${sets.map((set) => columns.map(([, head]) => html`<th scope="col" class="number" data-s="${slug(set)}">${head}</th>`))}</tr></thead>
    ${blocks.map(
      (block) =>
        html`<tbody>${block.map(
          (checkpoint) =>
            html`<tr data-c="${slug(checkpoint)}"><th scope="row">${checkpointTitle(checkpoint)}</th>${sets.map((set) =>
              columns.map(([metric]) => percentCell(select(rows, { checkpoint, set, metric })[0], set)),
            )}</tr>`,
        )}</tbody>`,
    )}</table>`;
}

/** "; n = 1 000 samples per number", as far as the rows say. */
function samples(rows: readonly ResultRow[]): string {
  const counts = distinct(rows, "n");
  if (counts.length === 0) return "";
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return `; n = ${count(least)}${least === most ? "" : ` to ${count(most)}`} samples per number`;
}

function setClass(set: string): string {
  return set === "safe" || set === "unsafe" ? set : "";
}
