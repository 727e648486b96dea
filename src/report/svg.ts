import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { escapeHtml } from "./html.js";
import { inLightColours } from "./palette.js";

/** One plot of a figure, with the title that stands above it. Height in px; all panels of a figure are equally wide. */
export interface Panel {
  readonly title: string;
  readonly height: number;
  readonly plot: Plot.PlotOptions;
}

/** One entry of a figure's legend. `symbol` is a Plot symbol; without one the key is a line, dashed when asked. */
export interface LegendEntry {
  readonly label: string;
  readonly colour: string;
  readonly symbol?: Plot.SymbolType;
  readonly dashed?: boolean;
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

/**
 * One SVG of panels in rows of `columns`, with a legend on top. Colours are CSS variables, so that the page's theme reaches into it; the
 * same input gives the same bytes. Built by Observable Plot on linkedom's document, no browser.
 */
export function renderGrid({ id, title, description, columns, legend, panels, width = 860 }: PanelGrid): string {
  const panelWidth = Math.floor((width - GAP * (columns - 1)) / columns);
  let y = legend.length > 0 ? LEGEND_HEIGHT : 0;
  const parts = [legendMarkup(legend)];
  for (let start = 0; start < panels.length; start += columns) {
    const row = panels.slice(start, start + columns);
    row.forEach((panel, column) => {
      if (!panel) return;
      const x = column * (panelWidth + GAP);
      parts.push(
        `<text x="${x}" y="${y + 14}" font-weight="600" font-size="12.5">${escapeHtml(panel.title)}</text>`,
        plotMarkup(panel, panelWidth, x, y + TITLE_HEIGHT),
      );
    });
    y += TITLE_HEIGHT + Math.max(...row.map((panel) => panel?.height ?? 0)) + GAP / 2;
  }
  const height = y - GAP / 2;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" ` +
    `aria-labelledby="${id}-title ${id}-description" font-family="${FONT}" font-size="11.5" fill="currentColor">` +
    `<title id="${id}-title">${escapeHtml(title)}</title><desc id="${id}-description">${escapeHtml(description)}</desc>` +
    `${parts.join("")}</svg>`
  );
}

/** The figure as a file of its own: explicit colours of the light theme on white. */
export function standaloneSvg(svg: string): string {
  const background = svg.indexOf("</desc>") + "</desc>".length;
  const onWhite = `${svg.slice(0, background)}<rect width="100%" height="100%" fill="#ffffff"/>${svg.slice(background)}`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${inLightColours(onWhite)}\n`;
}

/** Plot's SVG as a nested, placed SVG without its style sheet (the page's policy admits none), coordinates to two decimals. */
function plotMarkup(panel: Panel, width: number, x: number, y: number): string {
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
  element.setAttribute("x", String(x));
  element.setAttribute("y", String(y));
  element.setAttribute("overflow", "visible");
  return String(element.outerHTML).replace(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (number) =>
    String(Math.round(Number(number) * 100) / 100),
  );
}

/** Keys in one line: a symbol or a line in its colour, then its label. Text widths are estimated, for there is no browser to ask. */
function legendMarkup(entries: readonly LegendEntry[]): string {
  let x = 0;
  return entries
    .map(({ label, colour, symbol, dashed }) => {
      const key = symbol
        ? symbolPath(symbol, colour, x + 8)
        : `<line x1="${x}" x2="${x + 17}" y1="9" y2="9" stroke="${colour}" stroke-width="1.8"${dashed ? ' stroke-dasharray="4 3"' : ""}/>`;
      const markup = `${key}<text x="${x + 23}" y="13">${escapeHtml(label)}</text>`;
      x += 23 + label.length * 6.4 + 20;
      return markup;
    })
    .join("");
}

function symbolPath(symbol: Plot.SymbolType, colour: string, x: number): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const plot = Plot.plot({
    document: document as unknown as NonNullable<Plot.PlotOptions["document"]>,
    axis: null,
    marks: [Plot.dot([0], { x: 0, y: 0, symbol, r: 4, fill: "currentColor" })],
  });
  const path = plot.querySelector("path")?.getAttribute("d");
  const line = `<line x1="${x - 8}" x2="${x + 9}" y1="9" y2="9" stroke="${colour}" stroke-width="1.8"/>`;
  const mark = path
    ? `<path d="${path}" transform="translate(${x + 0.5},9)" fill="${colour}"/>`
    : `<circle cx="${x + 0.5}" cy="9" r="4" fill="${colour}"/>`;
  return line + mark;
}

/** Axis settings that all panels share: light grid, small ticks, no arrows. */
export const AXIS = { tickSize: 3, labelArrow: "none", labelAnchor: "center" } as const;
