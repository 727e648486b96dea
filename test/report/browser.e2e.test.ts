import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeReport } from "../../src/report/report.js";
import { writeSyntheticRun } from "./syntheticRun.js";
import { studyRows } from "./syntheticStudy.js";

const BROWSER = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);
if (BROWSER === undefined)
  console.warn(
    "Skipped: no Chromium in /usr/bin, so the report was not opened in a browser (Debian: apt-get install chromium).",
  );

describe.skipIf(BROWSER === undefined)("the report in a browser", () => {
  let folder: string;
  let address: string;
  let browser: Browser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "nullscope-browser-"));
    await writeSyntheticRun(join(folder, "quick"), { rows: studyRows() });
    address = pathToFileURL((await writeReport(join(folder, "quick"))).html).href;
    browser = await chromium.launch({
      executablePath: BROWSER!,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
      ],
    });
  });

  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens the page and notes every request but its own, every console message and every dialog. */
  async function open(colorScheme: "light" | "dark", width = 1100): Promise<{ page: Page; surprises: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    const surprises: string[] = [];
    page.on("request", (request) => {
      if (request.url() !== address && !request.url().startsWith("data:")) surprises.push(request.url());
    });
    page.on("console", (message) => surprises.push(message.text()));
    page.on("pageerror", (error) => surprises.push(String(error)));
    page.on("dialog", (dialog) => {
      surprises.push(dialog.message());
      void dialog.dismiss();
    });
    await page.goto(address);
    return { page, surprises };
  }

  test.each(["light", "dark"] as const)(
    "opens from disk in %s colours without a request, a message or a dialog",
    async (scheme) => {
      const { page, surprises } = await open(scheme);
      expect(await page.title()).toBe("quick · Nullscope report");
      expect(await page.locator("figure").count()).toBe(9);
      expect(surprises).toEqual([]);
      await page.close();
    },
  );

  test.each(["light", "dark"] as const)(
    "text stands out by at least 4.5 to 1 and figure lines by 3 to 1 in %s colours",
    async (scheme) => {
      const { page } = await open(scheme);
      const ratios = await page.evaluate(CONTRASTS);
      expect(ratios.text.length).toBeGreaterThan(200);
      expect(Math.min(...ratios.text)).toBeGreaterThanOrEqual(4.5);
      expect(ratios.lines.length).toBeGreaterThan(50);
      expect(Math.min(...ratios.lines)).toBeGreaterThanOrEqual(3);
      await page.close();
    },
  );

  test("the button turns light to dark", async () => {
    const { page, surprises } = await open("light");
    const background = () => page.evaluate("getComputedStyle(document.querySelector('.page')).backgroundColor");
    const light = await background();
    await page.getByRole("button", { name: /colours/ }).click();
    expect(await background()).not.toBe(light);
    expect(surprises).toEqual([]);
    await page.close();
  });

  test("a phone scrolls down only; table A.1 fits it, and A.2 keeps its first column in view", async () => {
    const { page } = await open("light", 390);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
    const overflow = (table: string) =>
      page.evaluate(
        `(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector("${table}").parentElement)`,
      );
    expect(await overflow("#table-a1")).toBe(0);
    expect(await overflow("#table-a2")).toBeGreaterThan(0);
    await page.evaluate("document.querySelector('#table-a2').parentElement.scrollLeft = 200");
    const left = "document.querySelector('#table-a2 tbody th').getBoundingClientRect().left";
    expect(await page.evaluate(left)).toBeGreaterThanOrEqual(0);
    await page.close();
  });

  test("tables A.1 and A.2 fit a desk and a printed page without scrolling", async () => {
    for (const [width, media] of [
      [1100, "screen"],
      [680, "print"],
    ] as const) {
      const { page } = await open("light", width);
      await page.emulateMedia({ media });
      for (const table of ["#table-a1", "#table-a2"])
        expect(
          await page.evaluate(
            `(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector("${table}").parentElement)`,
          ),
        ).toBe(0);
      await page.close();
    }
  });
});

// Runs in the page, as text, for it speaks of a document that the tests' types do not know. Colours are mixed with the page's own.
const CONTRASTS = `(() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = colour.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const backdrop = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const text = [];
  for (const element of document.querySelectorAll("h1,h2,h3,p,td,th,a,dt,dd,summary,li,caption,.token,.interval"))
    if (element.textContent.trim() && element.checkVisibility())
      text.push(ratio(parse(getComputedStyle(element).color).slice(0, 3), backdrop(element)));
  for (const element of document.querySelectorAll("figure svg text"))
    text.push(ratio(parse(getComputedStyle(element).fill).slice(0, 3), backdrop(element.closest("div"))));
  const lines = [];
  for (const element of document.querySelectorAll("figure svg [aria-label=line] path, figure svg [aria-label=dot] *")) {
    const style = getComputedStyle(element);
    const colour = style.stroke === "none" ? style.fill : style.stroke;
    if (colour !== "none") lines.push(ratio(parse(colour).slice(0, 3), backdrop(element.closest("div"))));
  }
  return { text, lines };
})()` as unknown as () => { text: number[]; lines: number[] };
