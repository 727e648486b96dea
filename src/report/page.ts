import { createHash } from "node:crypto";
import type { ResultRow } from "../study/results.js";
import { csvLink } from "./csv.js";
import type { Figure } from "./figure.js";
import { type Html, html, trusted } from "./html.js";
import { SCRIPT } from "./script.js";
import { numbersTable } from "./sections/numbers.js";
import { fileWord } from "./sections/provenance.js";
import { STYLE } from "./style.js";
import { count } from "./words.js";

/** A part of the report: a heading and what stands under it. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly content: Html;
}

export interface Page {
  /** The run's name; foreign text. */
  readonly run: string;
  readonly lede: Html;
  readonly headline: Html;
  /** What the reader may choose; absent where there is nothing to choose. */
  readonly filters: Html | undefined;
  readonly sections: readonly Section[];
}

/**
 * The whole report as one file that needs nothing else. Its policy forbids every request, and every style and script but the two in it,
 * which are named by their hash.
 */
export function renderPage({ run, lede, headline, filters, sections }: Page): string {
  const policy = [
    "default-src 'none'",
    `style-src '${hashOf(STYLE)}'`,
    `script-src '${hashOf(SCRIPT)}'`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const links = html`<ul><li><a href="#top">Summary</a></li>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul>`;
  // The contents stand twice: beside the page where there is room, folded above it where there is none.
  const body = html`<a class="skip" href="#top">To the report</a>
<aside class="bar" aria-label="Contents and choice">
<button id="theme" type="button" hidden>dark</button>
<details class="contents"><summary>Contents</summary><nav aria-label="Contents">${links}</nav></details>
<nav class="side" aria-label="Sections">${links}</nav>
${filters}
</aside>
<div class="page" id="top">
<header>
<p class="eyebrow">Nullscope report</p>
<h1>${run}</h1>
<p class="lede">${lede}</p>
</header>
<main>
${headline}
${sections.map(({ id, title, content }) => html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>\n${content}</section>\n`)}
</main>
<footer>Made from the run’s result files alone by <code>${commandOf(run)}</code>. Intervals are 95% and say what another draw of samples (or of
seeds, where there are several) might give.</footer>
</div>
<div id="ring" hidden></div>
<div id="tip" role="status" hidden></div>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
${html`<title>${run} · Nullscope report</title>`.markup}
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
${body.markup}
<script>${SCRIPT}</script>
</body>
</html>
`;
}

/** A figure with its reading, its formula, its n, its data and the commands that make it again. */
export function figureMarkup(figure: Figure, run: string): Html {
  const { id, title, page, reading, formula, n, rows, command } = figure;
  return html`<figure id="figure-${id}"><h3>${title}</h3>
<div class="drawing" role="group" aria-label="${title}. Arrow keys walk over its marks." aria-describedby="${id}-drawn" tabindex="0">${trusted(page)}</div>
<figcaption><p>${reading}</p>
<details open><summary>What is drawn</summary>${formula}</details>
${numbersTable(rows)}<p class="data">${n}. ${csvDownload(id, rows)} · files <code>figures/${id}.svg</code>, <code>.png</code> · made again by <code>${commandOf(run)}</code>${
    command !== undefined && html` · one point by <code>nullscope ${command.replaceAll("RUN", runPath(run))}</code>`
  }</p>
</figcaption></figure>
`;
}

/** More rows than this would make the page heavy; the file beside the figure holds all of them. */
const MOST_ROWS = 600;

function csvDownload(id: string, rows: readonly ResultRow[]): Html {
  const file = `${fileWord(id)}.csv`;
  const size = `${count(rows.length)} rows`;
  if (rows.length > MOST_ROWS)
    return html`<a download="${file}" href="figures/${file}">Data (CSV, ${size}, beside this page)</a>`;
  return html`<a download="${file}" href="${csvLink(rows)}">Data (CSV, ${size})</a>`;
}

/** The folder of a run as a shell reads it. */
function runPath(run: string): string {
  return /^[A-Za-z0-9._-]+$/.test(run) ? `runs/${run}` : `'runs/${run.replaceAll("'", "'\\''")}'`;
}

function commandOf(run: string): string {
  return `nullscope report ${runPath(run)}`;
}

/** A source of the Content-Security-Policy that admits exactly this text. */
function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
