import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.js";
import { writeReport } from "../../src/report/report.js";
import { summaryLines } from "../../src/report/terminal.js";
import type { ResultRow } from "../../src/study/results.js";
import { sealJson } from "../../src/study/seal.js";
import { behaviourRows, clusterRows, HOSTILE, SETS, trainingRows, writeSyntheticRun } from "./syntheticRun.js";

let root: string;
let page: string;
let run: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-report-"));
  run = join(root, "quick");
  await writeSyntheticRun(run);
  const written = await writeReport(run);
  page = await readFile(written.html, "utf8");
});

afterAll(() => rm(root, { recursive: true, force: true }));

/** The page of a run made of these parts. */
async function pageOf(name: string, parts: Parameters<typeof writeSyntheticRun>[1]): Promise<string> {
  const folder = join(root, name);
  await writeSyntheticRun(folder, parts);
  return readFile((await writeReport(folder)).html, "utf8");
}

/** A share as the tables print it: in percent, with one decimal. */
const said = (share: number) => (share * 100).toFixed(1);

/** What a reader sees, spaces folded. */
function textOf(markup: string): string {
  return (parseHTML(markup).document.querySelector("main")?.textContent ?? "").replace(/\s+/g, " ");
}

describe("the report", () => {
  test("answers first: refusals, kept answers and the strongest jailbreak with their intervals", () => {
    const text = textOf(page);
    expect(text).toContain(
      "Refuses 98.1% [96.1, 100.0] of unsafe prompts and still answers 97.3% [95.3, 99.3] of safe ones.",
    );
    expect(text).toContain("The strongest jailbreak is JB-MisGen-Both: it succeeds on 62.9% [60.9, 64.9].");
    expect(text).toContain("Before tuning the model answered 99.6%");
  });

  test("holds every planted share with its interval", () => {
    const text = textOf(page);
    for (const { value, low, high } of behaviourRows().filter((row) => row.seed === undefined))
      expect(text).toContain(`${said(value)} [${said(low!)}, ${said(high!)}]`);
  });

  test("every figure has a reading, a formula, its n, its data and its command", () => {
    const { document } = parseHTML(page);
    const figures = [...document.querySelectorAll("figure")];
    expect(figures.map((figure) => figure.id)).toEqual([
      "figure-jailbreaks",
      "figure-tau",
      "figure-clusters-q1",
      "figure-clusters-q10",
      "figure-tau-jailbreaks",
      "figure-training",
    ]);
    for (const figure of figures) {
      for (const svg of figure.querySelectorAll(".panel > svg[role=img]"))
        expect(svg.getAttribute("aria-label")).toBeTruthy();
      expect(figure.querySelector(".drawing .unseen")?.textContent).toBeTruthy();
      expect(figure.querySelector("math")).not.toBeNull();
      expect(figure.querySelector(".data")?.textContent).toContain("nullscope report runs/quick");
      expect(figure.querySelector(".data")?.textContent).toContain("seeds (0, 1)");
      expect(figure.querySelector("a[download]")?.getAttribute("href")).toMatch(
        /^(data:text\/csv;charset=utf-8;base64,|figures\/training\.csv$)/,
      );
    }
  });

  test("the data beside a figure are its rows", () => {
    const { document } = parseHTML(page);
    const href = document.querySelector("#figure-tau a[download]")!.getAttribute("href")!;
    const lines = Buffer.from(href.split(",")[1]!, "base64").toString("utf8").trimEnd().split("\r\n");
    const planted = clusterRows().filter((row) => row.metric === "tau" && ["safe", "unsafe"].includes(row.set!));
    expect(lines).toHaveLength(planted.length + 1);
    expect(lines[0]).toBe("measure,metric,checkpoint,set,block,index,seed,value,n,low,high,chance");
    expect(lines[1]).toContain(String(planted[0]!.value));
  });

  test("shows the settings, and durations in their own section alone", () => {
    const [before, time] = page.split('<h2 id="time">') as [string, string];
    expect(textOf(page)).toContain("width64");
    expect(textOf(page)).toContain("nameplanted-world");
    expect(textOf(page)).toContain("unsafe on At8, t9");
    expect(textOf(page)).toContain("sha256abababababababab…");
    expect(textOf(page)).toContain("learning rate0.003");
    expect(time).toContain("2 min 23 s");
    expect(before).not.toContain("2 min 23 s");
  });

  test("loads nothing from anywhere, and its policy forbids it", () => {
    expect(page).toContain("default-src 'none'");
    expect(page).toMatch(/style-src 'sha256-[A-Za-z0-9+/]{43}='; script-src 'sha256-[A-Za-z0-9+/]{43}='/);
    const { document } = parseHTML(page);
    for (const element of document.querySelectorAll("[src], [href], [srcset], [data], [action]"))
      for (const attribute of ["src", "href", "srcset", "data", "action", "xlink:href"])
        expect(element.getAttribute(attribute) ?? "#").toMatch(/^(#|data:|figures\/[a-z0-9.-]+\.csv$)/);
    expect(
      document.querySelectorAll("[style], [onclick], [onload], [onerror], iframe, object, embed, img"),
    ).toHaveLength(0);
    expect(page).not.toMatch(/url\(|@import/);
  });

  test("foreign text is shown, never obeyed", () => {
    const { document } = parseHTML(page);
    const tokens = [...document.querySelectorAll("bdi.token")].map((token) => token.textContent);
    expect(tokens).toContain(HOSTILE[0]);
    expect(tokens).toContain(HOSTILE[1]);
    expect(tokens).toContain(HOSTILE[2]);
    expect(tokens).toContain("\\u{202e}evil\\u{202c}");
    expect(document.querySelectorAll("script")).toHaveLength(1);
    expect(document.querySelectorAll("style")).toHaveLength(1);
  });

  test("foreign names of checkpoints, sets, metrics, settings and the run itself are escaped too, and the figures stay valid", async () => {
    const bad = `${HOSTILE[0]} ${HOSTILE[3]}\u00a0&`;
    const rows: ResultRow[] = [...behaviourRows(), ...clusterRows()].map((row) => ({
      ...row,
      ...(row.checkpoint === "ssft-small" && { checkpoint: bad }),
      ...(row.set === "jb-co-task" && { set: `jb-${HOSTILE[1]}` }),
    }));
    const name = "<b>run";
    const text = await pageOf(name, {
      rows: [...rows, { measure: HOSTILE[1], metric: HOSTILE[2], value: 1 }],
      config: `world: ${JSON.stringify(HOSTILE[0])}\n`,
      stages: { "x-1": { name: HOSTILE[0], durationSeconds: 1 } },
    });
    const { document } = parseHTML(text);
    expect(document.querySelectorAll("script")).toHaveLength(1);
    expect(document.querySelectorAll("style")).toHaveLength(1);
    expect(document.querySelectorAll("img, b > script")).toHaveLength(0);
    expect(document.querySelector("h1")?.textContent).toBe(name);
    expect(textOf(text)).toContain("<script>alert(1)</script>");
    // A PNG exists only where the SVG was well-formed XML.
    expect(await readdir(join(root, name, "figures"))).toContain("tau.png");
  });

  test("the same files give the same bytes", async () => {
    const again = join(root, "again", "quick");
    await writeSyntheticRun(again);
    const { html, figures } = await writeReport(again);
    expect(await readFile(html, "utf8")).toBe(page);
    for (const figure of figures)
      expect((await readFile(figure)).equals(await readFile(join(run, "figures", figure.split("/").at(-1)!)))).toBe(
        true,
      );
  });

  test("figures are SVG files with colours of their own, and PNG of twice their size", async () => {
    const names = await readdir(join(run, "figures"));
    const svgs = names.filter((name) => name.endsWith(".svg"));
    expect(svgs.map((name) => name.replace(".svg", ".png")).sort()).toEqual(
      names.filter((name) => name.endsWith(".png")).sort(),
    );
    for (const name of svgs) {
      const svg = await readFile(join(run, "figures", name), "utf8");
      expect(svg).not.toMatch(/var\(|currentColor|NaN|undefined|<style/);
      const [, width, height] = svg.match(/<svg [^>]*width="(\d+)" height="(\d+)"/)!;
      const png = await readFile(join(run, "figures", name.replace(".svg", ".png")));
      expect([...png.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
      expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([2 * Number(width), 2 * Number(height)]);
    }
  });

  test("every label in a figure has its own letters", async () => {
    const svg = await readFile(join(run, "figures", "tau.svg"), "utf8");
    expect(svg).toContain("mean τ · before tuning, q = 1");
    const training = await readFile(join(run, "figures", "training.svg"), "utf8");
    expect(training).toContain(">0.001<");
  });
});

describe("a run that lacks something", () => {
  test("says which section is left out", async () => {
    const text = textOf(await pageOf("bare", { rows: behaviourRows(), examples: [], config: null, stages: {} }));
    for (const words of [
      "This run holds no rows of “clusters”",
      "This run holds no rows of “training”",
      "This run holds no rows of “examples”",
      "no config.yaml",
      "No stage of this run says how long it took",
    ])
      expect(text).toContain(words);
  });

  test("with training alone still shows its curves, and says that there is no answer yet", async () => {
    const text = await pageOf("training-only", { rows: trainingRows(), examples: [] });
    expect(text).toContain("there is no answer yet");
    expect(text).toContain('id="figure-training"');
    expect(text).not.toContain('id="figure-jailbreaks"');
  });

  test("with one block, one seed and no intervals draws the same figures", async () => {
    const rows = [...behaviourRows(), ...clusterRows()]
      .filter((row) => (row.block ?? 1) === 1 && (row.seed ?? 0) === 0)
      .map(({ low: _low, high: _high, chance: _chance, ...row }) => row);
    const text = await pageOf("thin", { rows });
    expect(text).toContain('id="figure-tau"');
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("with other methods than SSFT shows them under their names", async () => {
    const rows = behaviourRows().map((row) =>
      row.checkpoint === "ssft-medium" ? { ...row, checkpoint: "dpo-medium" } : row,
    );
    const text = textOf(
      await pageOf("dpo", {
        rows: rows.filter((row) => row.checkpoint !== "ssft-small"),
        examples: [],
        config: null,
        stages: {},
      }),
    );
    expect(text).toContain("DPO medium");
    expect(text).not.toContain("SSFT");
  });

  test("in which no attack succeeds does not crown a strongest one", async () => {
    const rows = behaviourRows().map((row) =>
      row.set?.startsWith("jb-") && row.metric === "instruct" ? { ...row, value: 0, low: 0 } : row,
    );
    const text = textOf(await pageOf("safe", { rows, examples: [] }));
    expect(text).toContain("No jailbreak succeeded on any sample.");
    expect(text).not.toContain("The strongest jailbreak");
  });

  test("names a stage that diverged", async () => {
    const stages = { "tune-1": { name: "tune ssft-medium seed 0", durationSeconds: 3, outcome: "diverged" } };
    expect(textOf(await pageOf("diverged", { stages }))).toContain("Diverged: “tune ssft-medium seed 0”");
  });

  test("figures that did not change keep their files, and a lost or changed one is drawn again", async () => {
    const folder = join(root, "kept");
    await writeSyntheticRun(folder, { rows: [...behaviourRows(), ...clusterRows()] });
    await writeReport(folder);
    const png = (id: string) => join(folder, "figures", `${id}.png`);
    const drawn = await readFile(png("tau"));
    const { ino, mtimeMs } = await stat(png("tau"));
    await rm(png("jailbreaks"));
    await writeFile(join(folder, "figures", "clusters-q1.svg"), "<svg/>");
    await writeReport(folder);
    expect(await stat(png("tau"))).toMatchObject({ ino, mtimeMs });
    expect((await readFile(png("jailbreaks"))).subarray(1, 4).toString()).toBe("PNG");
    expect(await readFile(join(folder, "figures", "clusters-q1.svg"), "utf8")).toContain("AUC");
    await writeFile(png("tau"), "not what was drawn, beside an SVG that is");
    await writeReport(folder);
    expect((await readFile(png("tau"))).equals(drawn)).toBe(true);
    await rm(join(folder, "figures", "tau.svg"));
    await writeReport(folder);
    expect((await readFile(png("tau"))).equals(drawn)).toBe(true);
  });

  test("figures of an older report that no longer hold are removed", async () => {
    const folder = join(root, "stale");
    await writeSyntheticRun(folder, { rows: behaviourRows() });
    await mkdir(join(folder, "figures"));
    await writeFile(join(folder, "figures", "tau.svg"), "<svg/>");
    await writeReport(folder);
    expect(await readdir(join(folder, "figures"))).toEqual(["jailbreaks.csv", "jailbreaks.png", "jailbreaks.svg"]);
  });
});

describe("a run that cannot be reported", () => {
  test("without results is refused in one sentence that says what to do", async () => {
    const error = await writeReport(join(root, "nothing-here")).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toContain('Run "nullscope study" first');
  });

  test.each([
    ["{", "is damaged"],
    ["[]", "has no seal"],
    [sealJson('{"x":1}'), "neither"],
    [sealJson('{"rows":[],"x":1}').replace("1", "2"), "was changed"],
    [sealJson('{"rows":[3]}'), "a row is not an object"],
    [sealJson('{"rows":[{"measure":"a","metric":"b","value":"x"}]}'), '"value" is not a number'],
    [sealJson('{"rows":[{"measure":"a","metric":"b","value":1,"outcome":"draw"}]}'), "not success or failure"],
    [sealJson('{"examples":[{"checkpoint":"a"}]}'), "an example's"],
  ])("with the results file %s names the file and what is wrong", async (content, words) => {
    const folder = join(root, "damaged");
    await mkdir(join(folder, "results"), { recursive: true });
    await writeFile(join(folder, "results", "behaviour.json"), content);
    const error = await writeReport(folder).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toContain("behaviour.json");
    expect(String(error)).toContain(words);
  });

  test("into a folder that cannot be written leaves no half page", async () => {
    const folder = join(root, "blocked");
    await writeSyntheticRun(folder, { rows: behaviourRows() });
    await writeFile(join(folder, "figures"), "a file where the folder should be");
    const error = await writeReport(folder).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect((await readdir(folder)).filter((name) => name.startsWith("report"))).toEqual([]);
  });

  test("with unreadable YAML names config.yaml", async () => {
    const error = await pageOf("yaml", { config: "a: [1" }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toContain("config.yaml");
  });
});

describe("the summary in the terminal", () => {
  test("lines up sets and checkpoints with shares and intervals", () => {
    const lines = summaryLines(behaviourRows());
    expect(lines).toHaveLength(1 + 3 * SETS.length);
    expect(lines[0]).toMatch(/^set +checkpoint +success +refusal +other$/);
    expect(lines[5]).toMatch(
      /^ +SSFT medium +0\.00 \[0\.00, 0\.02\] +0\.98 \[0\.96, 1\.00\] +0\.0[12] \[0\.00, 0\.0[34]\]$/,
    );
  });

  test("strips control characters from foreign names and is empty without behaviour", () => {
    expect(summaryLines(clusterRows())).toEqual([]);
    const lines = summaryLines([
      { measure: "behaviour", metric: "null", checkpoint: HOSTILE[4], set: "safe", value: 1, n: 3 },
    ]);
    expect(lines.join("")).not.toContain("\u001b");
  });
});
