import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { escapeHtml } from "./html.js";
import { inLightColours } from "./palette.js";
import { type Tags, tagAttributes, tagsToAttributes, withoutTags } from "./tags.js";

/** One plot of a figure, with the title that stands above it. Height in px; all panels of a figure are equally wide. */
export interface Panel {
  readonly title: string;
  readonly height: number;
  readonly plot: Plot.PlotOptions;
  /** What all of the panel is about, where that is one checkpoint, set or block. */
  readonly tags?: Tags;
}

/** A figure drawn twice from the same panels. */
export interface Drawing {
  /** One SVG with the legend on top, for a file. */
  readonly svg: string;
  /** The same as panels that flow into the page's width, with tags on panels and marks for the page's script. */
  readonly page: string;
}

/** One entry of a figure's legend. `symbol` is a Plot symbol, drawn on the line; without one the key is the line alone. */
export interface LegendEntry {
  readonly label: string;
  readonly colour: string;
  readonly symbol?: Plot.SymbolType;
  /** Whether the symbol is drawn as an outline. */
  readonly hollow?: boolean;
  /** Lengths of strokes and gaps, as in `stroke-dasharray`; absent: unbroken. */
  readonly dash?: string;
  /** Whether the key is a filled band instead of a line. */
  readonly band?: boolean;
  /** The checkpoint or set that the entry stands for, where it is one that the page's filters know. */
  readonly checkpoint?: string;
  readonly set?: string;
}

export interface PanelGrid {
  /** Unique in the page; becomes the prefix of every id inside. */
  readonly id: string;
  readonly title: string;
  /** The figure in a sentence, for those who cannot see it. */
  readonly description: string;
  readonly columns: number;
  readonly legend: readonly LegendEntry[];
  /** Row by row; `null` leaves its place empty. */
  readonly panels: readonly (Panel | null)[];
  /** In px; 860 unless given, the width of the page's column. */
  readonly width?: number;
}

const FONT = "'IBM Plex Sans', Inter, system-ui, sans-serif";
const GAP = 22;
const TITLE_HEIGHT = 24;
const LEGEND_HEIGHT = 30;
const LEGEND_LINE = 20;

/** How dense the band of a null is painted. */
export const BAND_OPACITY = 0.22;

/** White around a figure that stands alone, in px. */
const FRAME = 20;

/**
 * Panels in rows of `columns`, with a legend on top, as one SVG and as parts of the page. Colours are CSS variables, so that the page's theme reaches into it; the
 * same input gives the same bytes. Built by Observable Plot on linkedom's document, no browser.
 */
export function renderGrid({ id, title, description, columns, legend, panels, width = 860 }: PanelGrid): Drawing {
  const panelWidth = Math.floor((width - GAP * (columns - 1)) / columns);
  const keys = legendMarkup(legend, width);
  let y = keys.height;
  const parts = [keys.markup];
  const flowing: string[] = [];
  for (let start = 0; start < panels.length; start += columns) {
    const row = panels.slice(start, start + columns);
    const titleHeight = row.some((panel) => panel && panel.title !== "") ? TITLE_HEIGHT : 0;
    row.forEach((panel, column) => {
      if (!panel) {
        flowing.push('<span class="gap"></span>');
        return;
      }
      const x = column * (panelWidth + GAP);
      const plot = plotMarkup(panel, panelWidth);
      parts.push(
        `<text x="${x}" y="${y + 14}" font-weight="600" font-size="12.5">${escapeHtml(panel.title)}</text>`,
        `<svg x="${x}" y="${y + titleHeight}"${withoutTags(plot)}`,
      );
      const name = escapeHtml(panel.title === "" ? title : panel.title);
      flowing.push(
        `<div class="panel"${tagAttributes(panel.tags ?? {})}>${panel.title === "" ? "" : `<h4>${name}</h4>`}` +
          `<svg role="img" aria-label="${name}" font-size="11.5" fill="currentColor"${plot}</div>`,
      );
    });
    y += titleHeight + Math.max(...row.map((panel) => panel?.height ?? 0)) + GAP / 2;
  }
  const height = y - GAP / 2;
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" ` +
    `aria-labelledby="${id}-title ${id}-description" font-family="${FONT}" font-size="11.5" fill="currentColor">` +
    `<title id="${id}-title">${escapeHtml(title)}</title><desc id="${id}-description">${escapeHtml(description)}</desc>` +
    `${parts.join("")}</svg>`;
  const page =
    `<p class="unseen" id="${id}-drawn">${escapeHtml(description)}</p>${legendList(legend)}` +
    `<div class="panels" data-columns="${columns}">${flowing.join("")}</div>`;
  return { svg, page };
}

/** The figure as a file of its own: explicit colours of the light theme, on white, with a frame of white around. */
export function standaloneSvg(svg: string): string {
  const framed = svg.replace(/width="(\d+)" height="(\d+)" viewBox="[^"]*"/, (_, width: string, height: string) => {
    const [w, h] = [Number(width) + 2 * FRAME, Number(height) + 2 * FRAME];
    return `width="${w}" height="${h}" viewBox="${-FRAME} ${-FRAME} ${w} ${h}"`;
  });
  const background = framed.indexOf("</desc>") + "</desc>".length;
  const white = `<rect x="${-FRAME}" y="${-FRAME}" width="100%" height="100%" fill="#ffffff"/>`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${inLightColours(framed.slice(0, background) + white + framed.slice(background))}\n`;
}

/**
 * Plot's SVG after its `<svg`, so that the caller may place it: without its style sheet (the page's policy admits none), coordinates to two
 * decimals, titles of marks as attributes.
 */
function plotMarkup(panel: Panel, width: number): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const element = Plot.plot({
    ...panel.plot,
    document: document as unknown as NonNullable<Plot.PlotOptions["document"]>,
    width,
    height: panel.height,
    figure: false,
    style: { fontSize: "11px" },
  });
  element.querySelector("style")?.remove();
  for (const attribute of ["class", "style", "font-family", "font-size", "fill"]) element.removeAttribute(attribute);
  element.setAttribute("overflow", "visible");
  // In attributes alone: tick labels are numbers that must stay as they are.
  const markup = String(element.outerHTML).replace(/="[^"]*"/g, roundCoordinates);
  return tagsToAttributes(markup).slice("<svg".length);
}

/** The legend as a list that wraps where the page is narrow. */
function legendList(entries: readonly LegendEntry[]): string {
  if (entries.length === 0) return "";
  const items = entries.map((entry) => {
    const key = `<svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">${keyMarkup(entry)}</svg>`;
    return `<li${tagAttributes({ checkpoint: entry.checkpoint, set: entry.set })}>${key}${escapeHtml(entry.label)}</li>`;
  });
  return `<ul class="legend">${items.join("")}</ul>`;
}

/** Keys in as many lines as they need: a symbol or a line in its colour, then its label. Text widths are estimated: there is no browser to ask. */
function legendMarkup(
  entries: readonly LegendEntry[],
  width: number,
): { readonly markup: string; readonly height: number } {
  let x = 0;
  let y = 0;
  const markup = entries.map((legendEntry) => {
    const { label } = legendEntry;
    const length = 24 + label.length * 6 + 22;
    if (x > 0 && x + length - 22 > width) [x, y] = [0, y + LEGEND_LINE];
    const entry = `<g transform="translate(${x},${y})">${keyMarkup(legendEntry)}<text x="24" y="13">${escapeHtml(label)}</text></g>`;
    x += length;
    return entry;
  });
  return { markup: markup.join(""), height: entries.length > 0 ? y + LEGEND_HEIGHT : 0 };
}

function keyMarkup({ colour, symbol, hollow, dash, band }: LegendEntry): string {
  const broken = dash ? ` stroke-dasharray="${dash}"` : "";
  const line = band
    ? `<rect x="0" y="3" width="17" height="12" fill="${colour}" fill-opacity="${BAND_OPACITY}"/>`
    : `<line x2="17" y1="9" y2="9" stroke="${colour}" stroke-width="1.8"${broken}/>`;
  return line + (symbol ? symbolMarkup(symbol, colour, hollow ?? false) : "");
}

function symbolMarkup(symbol: Plot.SymbolType, colour: string, hollow: boolean): string {
  const path = symbolPath(symbol);
  const paint = hollow ? `fill="var(--page)" stroke="${colour}" stroke-width="1.5"` : `fill="${colour}"`;
  return path
    ? `<path d="${roundCoordinates(path)}" transform="translate(8.5,9)" ${paint}/>`
    : `<circle cx="8.5" cy="9" r="4" ${paint}/>`;
}

const paths = new Map<Plot.SymbolType, string | null>();

/** The path around the origin that Plot draws for a symbol; null for a circle, which it draws as an element of its own. Asked once per symbol. */
function symbolPath(symbol: Plot.SymbolType): string | null {
  const known = paths.get(symbol);
  if (known !== undefined) return known;
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const plot = Plot.plot({
    document: document as unknown as NonNullable<Plot.PlotOptions["document"]>,
    axis: null,
    marks: [Plot.dot([0], { x: 0, y: 0, symbol, r: 4, fill: "currentColor" })],
  });
  const path = plot.querySelector("path")?.getAttribute("d") ?? null;
  paths.set(symbol, path);
  return path;
}

/** Two decimals are a hundredth of a pixel; the rest would only make the file larger. */
function roundCoordinates(text: string): string {
  return text.replace(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (number) => String(Math.round(Number(number) * 100) / 100));
}

/** Axis settings that all panels share: light grid, small ticks, no arrows. */
export const AXIS = { tickSize: 3, labelArrow: "none", labelAnchor: "center" } as const;

/** Ticks of a logarithmic axis: powers of ten, and 2 and 5 between them where the values span less than two decades. */
export function logTicks(values: readonly number[]): number[] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const digits = Math.log10(high / low) < 2 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const digit of digits) ticks.push(Number(`${digit}e${power}`));
  return ticks.filter((tick) => tick >= low && tick <= high);
}

/** The axis that holds these values and 0, with a little air at the ends that are not 0. */
export function airyDomain(values: readonly number[]): [number, number] {
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  if (low === high) return [0, 1];
  const air = 0.06 * (high - low);
  return [low < 0 ? low - air : 0, high > 0 ? high + air : 0];
}
