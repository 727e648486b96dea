import type { ResultRow } from "../../study/results.js";
import { csvLink } from "../csv.js";
import { type Html, html } from "../html.js";
import type { RunData, StageTime } from "../readRun.js";
import { distinct, select } from "../rows.js";
import { count, duration, percent } from "../words.js";

/** The world in a few facts and every setting of the run, nested keys grouped; a line that says so when the run has no configuration. */
export function configurationSection({ config, world }: Pick<RunData, "config" | "world">): Html {
  const facts = worldFacts(world);
  if (!isRecord(config))
    return html`<p class="absent">The run has no config.yaml, so its settings are not known.</p>${facts && html`<div class="settings">${settings("world", facts)}</div>`}`;
  const plain = Object.entries(config).filter(([, value]) => !isRecord(value));
  const nested = Object.entries(config).filter((entry): entry is [string, Record<string, unknown>] =>
    isRecord(entry[1]),
  );
  return html`<div class="settings">${settings("study", Object.fromEntries(plain))}${facts && settings("world", facts)}${nested.map(
    ([key, value]) => settings(key, value),
  )}</div>`;
}

/** What a reader wants to know of a world file; only what it states, for it may be of another version. */
function worldFacts(world: RunData["world"]): Record<string, string> | undefined {
  if (!world || !isRecord(world.file)) return undefined;
  const { name, terminals, text, grammars, operators, safety, tuning, testShare } = world.file;
  const facts: Record<string, string> = {};
  if (typeof name === "string") facts.name = name;
  if (Array.isArray(grammars)) facts.grammars = String(grammars.length);
  if (Array.isArray(terminals)) facts.terminals = String(terminals.length);
  if (isRecord(text)) facts["text length"] = `${say(text.min)} to ${say(text.max)}, ${say(text.layout)}`;
  if (isRecord(operators) && Array.isArray(operators.names)) facts.operators = String(operators.names.length);
  if (isRecord(operators) && isRecord(operators.twins) && Object.keys(operators.twins).length > 0)
    facts.twins = Object.entries(operators.twins)
      .map(([twin, original]) => `${twin} = ${say(original)}`)
      .join(", ");
  for (const [branch, rule] of isRecord(safety) ? Object.entries(safety) : [])
    if (isRecord(rule)) {
      facts[`safe on ${branch}`] = say(rule.safe);
      facts[`unsafe on ${branch}`] = say(rule.unsafe);
    }
  if (isRecord(tuning) && Array.isArray(tuning.leftOutOperators) && tuning.leftOutOperators.length > 0)
    facts["left out of tuning"] = say(tuning.leftOutOperators);
  if (isRecord(tuning) && Array.isArray(tuning.heldOutRules))
    facts["rules held out of tuning"] = String(tuning.heldOutRules.length);
  if (typeof testShare === "number") facts["reserved for tests"] = percent(testShare);
  if (world.hash !== undefined) facts.sha256 = `${world.hash.slice(0, 16)}…`;
  return facts;
}

function settings(title: string, values: Readonly<Record<string, unknown>>): Html {
  return html`<section><h3>${title}</h3><dl>${Object.entries(values).map(
    ([key, value]) => html`<div><dt>${spaced(key)}</dt><dd>${say(value)}</dd></div>`,
  )}</dl></section>`;
}

/** The measures behind the report, their number of rows, and all their data to download. */
export function measuresSection(rows: readonly ResultRow[]): Html {
  const measures = distinct(rows, "measure").sort();
  return html`<div class="scroll"><table><caption>Measures in this run; every row is in <code>results/</code>, as JSON and Parquet</caption><thead><tr><th scope="col">measure</th><th scope="col">metrics</th>
    <th scope="col" class="number">rows</th></tr></thead><tbody>${measures.map((measure) => {
      const own = select(rows, { measure });
      return html`<tr><th scope="row">${measure}</th><td>${distinct(own, "metric").sort().join(", ")}</td>
        <td class="number">${drawn.has(measure) || own.length > MOST_ROWS ? count(own.length) : html`<a download="${`${fileWord(measure)}.csv`}" href="${csvLink(own)}">${count(own.length)} (CSV)</a>`}</td></tr>`;
    })}</tbody></table></div>`;
}

/** Measures whose rows are offered beside their figures already. */
const drawn: ReadonlySet<string> = new Set([
  "training",
  "clusters",
  "attacks",
  "column-space",
  "activation-space",
  "row-space",
  "sensitivity",
  "interventions",
  "refusal-direction",
  "probes",
  "patching",
  "overlap",
  "weights",
]);

/** More rows than this would make the page heavy; `results/` beside the page holds all of them. */
const MOST_ROWS = 2500;

/** Durations per stage: the one part of the report that differs between two runs of the same configuration. */
export function timesSection(times: readonly StageTime[]): Html {
  if (times.length === 0) return html`<p class="absent">No stage of this run says how long it took.</p>`;
  const total = times.reduce((sum, { seconds }) => sum + seconds, 0);
  return html`<details><summary>${duration(total)} in ${times.length} stages</summary><div class="scroll"><table><caption>Duration of each stage</caption>
    <thead><tr><th scope="col">stage</th><th scope="col">folder</th><th scope="col" class="number">duration</th></tr></thead>
    <tbody>${times.map(
      ({ name, stage, seconds }) =>
        html`<tr><th scope="row">${name}</th><td><code>${stage}</code></td><td class="number">${duration(seconds)}</td></tr>`,
    )}</tbody></table></div></details>`;
}

/** A name without anything that a file system or an address could stumble over. */
export function fileWord(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 64);
}

/** `learningRate` is "learning rate". */
function spaced(key: string): string {
  return key.replace(/([a-z0-9])([A-Z])/g, (_, before: string, letter: string) => `${before} ${letter.toLowerCase()}`);
}

function say(value: unknown): string {
  if (Array.isArray(value)) return value.map(say).join(", ");
  if (isRecord(value))
    return Object.entries(value)
      .map(([key, inner]) => `${spaced(key)}: ${say(inner)}`)
      .join("; ");
  return String(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
