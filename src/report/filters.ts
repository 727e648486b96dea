import type { ResultRow } from "../study/results.js";
import { checkpointParts, checkpointTitle, methodTitle, orderCheckpoints } from "./checkpoints.js";
import { type Html, html } from "./html.js";
import { distinct, orderSets, plainCheckpoints } from "./rows.js";
import { slug } from "./tags.js";
import { setTitle } from "./words.js";

interface Choice {
  readonly label: string;
  /** The tags that go when it is not chosen. */
  readonly values: readonly string[];
}

/**
 * What the reader may choose: methods, rates, blocks and sets, each a box that is ticked. Hidden until the page's script runs, for without it the
 * boxes would do nothing. `undefined` where there is nothing to choose.
 */
export function filterForm(rows: readonly ResultRow[]): Html | undefined {
  const checkpoints = orderCheckpoints(plainCheckpoints(rows));
  const methods = grouped(checkpoints, (checkpoint) => checkpointParts(checkpoint).method);
  const rates = grouped(
    checkpoints.filter((checkpoint) => checkpointParts(checkpoint).rate !== ""),
    (checkpoint) => checkpointParts(checkpoint).rate,
  );
  const blocks = distinct(rows, "block").sort((a, b) => a - b);
  const sets = orderSets(distinct(rows, "set"));
  const groups = [
    group(
      "methods",
      "c",
      methods.map(([method, own]) => ({
        label: own.length === 1 ? checkpointTitle(own[0]!) : methodTitle(method),
        values: own,
      })),
    ),
    group(
      "rates",
      "c",
      rates.map(([rate, own]) => ({ label: rate, values: own })),
    ),
    group(
      "blocks",
      "b",
      blocks.map((block) => ({ label: String(block), values: [String(block)] })),
    ),
    group(
      "sets",
      "s",
      sets.map((set) => ({ label: setTitle(set), values: [set] })),
    ),
  ].filter((part) => part !== undefined);
  if (groups.length === 0) return undefined;
  return html`<details id="choose" class="choose" hidden><summary>Choose <span id="chosen" role="status"></span></summary>
<form id="choice" autocomplete="off"><p>What figures and tables show.</p>${groups}<button type="reset">show all</button></form></details>`;
}

function group(legend: string, name: string, choices: readonly Choice[]): Html | undefined {
  if (choices.length < 2) return undefined;
  return html`<fieldset><legend>${legend}</legend>${choices.map(
    ({ label, values }) =>
      html`<label><input type="checkbox" name="${name}" value="${values.map(slug).join(" ")}" checked> ${label}</label>`,
  )}</fieldset>`;
}

function grouped(names: readonly string[], key: (name: string) => string): [string, string[]][] {
  const groups = new Map<string, string[]>();
  for (const name of names) groups.set(key(name), [...(groups.get(key(name)) ?? []), name]);
  return [...groups];
}
