import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Resvg } from "@resvg/resvg-js";
import { toCsv } from "./csv.js";
import type { Figure } from "./figure.js";
import { standaloneSvg } from "./svg.js";

const require = createRequire(import.meta.url);
const FONTS = ["400Regular/IBMPlexSans_400Regular.ttf", "600SemiBold/IBMPlexSans_600SemiBold.ttf"];

/** Twice the SVG's size, so that a PNG is sharp in print and on dense screens. */
const ZOOM = 2;

/**
 * Writes each figure as `ID.svg`, `ID.png` and `ID.csv` into `folder`, and removes figures of an older report. A figure whose SVG is there already keeps its
 * PNG: a study writes its report after every stage, and pixels cost more than all the rest. Returns the paths, sorted.
 */
export async function writeFigures(folder: string, figures: readonly Figure[]): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const present = new Set(await readdir(folder));
  const names = new Set<string>();
  for (const { id, svg, rows } of figures) {
    const standalone = standaloneSvg(svg);
    names.add(`${id}.svg`).add(`${id}.png`).add(`${id}.csv`);
    await writeFile(join(folder, `${id}.csv`), toCsv(rows));
    const unchanged =
      present.has(`${id}.png`) &&
      present.has(`${id}.svg`) &&
      (await readFile(join(folder, `${id}.svg`), "utf8")) === standalone;
    if (unchanged) continue;
    // The SVG goes first and comes last: one that is there vouches for the PNG beside it, whenever the process was killed.
    await rm(join(folder, `${id}.svg`), { force: true });
    await writeFile(join(folder, `${id}.png`), toPng(standalone));
    await writeFile(join(folder, `${id}.svg`), standalone);
  }
  for (const name of present) if (/\.(svg|png|csv)$/.test(name) && !names.has(name)) await rm(join(folder, name));
  return [...names].sort().map((name) => join(folder, name));
}

/** The figure as pixels, on white, in the package's own font: the fonts of the machine have no say. */
export function toPng(svg: string): Uint8Array {
  const image = new Resvg(svg, {
    background: "#ffffff",
    fitTo: { mode: "zoom", value: ZOOM },
    font: {
      loadSystemFonts: false,
      fontFiles: FONTS.map((file) => require.resolve(`@expo-google-fonts/ibm-plex-sans/${file}`)),
      defaultFontFamily: "IBM Plex Sans",
      sansSerifFamily: "IBM Plex Sans",
    },
  });
  return image.render().asPng();
}
