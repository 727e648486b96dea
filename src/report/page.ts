import { createHash } from "node:crypto";
import { csvLink } from "./csv.js";
import type { Figure } from "./figure.js";
import { type Html, html, trusted } from "./html.js";
import { fileWord } from "./sections/provenance.js";
import { SCRIPT, STYLE } from "./style.js";
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
  readonly sections: readonly Section[];
}

/**
 * The whole report as one file that needs nothing else. Its policy forbids every request, and every style and script but the two in it,
 * which are named by their hash.
 */
export function renderPage({ run, lede, headline, sections }: Page): string {
  const policy = [
    "default-src 'none'",
    `style-src '${hashOf(STYLE)}'`,
    `script-src '${hashOf(SCRIPT)}'`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const body = html`<div class="page">
<header>
<button id="theme" type="button" hidden>dark</button>
<p class="eyebrow">Nullscope report</p>
<h1>${run}</h1>
<p class="lede">${lede}</p>
<nav aria-label="Sections"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
</header>
<main>
${headline}
${sections.map(({ id, title, content }) => html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>\n${content}</section>\n`)}
</main>
<footer>Made from the run’s result files alone by <code>${commandOf(run)}</code>. Intervals are 95% and say what another draw of samples (or of
seeds, where there are several) might give.</footer>
</div>`;
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

/** A figure with its reading, its formula, its n, its data and the command that makes it again. */
export function figureMarkup(figure: Figure, run: string): Html {
  const { id, title, svg, reading, formula, n, rows } = figure;
  return html`<figure id="figure-${id}"><h3>${title}</h3>
<div class="scroll" role="region" aria-label="${title}" tabindex="0">${trusted(svg)}</div>
<figcaption><p>${reading}</p>
<details open><summary>What is drawn</summary>${formula}</details>
<p class="data">${n}. <a download="${`${fileWord(id)}.csv`}" href="${csvLink(rows)}">Data (CSV, ${count(rows.length)} rows)</a> ·
files <code>figures/${id}.svg</code>, <code>.png</code> · made again by <code>${commandOf(run)}</code></p>
</figcaption></figure>
`;
}

function commandOf(run: string): string {
  return /^[A-Za-z0-9._-]+$/.test(run)
    ? `nullscope report runs/${run}`
    : `nullscope report 'runs/${run.replaceAll("'", "'\\''")}'`;
}

/** A source of the Content-Security-Policy that admits exactly this text. */
function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
