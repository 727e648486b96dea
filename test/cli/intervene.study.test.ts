import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../src/cli/main.js";
import { openRun } from "../../src/study/openRun.js";
import type { ResultRow } from "../../src/study/results.js";
import { memoryIo } from "./memoryIo.js";
import { tinyWorld } from "./tinyWorld.js";

// One study of a few steps, intervened in again and again: what it learned does not matter here.
let folder: string;
let runFolder: string;
let study: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-intervene-"));
  const world = join(folder, "tiny.json");
  await writeFile(world, JSON.stringify(tinyWorld));
  runFolder = join(folder, "runs", "tiny");
  const settings = {
    world,
    model: "{width: 16, blocks: 1, heads: 2, mlp: 16, residual: pre-ln}",
    "pretrain.steps": 2,
    "pretrain.warmup": 1,
    "tune.steps": 2,
    "tune.methods": "[ssft, dpo]",
    "tune.rates": "{medium: 1e-3}",
    "tune.dynamics": "{fractions: [], rates: []}",
    "tune.controls": "{methods: [], rates: []}",
    "evaluate.samples": 16,
    measures: "[behaviour]",
    "attacks.run": "[]",
    "interventions.samples": 8,
    "interventions.path.alphas": "[0, 1]",
    "interventions.rank": "{ranks: [1, 16, 99], draws: 2}", // 99: more than there are, passed over
  };
  const set = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  study = ["study", "smoke", "--name", "tiny", "--runs", join(folder, "runs"), ...set];
  const { code, err } = await run(...study);
  expect({ code, err }).toEqual({ code: 0, err: "" });
});
afterAll(() => rm(folder, { recursive: true }));

async function run(...argv: string[]) {
  const { io, written } = memoryIo();
  return { code: await main(argv, io), ...written };
}
const intervene = (...argv: string[]) => run("intervene", "tiny", "--runs", join(folder, "runs"), ...argv);
const results = async () => (await openRun(runFolder)).results("interventions");
const resultsText = () => readFile(join(runFolder, "results", "interventions.json"), "utf8");
const only = ({ metric, value, n, low, high, set }: ResultRow) => [metric, value, n, low, high, set];

describe("in a study", () => {
  test("each kind has its rows, and is listed as data", async () => {
    const rows = await (await results()).rows();
    const where = (checkpoint: string) => rows.filter((row) => row.checkpoint === checkpoint && row.metric === "auc");
    const columns = (checkpoint: string) => where(checkpoint).map(({ alpha, index, n }) => [alpha, index, n]);
    expect(columns("ssft-medium").map(([alpha]) => alpha)).toEqual([0, 1]);
    expect(columns("ssft-medium+dpo-medium").map(([alpha]) => alpha)).toEqual([1]);
    expect(columns("ssft-medium..dpo-medium").map(([alpha]) => alpha)).toEqual([0.5]);
    expect(columns("dpo-medium..ssft-medium")).toEqual([]);
    expect(columns("ssft-medium:top")).toEqual([
      [undefined, 1, 8],
      [undefined, 16, 8],
    ]);
    expect(columns("ssft-medium:random")).toEqual([
      [undefined, 1, 2],
      [undefined, 16, 8],
    ]);
    const metrics = new Set(rows.map(({ metric, set }) => `${metric} ${set ?? ""}`));
    for (const metric of [
      "instruct safe",
      "null unsafe",
      "other jb-co-task",
      "loss safe",
      "loss unsafe",
      "separation ",
    ])
      expect(metrics).toContain(metric);
    const { interventions } = JSON.parse(await resultsText()) as { interventions: object[] };
    expect(interventions).toContainEqual({
      ...{ checkpoint: "ssft-medium:random", kind: "rank", from: "instruct", delta: "ssft-medium", matrices: "all" },
      ...{ alpha: 1, rank: 1, directions: "random", draw: 1 },
    });
    // Two methods: paths of 2 alphas, transfers of 1 and one line of 1, low rank 2 + 2 + 1 each.
    expect(interventions).toHaveLength(2 * 2 + 2 + 1 + 2 * 5);
  });

  test("alpha 0 is W_IT on whatever path, a rank of all directions is the same chosen at random", async () => {
    const of = async (filter: object) => (await (await results()).where(filter)).map(only);
    const start = await of({ checkpoint: "ssft-medium", alpha: 0, metric: ["instruct", "null", "other", "auc"] });
    expect(start.length).toBeGreaterThan(6);
    expect(await of({ checkpoint: "dpo-medium", alpha: 0, metric: ["instruct", "null", "other", "auc"] })).toEqual(
      start,
    );
  });
});

describe("nullscope intervene", () => {
  test("it prints and adds rows that a later study keeps, and asks for the same only once", async () => {
    const before = await (await results()).rows();
    const asked = ["--from", "instruct", "--delta", "ssft-medium", "--alpha", "0.3,1.3", "--samples", "16"];
    const { code, out, err } = await intervene(...asked);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/interventions +null +ssft-medium +unsafe +1\.3/);
    const after = await (await results()).rows();
    const added = after.filter(({ alpha }) => alpha === 0.3 || alpha === 1.3);
    expect(added.length).toBeGreaterThan(20);
    for (const row of added) expect(row.n).toBe(16);
    expect(after.filter((row) => !added.includes(row))).toEqual(before);
    const text = await resultsText();
    expect(await run(...study)).toMatchObject({ code: 0, out: expect.stringContaining("Everything is done already") });
    expect(await resultsText()).toBe(text);
    expect((await intervene(...asked)).out).toContain("Everything is done already");
    expect(await readdir(join(runFolder, "requests"))).toEqual(["0001.json", "0001.json.copy"]);
  });

  test.each<[string, string[], object]>([
    [
      "a transfer",
      ["--from", "ssft-medium", "--delta", "dpo-medium"],
      { checkpoint: "ssft-medium+dpo-medium", alpha: 1 },
    ],
    ["a line", ["--from", "ssft-medium", "--to", "dpo-medium"], { checkpoint: "ssft-medium..dpo-medium", alpha: 0.5 }],
    [
      "some directions of some matrices",
      [
        "--delta",
        "dpo-medium",
        "--rank",
        "3",
        "--directions",
        "random",
        "--draws",
        "4",
        "--matrices",
        "mlp.fc,attn.qkv",
      ],
      { checkpoint: "dpo-medium:random", index: 3, n: 4, matrix: "mlp.fc+attn.qkv" },
    ],
  ])("%s", async (_what, argv, columns) => {
    const { code, err } = await intervene(...argv);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const found = await (await results()).where({ ...columns, metric: "separation" });
    expect(found).toHaveLength(1);
  });

  test.each<[string, string[], string]>([
    ["neither a tuning nor another end", [], "Give either --delta"],
    ["both", ["--delta", "ssft-medium", "--to", "dpo-medium"], "Give either --delta"],
    ["an unknown tuning", ["--delta", "ssft-medum"], 'There is no tuning "ssft-medum"; did you mean "ssft-medium"?'],
    ["dW of what was not tuned", ["--delta", "instruct"], 'There is no tuning "instruct"'],
    [
      "an alpha that is none",
      ["--delta", "ssft-medium", "--alpha", "1,x"],
      '--alpha must be a number from -100 to 100, not "x".',
    ],
    ["an alpha twice", ["--delta", "ssft-medium", "--alpha", "1,1.0"], "has a number twice"],
    ["more directions than there are", ["--delta", "ssft-medium", "--rank", "17"], "--rank 17 is more directions"],
    ["an unknown matrix", ["--delta", "ssft-medium", "--matrices", "mlp.up"], 'There is no matrix "mlp.up"'],
    ["a line of a rank", ["--from", "ssft-medium", "--to", "dpo-medium", "--rank", "1"], "--rank is about one dW"],
  ])("%s is one clear sentence with exit code 2", async (_what, argv, message) => {
    const { code, out, err } = await intervene(...argv);
    expect(err).toContain(message);
    expect(err).toMatch(/^nullscope: [^\n]*\n$/);
    expect({ code, out }).toEqual({ code: 2, out: "" });
  });
});

test("nullscope compare: a run with itself is identical, with another the settings and rows that differ are named", async () => {
  const runs = ["--runs", join(folder, "runs")];
  expect((await run("compare", "tiny", "tiny", ...runs)).out).toMatch(/^tiny and tiny are identical: .*\n$/);
  await run(...study, "--name", "other", "--set", "interventions.run=[path]", "--set", "evaluate.samples=24");
  const { out, code } = await run("compare", "tiny", "other", ...runs);
  expect(code).toBe(0);
  expect(out).toContain("evaluate.samples: 16 -> 24");
  expect(out).toMatch(/Quantities only in tiny: interventions \d+/);
  expect(out).toContain("Benjamini-Hochberg");
  const json = JSON.parse((await run("compare", "tiny", "other", ...runs, "--measure", "behaviour", "--json")).out);
  expect(json).toMatchObject({
    identical: false,
    correction: "Benjamini-Hochberg",
    rows: { onlyFirst: {}, onlySecond: {} },
  });
  expect((await run("compare", "tiny", "absent", ...runs)).err).toContain('There is no run "absent"');
});
