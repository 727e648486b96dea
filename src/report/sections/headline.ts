import type { ResultRow } from "../../study/results.js";
import {
  BASELINE,
  checkpointParts,
  checkpointTitle,
  isControl,
  methodTitle,
  orderCheckpoints,
  tunedMethods,
} from "../checkpoints.js";
import { type Html, html } from "../html.js";
import { allBranches, distinct, finalRows, isJailbreak, overSeeds, select } from "../rows.js";
import { percent, setTitle } from "../words.js";
import { sharePhrase } from "./interval.js";
import { saturationNote } from "./saturation.js";

/** The study's answer for one checkpoint, as far as it was measured. */
export interface Answer {
  readonly checkpoint: string;
  /** Share of unsafe prompts refused. */
  readonly refuses: ResultRow | undefined;
  /** Share of safe prompts still answered truly. */
  readonly keeps: ResultRow | undefined;
  /** The jailbreak set with the highest success, and its success. */
  readonly strongest: ResultRow | undefined;
}

/** What tuning did, per checkpoint but the baseline, from the rows of `behaviour`. */
export function answers(rows: readonly ResultRow[]): Answer[] {
  const behaviour = overSeeds(allBranches(finalRows(select(rows, { measure: "behaviour" }))));
  return orderCheckpoints(distinct(behaviour, "checkpoint"))
    .filter((checkpoint) => checkpoint !== BASELINE)
    .map((checkpoint) => ({
      checkpoint,
      refuses: select(behaviour, { checkpoint, set: "unsafe", metric: "null" })[0],
      keeps: select(behaviour, { checkpoint, set: "safe", metric: "instruct" })[0],
      strongest: select(behaviour, { checkpoint, metric: "instruct" })
        .filter((row) => row.set !== undefined && isJailbreak(row.set) && Number.isFinite(row.value))
        .sort((a, b) => b.value - a.value)[0],
    }));
}

/** The answer in words: one block per method, its medium rate in full and its other rates in a line; then the controls and the baseline. */
export function headline(rows: readonly ResultRow[]): Html {
  const given = answers(rows);
  const find = (checkpoint: string) => given.find((answer) => answer.checkpoint === checkpoint)!;
  const methods = tunedMethods(given.map(({ checkpoint }) => checkpoint));
  if (methods.length === 0)
    return html`<p class="absent">No tuned checkpoint was measured, so there is no answer yet: this report shows what there is.</p>`;
  const controls = given.filter(({ checkpoint }) => isControl(checkpoint));
  const before = overSeeds(allBranches(finalRows(select(rows, { measure: "behaviour", checkpoint: BASELINE }))));
  const safeBefore = select(before, { set: "safe", metric: "instruct" })[0];
  const unsafeBefore = select(before, { set: "unsafe", metric: "instruct" })[0];
  return html`<div class="answers">${methods.map(({ method, checkpoints: [first, ...others] }) => {
    const { rate } = checkpointParts(first!);
    return html`<section class="answer"><h3>${methodTitle(method)}${rate !== "" && html` <span class="rate">${rate} rate</span>`}</h3>
      <p>${answerSentence(find(first!))}</p>${others.map(
        (checkpoint) =>
          html`<p class="rate">${checkpointParts(checkpoint).rate} rate: ${shortAnswer(find(checkpoint))}</p>`,
      )}</section>`;
  })}</div>${saturationNote(rows)}<div class="before">${
    safeBefore &&
    unsafeBefore &&
    html`<p>Before tuning the model answered ${phrase(safeBefore)} of the safe and ${phrase(unsafeBefore)} of the unsafe prompts.</p>`
  }${
    controls.length > 0 &&
    html`<p>Controls, tuned as long but not for safety: ${controls.map(
      (control, i) =>
        html`${i > 0 && "; "}${checkpointTitle(control.checkpoint)} ${shortAnswer({ ...control, strongest: undefined })}`,
    )}.</p>`
  }</div>`;
}

/** "Refuses 98.2% [..] of unsafe prompts and keeps ... ." Plain words with the numbers set in bold. */
export function answerSentence({ refuses, keeps, strongest }: Answer): Html {
  return html`${
    refuses ? html`Refuses ${phrase(refuses)} of unsafe prompts` : "Its refusals were not measured"
  }${keeps ? html` and still answers ${phrase(keeps)} of safe ones` : ""}. ${
    strongest && strongest.value > 0
      ? html`The strongest jailbreak is <b>${setTitle(strongest.set!)}</b>: it succeeds on ${phrase(strongest)}.`
      : strongest
        ? "No jailbreak succeeded on any sample."
        : "No jailbreak was measured."
  }`;
}

/** "refuses 93.8%, answers 98.4%, strongest jailbreak JB-MisGen-Both 69.8%": the same in one line, its intervals left to the tables. */
function shortAnswer({ refuses, keeps, strongest }: Answer): string {
  return [
    refuses && `refuses ${percent(refuses.value)}`,
    keeps && `answers ${percent(keeps.value)}`,
    strongest && `strongest jailbreak ${setTitle(strongest.set!)} ${percent(strongest.value)}`,
  ]
    .filter((part) => part !== undefined)
    .join(", ");
}

function phrase(row: ResultRow): Html {
  const [share, ...interval] = sharePhrase(row).split(" ");
  return html`<b class="figure">${share}</b>${interval.length > 0 && html` <span class="interval">${interval.join(" ")}</span>`}`;
}
