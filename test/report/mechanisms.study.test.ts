import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.js";
import type { Figure } from "../../src/report/figure.js";
import { activationSpaceFigures } from "../../src/report/figures/activationSpace.js";
import { columnSpaceFigures } from "../../src/report/figures/columnSpace.js";
import { interventionFigures } from "../../src/report/figures/interventions.js";
import { overlapFigures } from "../../src/report/figures/overlap.js";
import { patchingFigure } from "../../src/report/figures/patching.js";
import { probesFigure } from "../../src/report/figures/probes.js";
import { refusalDirectionFigure } from "../../src/report/figures/refusalDirection.js";
import { rowSpaceFigures } from "../../src/report/figures/rowSpace.js";
import { sensitivityFigures } from "../../src/report/figures/sensitivity.js";
import { spectraFigures } from "../../src/report/figures/spectra.js";
import { writeReport } from "../../src/report/report.js";
import { nullsOverSeeds } from "../../src/report/rows.js";
import { sayRow, slug, tagsToAttributes, tagTitle } from "../../src/report/tags.js";
import {
  activationSpaceRows,
  columnSpaceRows,
  decisionRows,
  interventionRows,
  mechanismRows,
  plantedSine,
  rowSpaceRows,
  sensitivityRows,
  studyClaims,
} from "./syntheticMechanisms.js";
import { behaviourRows, HOSTILE, writeSyntheticRun } from "./syntheticRun.js";

const seeds = { seeds: [0] };

/** What is said when each mark of a figure is pointed at, in the page's order. */
function saidBy(figure: Figure): string[] {
  const { document } = parseHTML(`<body>${figure.page}</body>`);
  return [...document.querySelectorAll("[data-t]")].map((mark) => mark.getAttribute("data-t")!);
}

const ids = (figures: readonly Figure[]) => figures.map(({ id }) => id);
const byId = (figures: readonly Figure[], id: string) => figures.find((figure) => figure.id === id)!;

describe("the column space", () => {
  const figures = columnSpaceFigures(columnSpaceRows(seeds));

  test("has a figure per matrix, W first, then the whole update and its sizes", () => {
    expect(ids(figures)).toEqual([
      "column-space-mlp-fc",
      "column-space-mlp-proj",
      "column-space-attn-qkv",
      "column-space-attn-proj",
      "column-space-all",
      "column-space-sizes",
    ]);
  });

  test("draws all three nulls, and the control as a null alone", () => {
    const { svg, page } = figures[0]!;
    for (const label of ["random directions", "random ΔW of this spectrum", "further plain tuning"])
      expect(svg).toContain(`>null: ${label}<`);
    expect(page).not.toContain('data-c="continue-medium"');
    // A band per null with a distribution in each of three blocks; a line per null, and per series and rate.
    const { document } = parseHTML(`<body>${page}</body>`);
    expect(document.querySelectorAll(".panel")).toHaveLength(3);
    expect(document.querySelector('.panel [aria-label="area"] path')).not.toBeNull();
  });

  test("says each planted sine at its mark, and r(W) in words", () => {
    const said = saidBy(figures[0]!);
    expect(said).toHaveLength(8 * 3 * 15);
    const planted = columnSpaceRows(seeds).find(
      (r) => r.metric === "sin-theta" && r.checkpoint === "dpo-medium" && r.block === 2 && r.index === 4,
    )!;
    expect(planted.value).toBeCloseTo(plantedSine("dpo-medium", 2, 4), 2);
    expect(said).toContain(`DPO medium · block 2 · i = 4: ${planted.value.toFixed(3)}`);
    expect(byId(figures, "column-space-sizes").reading).toContain("mlp.fc 43, 46, 49");
  });

  test("over seeds a null keeps its own quantiles", () => {
    const rows = [0, 1].map((seed) => ({
      ...{
        measure: "column-space",
        metric: "null-random",
        checkpoint: "a",
        block: 1,
        matrix: "mlp.fc",
        index: 1,
        seed,
      },
      ...{ value: 0.5 + 0.1 * seed, low: 0.4, high: 0.8 + 0.1 * seed, n: 10 },
    }));
    const [over] = nullsOverSeeds(rows);
    expect(over!.value).toBeCloseTo(0.55, 12);
    expect(over!.low).toBeCloseTo(0.4, 12);
    expect(over!.high).toBeCloseTo(0.85, 12);
  });
});

describe("the other measures", () => {
  test("activation space: safe and unsafe apart, with the split-half null", () => {
    const figures = activationSpaceFigures(activationSpaceRows(seeds));
    expect(ids(figures)).toEqual(["activation-space-all", "activation-space"]);
    expect(figures[0]!.n).toContain("before tuning against itself");
    expect(saidBy(figures[0]!)[0]).toMatch(/chance 0\.130$/);
  });

  test("row space: gain against the control, projections with spread, attempts apart, neurons", () => {
    const figures = rowSpaceFigures(rowSpaceRows(seeds));
    expect(ids(figures)).toEqual([
      "row-space-gain",
      "row-space-outcomes",
      ...["mlp-fc", "mlp-proj"].flatMap((matrix) => [3, 2, 1].map((block) => `row-space-${matrix}-block-${block}`)),
      "row-space-neurons",
    ]);
    const ratio = rowSpaceRows(seeds).find((r) => r.metric === "gain-ratio" && r.checkpoint === "ssft-medium")!;
    expect(saidBy(figures[0]!)).toContain(
      `SSFT medium · block 1: ${[ratio.value, ratio.low!, ratio.high!]
        .map((value) => value.toFixed(2))
        .join(" [")
        .replace(/ \[([^[]*)$/, ", $1]")} · n = 1\u202f000 · chance 1.05`,
    );
    expect(figures[1]!.svg).toContain(">120<");
  });

  test("sensitivity: changes, quantiles, attempts apart, spectral norm", () => {
    const figures = sensitivityFigures(sensitivityRows(seeds));
    expect(ids(figures)).toEqual([
      "sensitivity-change",
      "sensitivity-quantiles",
      "sensitivity-outcomes",
      "sensitivity-spectral-norm",
    ]);
    expect(figures[0]!.reading).toContain("SSFT medium −0.100 and −0.350");
    // Four curves of 19 quantiles in each of nine panels.
    expect(saidBy(figures[1]!)).toHaveLength(9 * 4 * 19);
  });

  test("interventions: paths, transfer, lines and ranks, each with the command that makes one of its points", () => {
    const figures = interventionFigures(interventionRows(seeds));
    expect(figures.map(({ id, command }) => [id, command])).toEqual([
      ["alpha-paths", "intervene RUN --from instruct --delta ssft-medium --alpha 1.3"],
      ["transfer", "intervene RUN --from dpo-medium --delta ssft-medium --alpha 1"],
      ["lines", "intervene RUN --from dpo-medium --to unlearning-medium --alpha 0.5"],
      ["low-rank", "intervene RUN --from instruct --delta ssft-medium --rank 4"],
    ]);
    expect(figures[0]!.svg).toContain(">success on soft prompt, 5<");
    expect(figures[3]!.svg).toContain(">SSFT medium, random k<");
    for (const k of [1, 2, 4, 8, 16, 32, 64]) expect(figures[3]!.svg).toContain(`>${k}</text>`);
  });

  test("decisions: refusal direction, probes, patching, overlap and spectra with their nulls", () => {
    const rows = decisionRows(seeds);
    expect(saidBy(refusalDirectionFigure(rows)!)[0]).toBe(
      "SSFT medium · unsafe · block 1: 65.0% [62.0%, 68.0%] · n = 500 · chance 89.8%",
    );
    expect(probesFigure(rows)!.n).toContain("permuted labels");
    const patching = patchingFigure(rows)!;
    expect(patching.reading).toContain("SSFT medium block 3, EOT (90%)");
    expect(saidBy(patching)).toContain(
      "DPO small · safe · block 1 · tasks: 65.0% [60.0%, 70.0%] · n = 500 · chance 0.0%",
    );
    expect(ids(overlapFigures(rows))).toEqual(["overlap-mlp-fc", "overlap-mlp-proj"]);
    expect(overlapFigures(rows)[0]!.svg).toContain(">DPO medium and Unlearning medium<");
    expect(ids(spectraFigures(rows))).toEqual([3, 2, 1].map((block) => `spectra-block-${block}`));
  });

  test("nothing is drawn from nothing, and a single row is enough to draw", () => {
    const draw = (rows: Parameters<typeof columnSpaceFigures>[0]) =>
      [
        ...columnSpaceFigures(rows),
        ...activationSpaceFigures(rows),
        ...rowSpaceFigures(rows),
        ...sensitivityFigures(rows),
        ...interventionFigures(rows),
        ...overlapFigures(rows),
        ...spectraFigures(rows),
        refusalDirectionFigure(rows),
        probesFigure(rows),
        patchingFigure(rows),
      ].filter((figure) => figure !== undefined);
    expect(draw([])).toEqual([]);
    const seen = new Set<string>();
    for (const row of mechanismRows(seeds)) {
      const kind = `${row.measure} ${row.metric} ${row.outcome ?? ""} ${/\+|\.\.|:/.exec(row.checkpoint ?? "") ?? ""}`;
      if (seen.has(kind)) continue;
      seen.add(kind);
      for (const { svg, page, reading } of draw([{ ...row, set: row.set === undefined ? HOSTILE[2] : row.set }])) {
        expect(svg + page + reading).not.toMatch(/NaN|undefined|Infinity|<img/);
        expect(svg).not.toContain("data-t");
      }
    }
    expect(seen.size).toBeGreaterThan(25);
  });
});

describe("the page of a whole study", () => {
  let root: string;
  let markup: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "nullscope-mechanisms-"));
    const run = join(root, "whole");
    // Three checkpoints and two matrices: the page's parts are the same, and there are fewer pixels to paint.
    const few = mechanismRows(seeds).filter(
      ({ checkpoint, matrix }) =>
        /^(instruct|ssft-medium|ssft-small|ssft-medium[+.~:].*)$/.test(checkpoint!) && !matrix?.startsWith("attn"),
    );
    await writeSyntheticRun(run, { rows: [...behaviourRows(), ...few], claims: studyClaims() });
    markup = await readFile((await writeReport(run)).html, "utf8");
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  test("opens with the claims: verdict in words, effect, interval, null, n and seeds, the rule unfolds", () => {
    const { document } = parseHTML(markup);
    expect(document.querySelector("main section[aria-labelledby] h2")?.textContent).toBe("Claims");
    const cells = (id: string) =>
      [...document.querySelector(`#claim-${id}`)!.children].map((cell) =>
        cell.textContent!.replace(/\s+/g, " ").trim(),
      );
    expect(cells("O1")).toEqual([
      "O1 Tuning splits safe and unsafe activations into clusters.ruleSupported when the whole interval lies above the null. Measure: clusters.",
      "✓ supported",
      "0.412 [0.388, 0.437]",
      "0.0210",
      "2 000",
      "1",
    ]);
    expect(cells("O2")[1]).toBe("✗ contradicted");
    expect(cells("I1").slice(1)).toEqual(["? undecided", "–", "–", "0", "1"]);
    expect(document.querySelector("#claims")!.closest("section")!.textContent).toContain(
      "1 supported, 1 contradicted, 2 undecided. ",
    );
    expect(document.querySelector("#claim-O1 details p")!.textContent).toContain("whole interval lies above");
    expect(document.querySelectorAll("#claim-mine script, #claim-mine img, #claim-mine td b > b")).toHaveLength(0);
  });

  test("every section stands in the contents, and every figure has a table or says why not", () => {
    const { document } = parseHTML(markup);
    const titles = [...document.querySelectorAll("main h2")].map((title) => title.textContent);
    expect(titles.length).toBeGreaterThan(15);
    for (const nav of document.querySelectorAll("nav"))
      expect([...nav.querySelectorAll("a")].map((link) => link.textContent)).toEqual(["Summary", ...titles]);
    for (const figure of document.querySelectorAll("figure"))
      expect(figure.querySelector(".numbers"), figure.id).not.toBeNull();
    expect(document.querySelector("#figure-patching .numbers tbody tr")?.getAttribute("data-c")).toBe("ssft-medium");
  });

  test("offers methods, rates, blocks and sets to choose, and only tags that the page has", () => {
    const { document } = parseHTML(markup);
    expect([...document.querySelectorAll("#choice legend")].map((legend) => legend.textContent)).toEqual([
      "methods",
      "rates",
      "blocks",
      "sets",
    ]);
    for (const input of document.querySelectorAll("#choice input"))
      for (const value of input.getAttribute("value")!.split(" "))
        expect(markup).toContain(` data-${input.getAttribute("name")}="${value}"`);
    expect(document.querySelector("#choose")!.hasAttribute("hidden")).toBe(true);
  });

  test("a damaged claims file is named", async () => {
    const run = join(root, "damaged");
    await writeSyntheticRun(run, { rows: behaviourRows(), claims: [{ id: "O1" }] });
    const error = await writeReport(run).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toContain("claims.json");
  });
});

describe("tags", () => {
  test("become attributes that no name can leave, and go again from files", () => {
    const title = tagTitle({ checkpoint: 'a"b]', set: "jb-co-task", said: `x ${HOSTILE[4]}` });
    expect(tagsToAttributes(`<circle r="1"><title>${title}</title></circle>`)).toBe(
      '<circle r="1" data-c="a_b_" data-s="jb-co-task" data-t="x \\u{1b}[31mred"></circle>',
    );
    for (const name of HOSTILE) expect(slug(name)).toMatch(/^[A-Za-z0-9.+~:_-]*$/);
  });

  test("say a row as a sentence would", () => {
    const row = {
      measure: "m",
      metric: "x",
      checkpoint: "dpo-small",
      set: "jb-co-text",
      block: 3,
      value: -0.25,
      n: 1500,
    };
    expect(sayRow(row)).toBe("DPO small · JB-CO-Text · block 3: −0.250 · n = 1\u202f500");
    expect(sayRow({ ...row, value: 0.5, low: 0.4, high: 0.6, chance: 0.1 }, { share: true, at: "α = 1" })).toBe(
      "DPO small · JB-CO-Text · block 3 · α = 1: 50.0% [40.0%, 60.0%] · n = 1\u202f500 · chance 10.0%",
    );
  });
});
