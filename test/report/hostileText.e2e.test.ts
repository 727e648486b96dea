import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { writeReport } from "../../src/report/report.js";
import type { ResultRow } from "../../src/study/results.js";
import { mechanismRows, studyClaims } from "./syntheticMechanisms.js";
import { writeSyntheticRun } from "./syntheticRun.js";
import { studyRows } from "./syntheticStudy.js";

const BROWSER = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);
if (BROWSER === undefined)
  console.warn("Skipped: no Chromium in /usr/bin, so hostile names were not shown in a browser.");

let server: Server;
let requests: string[];
let address: string;

/** Markup, controls and marks of direction, of every kind that breaks out of somewhere. `AT` is where a request would be seen. */
const ATTACKS = [
  "<script>document.title='ran'</script>",
  "<img src=AT/img onerror=document.title='ran'>",
  '"><svg onload=document.title="ran"><a href="AT/a">',
  "' onmouseover='document.title=1' x='",
  "</style><style>@import 'AT/css';*{display:none!important}</style>",
  "</script><script src=AT/js></script>",
  "<iframe srcdoc='<script>parent.document.title=1</script>'></iframe>",
  "<meta http-equiv=refresh content='0;url=AT/refresh'>",
  "<base href=AT/base><link rel=stylesheet href=AT/link>",
  "]]><script>document.title='ran'</script><!--",
  "&lt;script&gt; &#x3c;b&#62; &amp;amp;",
  "javascript:document.title='ran'",
  "$\u007bdocument.title='ran'} {{constructor.constructor('document.title=1')()}}",
  "\u202etxet\u202c \u2066isolated\u2069 \u200f\u061c",
  "\u001b]0;title\u0007\u001b[2J\u009b31m\r\b\u0000",
  "a\ud800b \ufeff \u2028 \u200b",
];
const attack = (i: number) => ATTACKS[i % ATTACKS.length]!.replaceAll("AT", address);

describe.skipIf(BROWSER === undefined)("names, prompts and outputs full of markup, in a browser", () => {
  let folder: string;
  let browser: Browser;
  let page: Page;
  const surprises: string[] = [];

  beforeAll(async () => {
    requests = [];
    server = createServer((request, response) => {
      requests.push(request.url ?? "");
      response.end();
    });
    await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    folder = await mkdtemp(join(tmpdir(), "nullscope-hostile-"));
    const run = join(folder, "<img src=x onerror=document.title=1>\u202e&'\"");
    await writeSyntheticRun(run, {
      rows: hostileRows(),
      examples: ATTACKS.map((_, i) => ({
        checkpoint: attack(i),
        set: attack(i + 1),
        seed: 0,
        branch: attack(i + 2),
        label: attack(i + 3),
        operators: [attack(i + 4), attack(i + 5)],
        text: ATTACKS.map((_, j) => attack(j)),
        truth: [attack(i)],
        output: [attack(i + 6)],
        outcome: "other",
      })),
      claims: studyClaims().map((claim, i) => ({
        ...claim,
        statement: attack(i),
        rule: attack(i + 1),
        reason: attack(i + 2),
      })),
      config: stringify({
        name: attack(0),
        world: attack(1),
        [attack(2)]: { [attack(3)]: ATTACKS.map((_, i) => attack(i)) },
      }),
      stages: Object.fromEntries(
        ATTACKS.map((_, i) => [
          `measure-${String(i).padStart(12, "0")}`,
          { name: attack(i), outcome: i % 2 ? "done" : "diverged" },
        ]),
      ),
    });
    const { html } = await writeReport(run);
    browser = await chromium.launch({ executablePath: BROWSER!, args: ["--no-sandbox", "--disable-gpu"] });
    page = await browser.newPage();
    const own = pathToFileURL(html).href;
    page.on("request", (request) => {
      if (request.url() !== own && !request.url().startsWith("data:")) surprises.push(request.url());
    });
    page.on("console", (message) => surprises.push(message.text()));
    page.on("pageerror", (error) => surprises.push(String(error)));
    page.on("dialog", (dialog) => {
      surprises.push(dialog.message());
      void dialog.dismiss();
    });
    await page.goto(own);
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Every kind of row, each foreign field of it hostile; and plain ones, so that the figures are drawn. */
  function hostileRows(): ResultRow[] {
    const plain = [...studyRows(), ...mechanismRows({ seeds: [0] })];
    const hostile = plain.slice(0, 4_000).filter((_, i) => i % 9 === 0);
    return [
      ...plain,
      ...hostile.map((row, i) => ({ ...row, checkpoint: attack(i) })),
      ...hostile.map((row, i) => ({ ...row, ...(row.set !== undefined && { set: attack(i + 1) }) })),
      ...hostile.map((row, i) => ({
        ...row,
        branch: attack(i + 2),
        ...(row.matrix !== undefined && { matrix: attack(i + 3) }),
      })),
      ...hostile.slice(0, 40).map((row, i) => ({ ...row, measure: attack(i), metric: attack(i + 1) })),
    ];
  }

  test("no script of theirs runs, no request is made, nothing is said to the console", async () => {
    // Everything is opened, pointed at and chosen, for scripts read names too.
    await page.evaluate(`document.querySelectorAll("details").forEach((one) => { one.open = true; })`);
    for (const box of (await page.locator("#choice input").all()).slice(0, 12)) await box.click();
    const marks = page.locator("[data-t]");
    for (let i = 0; i < Math.min(8, await marks.count()); i++)
      await marks
        .nth(i)
        .hover({ force: true, timeout: 2_000 })
        .catch(() => {});
    expect(await page.title()).toContain("Nullscope report");
    expect(await page.locator("script").count()).toBe(1);
    expect(
      await page
        .locator("iframe, object, embed, base, link[rel=stylesheet], img, [onerror], [onload], [onmouseover], [srcdoc]")
        .count(),
    ).toBe(0);
    expect(await page.locator("meta[http-equiv=refresh]").count()).toBe(0);
    expect(await page.locator("style").count()).toBe(1);
    const links = (await page
      .locator("a[href]")
      .evaluateAll((all) =>
        all.map((one) => (one as unknown as { getAttribute(name: string): string }).getAttribute("href")),
      )) as string[];
    for (const link of links) expect(link).toMatch(/^(#|figures\/|data:text\/csv)/);
    expect(surprises).toEqual([]);
    expect(requests).toEqual([]);
  });

  test("what they wrote is there to be read, as text", async () => {
    const text = (await page.locator("body").innerText()).replace(/\s+/g, " ");
    for (let i = 0; i < 13; i++) expect(text, ATTACKS[i]!).toContain(attack(i).replace(/\s+/g, " "));
    expect(text).toContain("\\u{202e}txet\\u{202c}");
    expect(text).toContain("\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{9b}31m");
    expect(text).toContain("a\\u{d800}b");
    expect((await page.content()).replace(/[\n\t]/g, " ")).not.toMatch(
      /[\p{Cc}\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/u,
    );
    expect(await page.locator("h1").innerText()).toBe("<img src=x onerror=document.title=1>\\u{202e}&'\"");
  });

  test("the page's policy stops what a hole would let in: scripts, handlers, evaluation, styles, images, requests, frames, forms, a base", async () => {
    const policy = await page.locator("meta[http-equiv=Content-Security-Policy]").getAttribute("content");
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; img-src data:; base-uri 'none'; form-action 'none'$/,
    );
    surprises.length = 0;
    const ran = (await page.evaluate(`(async () => {
      const at = ${JSON.stringify(address)};
      const blocked = [];
      document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
      const add = (name, fields, inner = "") => {
        const element = document.createElement(name);
        Object.assign(element, fields);
        if (inner) element.textContent = inner;
        document.body.append(element);
        return element;
      };
      add("script", {}, "window.ran = 'inline'");
      add("script", { src: at + "/script.js" });
      add("img", { src: at + "/img" });
      add("iframe", { src: at + "/frame" });
      add("link", { rel: "stylesheet", href: at + "/css" });
      add("style", {}, "body { display: none }");
      add("object", { data: at + "/object" });
      const holder = add("div", {});
      holder.innerHTML = '<img src=x onerror="window.ran = 1"><b onclick="window.ran = 2">x</b>';
      holder.querySelector("b").click();
      try { new Worker(URL.createObjectURL(new Blob(["postMessage(1)"]))); } catch {}
      try { new WebSocket(at.replace("http", "ws")); } catch {}
      await fetch(at + "/fetch").catch(() => {});
      try { navigator.sendBeacon(at + "/beacon", "x"); } catch {}
      const form = add("form", { action: at + "/form", method: "post", target: "_blank" });
      form.submit();
      await new Promise((done) => setTimeout(done, 500));
      // Only here: what a debugger evaluates may evaluate itself until it first waits.
      try { new Function("window.ran = 'function'")(); } catch {}
      try { setTimeout("window.ran = 'timeout'", 0); } catch {}
      await new Promise((done) => setTimeout(done, 50));
      return { ran: window.ran, blocked: [...new Set(blocked)].sort(), shown: getComputedStyle(document.body).display };
    })()`)) as { ran: unknown; blocked: string[]; shown: string };
    expect(ran.ran).toBeUndefined();
    expect(ran.shown).not.toBe("none");
    for (const directive of [
      "connect-src",
      "form-action",
      "frame-src",
      "img-src",
      "script-src-attr",
      "script-src-elem",
      "style-src-elem",
    ])
      expect(ran.blocked).toContain(directive);
    expect(requests).toEqual([]);
  });
});
