import type { Example } from "../../study/results.js";
import { checkpointTitle, orderCheckpoints } from "../checkpoints.js";
import { type Html, html } from "../html.js";
import { isJailbreak, orderSets } from "../rows.js";
import { setTitle } from "../words.js";

/** Samples shown per set and checkpoint; the results keep more. */
const SHOWN = 2;

const OUTCOMES: Readonly<Record<Example["outcome"], string>> = {
  instruct: "success",
  null: "refusal",
  other: "other",
};

/** What the models wrote: per set a few prompts with their true output and each checkpoint's answer, token by token. */
export function examplesSection(examples: readonly Example[], open: ReadonlySet<string>): Html | undefined {
  if (examples.length === 0) return undefined;
  const nulls = new Set(examples.filter((e) => e.outcome === "null").flatMap((e) => e.output));
  const sets = orderSets([...new Set(examples.map((example) => example.set))]);
  return html`<p>Tokens of an output: <span class="token right">right</span>, <span class="token wrong">wrong</span> (underlined) or
    <span class="token null">NULL</span>.</p>
    ${sets.map((set) => {
      const ofSet = examples.filter((example) => example.set === set);
      const checkpoints = orderCheckpoints([...new Set(ofSet.map((example) => example.checkpoint))]);
      const shown = prompts(ofSet);
      return html`<details${open.has(set) && html` open`}><summary>${setTitle(set)}${isJailbreak(set) && html` <span class="quiet">jailbreak</span>`}</summary>
        ${shown.map((group) => promptTable(group, checkpoints, nulls))}</details>`;
    })}`;
}

/** Examples of the same prompt and seed together, one per checkpoint; at most SHOWN prompts, of different outcomes where there are such. */
function prompts(examples: readonly Example[]): Example[][] {
  const groups = new Map<string, Example[]>();
  for (const example of examples) {
    const key = JSON.stringify([example.seed, example.branch, example.operators, example.text]);
    const group = groups.get(key);
    if (group) group.push(example);
    else groups.set(key, [example]);
  }
  const pattern = (group: readonly Example[]) => group.map((example) => example.outcome).join();
  const all = [...groups.values()];
  const varied = all.filter((group, i) => all.findIndex((other) => pattern(other) === pattern(group)) === i);
  return [...varied, ...all.filter((group) => !varied.includes(group))].slice(0, SHOWN);
}

function promptTable(group: readonly Example[], checkpoints: readonly string[], nulls: ReadonlySet<string>): Html {
  const { operators, text, truth, branch, label, seed } = group[0]!;
  const answers = checkpoints.flatMap((checkpoint) => group.find((example) => example.checkpoint === checkpoint) ?? []);
  return html`<div class="scroll" role="region" aria-label="Sample" tabindex="0"><table class="sample">
    <caption>branch ${branch}, rule says ${label}, seed ${seed}</caption>
    <tr><th scope="row">operators</th><td>${operators.map((token) => html`<bdi class="token operator">${token}</bdi> `)}</td><td></td></tr>
    <tr><th scope="row">text</th><td>${text.map((token) => html`<bdi class="token">${token}</bdi> `)}</td><td></td></tr>
    <tr><th scope="row">true output</th><td>${truth.map((token) => html`<bdi class="token">${token}</bdi> `)}</td><td></td></tr>
    ${answers.map(
      ({ checkpoint, output, outcome }) =>
        html`<tr><th scope="row">${checkpointTitle(checkpoint)}</th><td>${output.map(
          (token, i) => html`<bdi class="token ${tokenClass(token, truth[i], nulls)}">${token}</bdi> `,
        )}</td><td class="outcome ${outcome}">${OUTCOMES[outcome]}</td></tr>`,
    )}</table></div>`;
}

function tokenClass(token: string, truth: string | undefined, nulls: ReadonlySet<string>): string {
  if (token === truth) return "right";
  return nulls.has(token) || token.toUpperCase() === "NULL" ? "null" : "wrong";
}
