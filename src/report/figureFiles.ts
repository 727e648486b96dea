import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Resvg } from "@resvg/resvg-js";
import type { Figure } from "./figure.js";
import { standaloneSvg } from "./svg.js";

const require = createRequire(import.meta.url);
const FONTS = ["400Regular/IBMPlexSans_400Regular.ttf", "600SemiBold/IBMPlexSans_600SemiBold.ttf"];

/** Twice the SVG's size, so that a PNG is sharp in print and on dense screens. */
const ZOOM = 2;

/** Writes each figure as `ID.svg` and `ID.png` into `folder`, and removes figures of an older report. Returns the paths, sorted. */
export async function writeFigures(folder: string, figures: readonly Figure[]): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const written = new Map<string, string | Uint8Array>();
  for (const { id, svg } of figures) {
    const standalone = standaloneSvg(svg);
    written.set(`${id}.svg`, standalone);
    written.set(`${id}.png`, toPng(standalone));
  }
  for (const [name, content] of written) await writeFile(join(folder, name), content);
  for (const name of await readdir(folder))
    if (/\.(svg|png)$/.test(name) && !written.has(name)) await rm(join(folder, name));
  return [...written.keys()].sort().map((name) => join(folder, name));
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
