import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeReport } from "../../src/report/report.js";
import { mechanismRows, sensitivityRows, studyClaims } from "./syntheticMechanisms.js";
import { writeSyntheticRun } from "./syntheticRun.js";
import { studyRows } from "./syntheticStudy.js";

const BROWSER = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);
if (BROWSER === undefined)
  console.warn(
    "Skipped: no Chromium in /usr/bin, so the report was not opened in a browser (Debian: apt-get install chromium).",
  );

/** Waits until an element has this text. Asked from outside: the page's own policy forbids a condition evaluated inside it. */
const comesToSay = (page: Page, selector: string, text: string) =>
  expect.poll(() => page.locator(selector).textContent(), { timeout: 300_000 }).toBe(text);

describe.skipIf(BROWSER === undefined)("the report in a browser", () => {
  let folder: string;
  let address: string;
  let browser: Browser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "nullscope-browser-"));
    await writeSyntheticRun(join(folder, "quick"), {
      rows: [...studyRows(), ...mechanismRows({ seeds: [0] })],
      claims: studyClaims(),
    });
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
  async function open(
    colorScheme: "light" | "dark",
    width = 1100,
    { javaScriptEnabled = true, before = "" } = {},
  ): Promise<{ page: Page; surprises: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme, javaScriptEnabled });
    if (before !== "") await page.addInitScript(before);
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
      expect(await page.locator("figure").count()).toBeGreaterThan(30);
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

  /** The middle of a mark on the screen, after it was scrolled there. */
  async function middleOf(page: Page, mark: string): Promise<{ x: number; y: number }> {
    const found = page.locator(mark).first();
    await found.scrollIntoViewIfNeeded();
    const box = (await found.boundingBox())!;
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  }

  test("pointing at a mark says its planted number, and leaving it says nothing", async () => {
    const { page, surprises } = await open("light");
    const mark = '#figure-sensitivity-change .panel [data-t][data-c="ssft-medium"][data-s="unsafe"]';
    const { x, y } = await middleOf(page, mark);
    await page.mouse.move(x + 3, y + 2);
    await page.waitForSelector("#tip:not([hidden])");
    const planted = sensitivityRows({ seeds: [0] }).find(
      (r) => r.metric === "lipschitz-change" && r.checkpoint === "ssft-medium" && r.set === "unsafe",
    )!;
    const minus = (value: number) => value.toPrecision(3).replace("-", "−");
    expect(await page.locator("#tip").textContent()).toBe(
      `SSFT medium · unsafe: ${minus(planted.value)} [${minus(planted.low!)}, ${minus(planted.high!)}] · n = 500 · chance 0`,
    );
    await page.mouse.move(x, y - 300);
    await page.waitForSelector("#tip", { state: "hidden" });
    expect(surprises).toEqual([]);
    await page.close();
  });

  test("the arrow keys walk over a figure's marks, and Escape is silent again", async () => {
    const { page } = await open("light");
    await page.locator("#figure-probes .drawing").focus();
    const marks = (await page.evaluate(
      `[...document.querySelectorAll("#figure-probes .panel [data-t]")].map((mark) => mark.getAttribute("data-t"))`,
    )) as string[];
    await page.keyboard.press("ArrowRight");
    await page.waitForSelector("#tip:not([hidden])");
    expect(await page.locator("#tip").textContent()).toBe(marks[0]);
    await page.keyboard.press("ArrowRight");
    await comesToSay(page, "#tip", marks[1]!);
    await page.keyboard.press("End");
    await comesToSay(page, "#tip", marks.at(-1)!);
    await page.keyboard.press("Escape");
    expect(await page.locator("#tip").isVisible()).toBe(false);
    await page.close();
  });

  test("what is not chosen leaves figures and tables, until all is shown again", async () => {
    const { page, surprises } = await open("light");
    const shows = (selector: string) => page.locator(selector).first().isVisible();
    await page.locator("#choose > summary").click();
    const ours = '#figure-attacks .panel [data-t][data-c="dpo-small"]';
    const others = '#figure-attacks .panel [data-t][data-c="ssft-small"]';
    const panels = '#figure-column-space-mlp-fc .panel[data-b="1"]';
    expect(await Promise.all([ours, others, panels].map(shows))).toEqual([true, true, true]);
    await page.getByLabel("DPO", { exact: true }).uncheck();
    await page.locator('#choice input[name="b"][value="1"]').uncheck();
    await page.locator('#choice input[name="s"][value="jb-co-task"]').uncheck();
    expect(await Promise.all([ours, others, panels].map(shows))).toEqual([false, true, false]);
    expect(await shows('#figure-column-space-mlp-fc .panel[data-b="2"]')).toBe(true);
    expect(await shows('#table-a1 tr[data-c="dpo-medium"]')).toBe(false);
    expect(await shows('#table-a1 tr[data-c="ssft-medium"]')).toBe(true);
    expect(await shows('#table-a2 td[data-s="jb-co-task"]')).toBe(false);
    expect(await shows('#table-a2 td[data-s="jb-co-text"]')).toBe(true);
    // A mark that is hidden is not pointed at.
    const { x, y } = await middleOf(page, '#figure-sensitivity-change .panel [data-t][data-c="ssft-small"]');
    await page.mouse.move(x, y);
    await page.waitForSelector("#tip:not([hidden])");
    expect(await page.locator("#tip").textContent()).toContain("SSFT small");
    await page.evaluate(`document.querySelector("#choose").open = true`);
    await page.getByRole("button", { name: "show all" }).click();
    await comesToSay(page, "#chosen", "");
    expect(await Promise.all([ours, panels].map(shows))).toEqual([true, true]);
    expect(surprises).toEqual([]);
    await page.close();
  });

  test("a figure of which nothing is left says so", async () => {
    const { page } = await open("light");
    await page.locator("#choose > summary").click();
    for (const box of await page.locator('#choice input[name="b"]').all()) await box.uncheck();
    expect(await page.locator("#figure-column-space-mlp-fc .drawing").getAttribute("data-empty")).toBe("");
    expect(await page.locator("#figure-probes .drawing").getAttribute("data-empty")).toBe(null);
    await page.close();
  });

  test("without scripts everything is there and nothing asks to be chosen", async () => {
    const { page, surprises } = await open("light", 1100, { javaScriptEnabled: false });
    expect(await page.locator("#choose").isVisible()).toBe(false);
    expect(await page.locator("#theme").isVisible()).toBe(false);
    expect(await page.locator("#figure-alpha-paths .panel svg").first().isVisible()).toBe(true);
    await page.locator("#figure-patching .numbers > summary").click();
    expect(await page.locator("#figure-patching .numbers td").first().isVisible()).toBe(true);
    expect(surprises).toEqual([]);
    await page.close();
  });

  test("no mark has a listener of its own, and 100,000 marks in one panel are pointed at all the same", async () => {
    const { page, surprises } = await open("light", 1100, { before: COUNT_LISTENERS });
    await page.evaluate(MANY_MARKS);
    const { x, y } = await middleOf(page, "#planted");
    await page.mouse.move(x, y);
    await comesToSay(page, "#tip", "the planted one");
    const targets = (await page.evaluate("window.listened")) as string[];
    expect(targets.length).toBeGreaterThan(5);
    expect(targets.every((target) => ["document", "window", "form", "button"].includes(target))).toBe(true);
    expect(surprises).toEqual([]);
    await page.close();
  });

  test("hostile texts of claims stay text", async () => {
    const { page, surprises } = await open("light");
    expect(await page.locator("table.claims").textContent()).toContain("<script>alert(1)</script>");
    expect(await page.locator("script").count()).toBe(1);
    expect(await page.locator("main img").count()).toBe(0);
    expect(surprises).toEqual([]);
    await page.close();
  });

  test("print leaves out what can only be clicked, and cuts no panel", async () => {
    const { page } = await open("light", 700);
    await page.emulateMedia({ media: "print" });
    expect(await page.locator(".bar").isVisible()).toBe(false);
    expect(await page.locator("#figure-jailbreaks .panel svg").isVisible()).toBe(true);
    const cut = (await page.evaluate(
      `[...document.querySelectorAll("figure .drawing")].map((one) => one.scrollWidth - one.clientWidth)`,
    )) as number[];
    expect(cut.filter((overflow) => overflow > 1)).toEqual([]);
    await page.close();
  });

  test("a phone has the contents in its bar, and a link to a folded figure opens it", async () => {
    const { page } = await open("light", 390);
    await page.locator(".contents > summary").click();
    await page.getByRole("link", { name: "Interventions" }).click();
    expect(await page.locator(".contents").getAttribute("open")).toBe(null);
    expect(await page.evaluate("location.hash")).toBe("#interventions");
    await page.evaluate("location.hash = '#figure-column-space-mlp-proj'");
    await page.waitForSelector("#figure-column-space-mlp-proj", { state: "visible" });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
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

/** Notes on what every listener is placed. */
const COUNT_LISTENERS = `
  window.listened = [];
  const add = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (...rest) {
    window.listened.push(this === document ? "document" : this === undefined || this === window ? "window" : this.localName || "else");
    return add.apply(this, rest);
  };`;

/** 100,000 marks in the panel of the jailbreaks, one of them, alone in its corner, planted. */
const MANY_MARKS = `(() => {
  const svg = document.querySelector("#figure-jailbreaks .panel svg");
  const mark = (x, y, said) => '<circle r="2" cx="' + x + '" cy="' + y + '" data-c="ssft-medium" data-t="' + said + '"/>';
  const marks = [];
  for (let i = 0; i < 100000; i++) marks.push(mark(200 + (i % 500), 60 + Math.floor(i / 500), "mark " + i));
  const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
  group.innerHTML = marks.join("") + '<circle id="planted" r="2" cx="30" cy="30" data-t="the planted one"/>';
  svg.append(group);
})()`;

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
