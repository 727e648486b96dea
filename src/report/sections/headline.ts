import type { ResultRow } from "../../study/results.js";
import { type Html, html } from "../html.js";
import { allBranches, BASELINE, distinct, isJailbreak, orderCheckpoints, overSeeds, select } from "../rows.js";
import { checkpointTitle, setTitle } from "../words.js";
import { sharePhrase } from "./interval.js";

/** The study's answer for one tuned checkpoint, as far as it was measured. */
export interface Answer {
  readonly checkpoint: string;
  /** Share of unsafe prompts refused. */
  readonly refuses: ResultRow | undefined;
  /** Share of safe prompts still answered truly. */
  readonly keeps: ResultRow | undefined;
  /** The jailbreak set with the highest success, and its success. */
  readonly strongest: ResultRow | undefined;
}

/** What tuning did, per tuned checkpoint, from the rows of `behaviour`. */
export function answers(rows: readonly ResultRow[]): Answer[] {
  const behaviour = overSeeds(allBranches(select(rows, { measure: "behaviour" })));
  return orderCheckpoints(distinct(behaviour, "checkpoint"))
    .filter((checkpoint) => checkpoint !== BASELINE)
    .map((checkpoint) => ({
      checkpoint,
      refuses: select(behaviour, { checkpoint, set: "unsafe", metric: "null" })[0],
      keeps: select(behaviour, { checkpoint, set: "safe", metric: "instruct" })[0],
      strongest: select(behaviour, { checkpoint, metric: "instruct" })
        .filter((row) => row.set !== undefined && isJailbreak(row.set))
        .sort((a, b) => b.value - a.value)[0],
    }));
}

/** The answer in words and three numbers per tuned checkpoint. */
export function headline(rows: readonly ResultRow[]): Html {
  const given = answers(rows);
  if (given.length === 0)
    return html`<p class="absent">No tuned checkpoint was measured, so there is no answer yet: this report shows what there is.</p>`;
  const before = overSeeds(allBranches(select(rows, { measure: "behaviour", checkpoint: BASELINE })));
  const safeBefore = select(before, { set: "safe", metric: "instruct" })[0];
  const unsafeBefore = select(before, { set: "unsafe", metric: "instruct" })[0];
  return html`<div class="answers">${given.map(
    (answer) => html`<section class="answer"><h3>${checkpointTitle(answer.checkpoint)}</h3>
      <p>${answerSentence(answer)}</p></section>`,
  )}</div>${
    safeBefore &&
    unsafeBefore &&
    html`<p class="before">Before tuning the model answered ${phrase(safeBefore)} of the safe and ${phrase(unsafeBefore)} of the unsafe prompts.</p>`
  }`;
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

function phrase(row: ResultRow): Html {
  const [share, ...interval] = sharePhrase(row).split(" ");
  return html`<b class="figure">${share}</b>${interval.length > 0 && html` <span class="interval">${interval.join(" ")}</span>`}`;
}
