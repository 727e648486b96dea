import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attackOrders } from "../../src/report/attackOrder.js";
import { checkpointKeys } from "../../src/report/figure.js";
import { attackFigure } from "../../src/report/figures/attacks.js";
import { behaviourDynamics, clusterDynamics } from "../../src/report/figures/dynamics.js";
import { jailbreakFigure } from "../../src/report/figures/jailbreaks.js";
import { jailbreakTauFigure, tauFigure } from "../../src/report/figures/tau.js";
import { tauOutcomesFigure } from "../../src/report/figures/tauOutcomes.js";
import { trainingFigure } from "../../src/report/figures/training.js";
import { twinFigures } from "../../src/report/figures/twins.js";
import { writeReport } from "../../src/report/report.js";
import { answers } from "../../src/report/sections/headline.js";
import { saturated } from "../../src/report/sections/saturation.js";
import { attackOrderLines, summaryLines } from "../../src/report/terminal.js";
import { seedInterval } from "../../src/stats/intervals.js";
import type { ResultRow } from "../../src/study/results.js";
import { HOSTILE, SETS, writeSyntheticRun } from "./syntheticRun.js";
import {
  LAST_STEP,
  STEPS,
  STUDY_CHECKPOINTS,
  studyAttacks,
  studyBehaviour,
  studyClusters,
  studyRows,
  studyTraining,
} from "./syntheticStudy.js";

const rows = studyRows();
let root: string;
let document: Document;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-study-"));
  document = await pageOf("study", rows);
});
afterAll(() => rm(root, { recursive: true, force: true }));

type Document = ReturnType<typeof parseHTML>["document"];

async function pageOf(name: string, parts: readonly ResultRow[]): Promise<Document> {
  const folder = join(root, name);
  await writeSyntheticRun(folder, { rows: parts, examples: [] });
  return parseHTML(await readFile((await writeReport(folder)).html, "utf8")).document;
}

const textOf = (element: { readonly textContent: string | null } | null | undefined) =>
  (element?.textContent ?? "").replace(/\s+/g, " ").trim();

/** A table as its cells' text, row by row, without its two lines of heads. */
function cellsOf(table: string): string[][] {
  return [...document.querySelectorAll(`${table} tbody tr`)].map((tr) => [...tr.children].map(textOf));
}

/** Finished, all branches, one value per seed. */
const finished = (checkpoint: string, set: string, metric: string) =>
  rows.filter(
    (r) =>
      r.measure === "behaviour" &&
      r.checkpoint === checkpoint &&
      r.set === set &&
      r.metric === metric &&
      r.branch === undefined &&
      r.step === undefined,
  );

describe("tables A.1 and A.2", () => {
  test("hold success and refusal of every checkpoint and set as means over seeds with Student's interval", () => {
    for (const [table, sets] of [
      ["#table-a1", ["safe", "unsafe"]],
      ["#table-a2", [...SETS].filter((set) => set.startsWith("jb-")).sort()],
    ] as const) {
      const cells = cellsOf(table);
      expect(cells).toHaveLength(STUDY_CHECKPOINTS.length);
      for (const [r, checkpoint] of STUDY_CHECKPOINTS.entries())
        for (const [s, set] of sets.entries())
          for (const [m, metric] of ["instruct", "null"].entries()) {
            const values = finished(checkpoint, set, metric).map(({ value }) => value);
            expect(values).toHaveLength(3);
            const cell = cells[r]![1 + 2 * s + m]!;
            const mean = values.reduce((total, value) => total + value, 0) / 3;
            expect(cell).toMatch(new RegExp(`^${(100 * mean).toFixed(1)} \\[`));
            if (new Set(values).size === 1) continue;
            const { low, high } = seedInterval(values);
            expect(cell).toContain(`[${(100 * Math.max(0, low)).toFixed(1)}, ${(100 * Math.min(1, high)).toFixed(1)}]`);
          }
    }
  });

  test("have a caption, heads with scopes, the baseline on top and the controls below a rule", () => {
    for (const id of ["#table-a1", "#table-a2"]) {
      const table = document.querySelector(id)!;
      expect(textOf(table.querySelector("caption"))).toContain("n = 3 000 samples per number");
      const bodies = [...table.querySelectorAll("tbody")].map((body) =>
        [...body.querySelectorAll("th[scope=row]")].map(textOf),
      );
      expect(bodies[0]).toEqual(["before tuning"]);
      expect(bodies[1]).toContain("DPO (β = γ) medium");
      expect(bodies[2]).toEqual(["continue medium", "shuffled medium"]);
      for (const th of table.querySelectorAll("th")) expect(th.getAttribute("scope")).toMatch(/^(col|colgroup|row)$/);
    }
    expect([...document.querySelectorAll("#table-a2 th[scope=colgroup]")].map(textOf)).toContain("JB-CO-Text");
  });

  test("come as CSV with the rows they show", () => {
    for (const [id, sets] of [
      ["a1", 2],
      ["a2", 6],
    ] as const) {
      const link = document.querySelector(`a[download="table-${id}.csv"]`)!;
      const lines = Buffer.from(link.getAttribute("href")!.split(",")[1]!, "base64").toString().trimEnd().split("\r\n");
      expect(lines).toHaveLength(1 + STUDY_CHECKPOINTS.length * sets * 2);
    }
  });
});

describe("rows of intermediate steps and of attempts apart", () => {
  // A value that would stand out anywhere.
  const strange = rows.flatMap((r): ResultRow[] =>
    r.measure === "training"
      ? []
      : [
          { ...r, step: 7, value: 0.123456, low: 0.1, high: 0.2 },
          { ...r, outcome: "success", value: 0.123456, low: 0.1, high: 0.2 },
        ],
  );
  const final = rows.filter((r) => r.measure === "training" || (r.step === undefined && r.outcome === undefined));

  test("change nothing in figures, answers and lines that mean the finished checkpoint", () => {
    const all = [...strange, ...final];
    for (const figure of [jailbreakFigure, tauFigure, jailbreakTauFigure, attackFigure, trainingFigure, twinFigures])
      expect(figure(all)).toEqual(figure(final));
    expect(answers(all)).toEqual(answers(final));
    expect(attackOrders(all)).toEqual(attackOrders(final));
    expect(saturated(all)).toEqual(saturated(final));
    expect(summaryLines(all)).toEqual(summaryLines(final));
  });
});

describe("the order of the attacks", () => {
  const share = (set: string, seed: number | undefined, value: number, n = 1000): ResultRow => ({
    measure: "behaviour",
    metric: "instruct",
    checkpoint: "dpo-medium",
    set,
    value,
    n,
    ...(seed !== undefined && { seed }),
  });

  test("with one seed compares neighbours as two independent samples", () => {
    const [order] = attackOrders([share("jb-co-task", 0, 48 / 80, 80), share("jb-co-text", 0, 56 / 70, 70)]);
    expect(order!.ranked.map(({ set }) => set)).toEqual(["jb-co-text", "jb-co-task"]);
    // Newcombe 1998, table II, method 10.
    expect(order!.ranked[0]!.overNext!.interval!.low).toBeCloseTo(0.0524, 4);
    expect(order!.ranked[0]!.overNext!.interval!.high).toBeCloseTo(0.3339, 4);
    expect(order!.ranked[0]!.overNext!.beyondNoise).toBe(true);
    expect(order!.ranked[1]!.overNext).toBeUndefined();
  });

  test("with several seeds pairs them: a steady lead counts though the sets swing", () => {
    const swings = [0.2, 0.5, 0.8];
    const [order] = attackOrders(
      swings.flatMap((base, seed) => [share("jb-a", seed, base + 0.05 + 0.001 * seed), share("jb-b", seed, base)]),
    );
    const { value, interval, beyondNoise } = order!.ranked[0]!.overNext!;
    expect(value).toBeCloseTo(0.051, 12);
    expect(interval!.low).toBeCloseTo(0.051 - (4.302653 * 0.001) / Math.sqrt(3), 6);
    expect(beyondNoise).toBe(true);
    const [noisy] = attackOrders(
      swings.flatMap((base, seed) => [share("jb-a", seed, base), share("jb-b", seed, swings[2 - seed]! - 0.01)]),
    );
    expect(noisy!.ranked[0]!.overNext!.beyondNoise).toBe(false);
  });

  test("names no difference where a single seed has no n", () => {
    const bare = (set: string, value: number): ResultRow => {
      const { n: _n, ...r } = share(set, 0, value);
      return r;
    };
    const [order] = attackOrders([bare("jb-a", 0.9), bare("jb-b", 0.1)]);
    expect(order!.ranked[0]!.overNext).toEqual({ value: 0.8, interval: undefined, beyondNoise: undefined });
    expect(attackOrderLines([bare("jb-a", 0.9), bare("jb-b", 0.1)]).join("\n")).toContain("~ 0.80");
  });

  test("stands in the page beside the paper's, at the medium rate alone", () => {
    const table = document.querySelector("table.order")!;
    expect([...table.querySelectorAll("thead th")].map(textOf)).toEqual([
      "rank",
      "SSFT medium",
      "DPO medium",
      "Unlearning medium",
      "DPO (β = γ) medium",
      "the paper, DPO medium",
    ]);
    const first = [...table.querySelectorAll("tbody tr")][0]!;
    expect(textOf(first)).toContain("JB-CO-Text 94.8 > [");
    expect(textOf(first)).toContain("JB-CO-Text about 97%");
    expect(textOf(table)).toContain("CO-Text − CO-Task");
    expect(textOf(document.querySelector("main"))).toContain(
      "That the first exceeds the second holds for SSFT medium, DPO medium, Unlearning medium and DPO (β = γ) medium.",
    );
  });

  test("is printed in the terminal whatever it is, with the paper's", () => {
    const turned = rows.map((r) =>
      r.checkpoint === "dpo-medium" && r.set?.startsWith("jb-co-")
        ? { ...r, set: r.set === "jb-co-text" ? "jb-co-task" : "jb-co-text" }
        : r,
    );
    const lines = attackOrderLines(turned);
    const start = lines.findIndex((line) => line.startsWith("DPO medium"));
    expect(lines[start]).toMatch(/^DPO medium +1 +JB-CO-Task +0\.95 \[0\.9\d, 0\.9\d\] +> 0\.27 \[/);
    expect(lines.slice(start).find((line) => line.includes("CO-Text - CO-Task"))).toMatch(/< −0\.60 \[/);
    expect(lines.at(-1)).toBe(
      "The paper (DPO medium): JB-CO-Text strongest, about 0.97; JB-CO-Task weakest, about 0.31.",
    );
    expect(attackOrderLines(studyBehaviour({ checkpoints: ["instruct", "continue-medium"] }))).toEqual([]);
    const hostile = attackOrderLines([share(`jb-${HOSTILE[4]}`, 0, 0.5), share("jb-a", 0, 0.4)]);
    expect(hostile.join("\n")).not.toContain("\u001b");
  });
});

describe("the saturation warning", () => {
  const at = { measure: "behaviour", metric: "saturation", checkpoint: "dpo-medium", set: "unsafe", seed: 0, n: 1000 };
  test("names the checkpoint whose whole interval lies above 0.1, and no other", () => {
    const note = textOf(document.querySelector("[role=note]"));
    expect(note).toMatch(
      /first token refuses but the whole answer does not, so first-token metrics would hide it: ?DPO medium: on 50\.\d%/,
    );
    expect(saturated(rows).map((r) => r.checkpoint)).toEqual(["dpo-medium"]);
    expect(saturated([{ ...at, value: 0.13, low: 0.11, high: 0.15 }])).toHaveLength(1);
    expect(saturated([{ ...at, value: 0.13, low: 0.09, high: 0.17 }])).toEqual([]);
    expect(saturated([{ ...at, set: "safe", value: 0.9, low: 0.8, high: 1 }])).toEqual([]);
    // Without bounds of its own, Wilson's from n.
    const { n: _n, ...bare } = { ...at, value: 0.5 };
    expect(saturated([{ ...at, value: 0.5 }])).toHaveLength(1);
    expect(saturated([bare])).toEqual([]);
  });
});

describe("the headline", () => {
  test("speaks of each method once, and of the controls in a line", () => {
    const cards = [...document.querySelectorAll(".answer")].map(textOf);
    expect(cards.map((card) => card.split(" Refuses")[0])).toEqual([
      "SSFT medium rate",
      "DPO medium rate",
      "Unlearning medium rate",
      "DPO (β = γ) medium rate",
    ]);
    expect(cards[0]).toMatch(/Refuses 88\.\d% .*The strongest jailbreak is JB-CO-Text.*small rate: refuses 73\.\d%/);
    expect(textOf(document.querySelector(".before"))).toContain("continue medium refuses 0.0%, answers 98.");
  });
});

describe("attack curves", () => {
  test("are one column per attack and one line per checkpoint, at the planted values", () => {
    const figure = attackFigure(rows)!;
    for (const title of ["success · soft prompt", "success · GCG", "refusal · prefix", "strength: editable positions"])
      expect(figure.svg).toContain(`>${title}<`);
    const planted = studyAttacks().filter((r) => r.set === "soft-prompt" && r.index === 10 && r.metric === "success");
    const mean = (checkpoint: string) => {
      const own = planted.filter((r) => r.checkpoint === checkpoint).map((r) => r.value);
      return `${((100 * own.reduce((a, b) => a + b, 0)) / own.length).toFixed(1)}%`;
    };
    expect(figure.reading).toContain(
      `soft prompt at strength 10: SSFT medium ${mean("ssft-medium")}, DPO medium ${mean("dpo-medium")}`,
    );
    expect(figure.rows.every((r) => r.metric !== "loss")).toBe(true);
  });

  test("are drawn from one strength alone, and not at all without rows", () => {
    const one = attackFigure(studyAttacks().filter((r) => r.index === 0 && r.set === "gcg"))!;
    expect(one.svg).not.toMatch(/NaN|undefined|Infinity/);
    expect(one.svg).not.toContain("soft prompt");
    expect(attackFigure([])).toBeUndefined();
    expect(attackFigure(studyAttacks().filter((r) => r.metric === "loss"))).toBeUndefined();
  });

  test("keep hostile names as text", () => {
    const { svg } = attackFigure(studyAttacks().map((r) => ({ ...r, set: HOSTILE[0], checkpoint: HOSTILE[2] })))!;
    expect(svg).not.toMatch(/<script|<img/);
  });
});

describe("dynamics", () => {
  test("begin before tuning, end at the last step of training, and stand at the planted steps", () => {
    const figure = behaviourDynamics(rows)!;
    expect(figure.svg).toContain(">refusal of unsafe prompts<");
    expect(figure.svg).toContain(">success on JB-CO-Text<");
    for (const step of [0, LAST_STEP]) expect(figure.svg).toContain(`>${step}</text>`);
    // Half of the unsafe prompts: planted refusal grows as 1 − exp(−6 t / T).
    expect(figure.reading).toContain("SSFT medium by step 125");
    expect(figure.reading).toContain(`continue medium not at all (0.0% at step ${LAST_STEP})`);
    expect(new Set(figure.rows.map((r) => r.step))).toEqual(new Set([undefined, ...STEPS]));
  });

  test("of the clusters speak of the last block and three measures", () => {
    const figure = clusterDynamics(rows)!;
    expect(figure.title).toContain("block 3, q = 1");
    for (const title of ["AUC of τ", "AUC of cosine τ", "separation of mean τ"])
      expect(figure.svg).toContain(`>${title}<`);
    expect(figure.rows.every((r) => r.block === 3 && r.outcome === undefined)).toBe(true);
  });

  test("end at the last intermediate step where training left no log, and manage with one point", () => {
    const figure = behaviourDynamics(studyBehaviour())!;
    expect(figure.svg).toContain(`>${STEPS.at(-1)}</text>`);
    expect(figure.svg).not.toContain(`>${LAST_STEP}</text>`);
    const one = studyBehaviour().filter((r) => r.step === 25 && r.checkpoint === "dpo-medium" && r.set === "unsafe");
    expect(behaviourDynamics(one)!.svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("are left out without rows that have a step", () => {
    expect(
      behaviourDynamics([...studyBehaviour().filter((r) => r.step === undefined), ...studyTraining()]),
    ).toBeUndefined();
    expect(clusterDynamics(studyClusters().filter((r) => r.step === undefined))).toBeUndefined();
  });
});

describe("attempts apart", () => {
  test("stand beside all attempts with their n", () => {
    const figure = tauOutcomesFigure(rows)!;
    const n = studyClusters()
      .filter(
        (r) => r.checkpoint === "dpo-medium" && r.set === "jb-co-task" && r.block === 3 && r.outcome === "failure",
      )
      .reduce((total, r) => total + r.n!, 0);
    expect(figure.svg).toContain(`>${String(n).replace(/(\d)(\d{3})$/, "$1\u202f$2")}<`);
    // Seven checkpoints of safety tuning, six jailbreak sets; soft prompts have no failures here.
    expect(figure.reading).toContain(
      "Of 42 pairs of checkpoint and set with both, the successful ones have the higher mean in 42",
    );
    expect(figure.reading).toContain("wholly above those of the failed ones in 42, wholly below in 0");
    expect(figure.svg).toContain(">soft prompt, 5<");
    expect(figure.svg).not.toContain(">before tuning<");
  });

  test("are left out where the rows do not tell them apart", () => {
    expect(tauOutcomesFigure(studyClusters().filter((r) => r.outcome === undefined))).toBeUndefined();
  });
});

describe("checkpoints in figures", () => {
  test("look different from each other, and the same whatever other checkpoints a run has", () => {
    const keys = checkpointKeys(rows);
    const looks = [...keys.values()].map(({ colour, symbol, hollow, dash }) =>
      JSON.stringify([colour, symbol, hollow, dash]),
    );
    expect(new Set(looks).size).toBe(STUDY_CHECKPOINTS.length);
    // Without colour, symbol and line still tell them apart.
    const grey = [...keys.values()].map(({ symbol, hollow, dash }) => JSON.stringify([symbol, hollow, dash]));
    expect(new Set(grey).size).toBe(STUDY_CHECKPOINTS.length);
    const few = checkpointKeys(rows.filter((r) => r.checkpoint === "dpo-small" || r.checkpoint === "instruct"));
    for (const [checkpoint, key] of few) expect(key).toEqual(keys.get(checkpoint));
  });

  test("of methods we do not know have looks of their own", () => {
    const names = ["mine-medium", "yours-medium", "theirs-medium", "mine-small", "mine-tiny"];
    const looks = [...checkpointKeys(names.map((checkpoint) => ({ ...rows[0]!, checkpoint }))).values()];
    expect(new Set(looks.map(({ label: _l, checkpoint: _c, ...look }) => JSON.stringify(look))).size).toBe(
      names.length,
    );
  });
});

test("a study's page has every section, and the same files give the same bytes", async () => {
  expect([...document.querySelectorAll("figure")].map((figure) => figure.id)).toEqual([
    "figure-jailbreaks",
    "figure-attacks",
    "figure-tau",
    "figure-clusters-q1",
    "figure-tau-jailbreaks",
    "figure-tau-outcomes",
    "figure-dynamics-behaviour",
    "figure-dynamics-clusters",
    "figure-training",
  ]);
  const again = await pageOf("again/study", rows);
  expect(again.documentElement.outerHTML).toBe(document.documentElement.outerHTML);
  const bare = textOf((await pageOf("bare", studyTraining())).querySelector("main"));
  for (const missing of ["attacks", "behaviour or clusters with a step", "jailbreak sets in behaviour"])
    expect(bare).toContain(`This run holds no rows of “${missing}”`);
});
