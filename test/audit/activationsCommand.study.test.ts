import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAlphas } from "../../src/cli/auditPrompts.js";
import { main } from "../../src/cli/main.js";
import { openRun } from "../../src/study/openRun.js";
import type { ResultRow } from "../../src/study/results.js";
import { gpt2Tokenizer } from "../checkpoint/tinyTokenizers.js";
import { memoryIo } from "../cli/memoryIo.js";
import { fixture, readJson } from "../fixtures.js";

let scratch: string;
let tuned: string;
let prompts: string;
const base = fixture("checkpoints/a_llama2");
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "nullscope-audit-prompts-"));
  tuned = join(scratch, "tuned");
  cpSync(fixture("twins/a_llama2_tuned"), tuned, { recursive: true });
  writeFileSync(join(tuned, "tokenizer.json"), JSON.stringify(letterTokenizer()));
  prompts = join(scratch, "prompts.jsonl");
  const words = ["open", "paint", "lend", "clean"];
  const things = ["gate", "barn", "boat", "drum"];
  const lines = words.flatMap((operator, i) =>
    things.map((operand, j) => ({ operator, operand, label: (i + j) % 2 === 0 ? "safe" : "unsafe" })),
  );
  writeFileSync(prompts, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The letters and the space, one token each: ids that a model of 128 tokens has. */
function letterTokenizer() {
  const tokenizer = gpt2Tokenizer();
  const letters = [..."abcdefghijklmnopqrstuvwxyz", "\u0120"];
  tokenizer.model.vocab = Object.fromEntries(letters.map((letter, id) => [letter, id]));
  tokenizer.model.merges = [];
  tokenizer.added_tokens = [];
  return tokenizer;
}

async function audit(...argv: string[]) {
  const { io, written } = memoryIo();
  const code = await main(["audit", base, tuned, ...argv, "--runs", join(scratch, "runs")], io);
  return { code, ...written };
}

describe("nullscope audit --activations", () => {
  test("says its memory beforehand, and gives every measure of the planted change, block by block", async () => {
    const planned = await audit("--activations", "--prompts", prompts, "--plan");
    expect(planned.code).toBe(0);
    expect(planned.out).toMatch(
      /activations: 16 prompts, 1\d\d tokens in all, through two models and 2 points .*peak memory at most 0\.\d GiB/,
    );

    const { code, err } = await audit(
      ...["--prompts", prompts, "--weights", "--activations", "--alphas", "0,1", "--name", "whole"],
    );
    expect(err).toBe("");
    expect(code).toBe(0);
    const run = await openRun(join(scratch, "runs", "whole"));
    const rows = (await Promise.all(run.measures.map((measure) => run.results(measure).rows()))).flat();
    const of = (where: Partial<ResultRow>) =>
      rows.filter((row) => Object.entries(where).every(([field, value]) => row[field as keyof ResultRow] === value));
    for (let block = 1; block <= 4; block++) {
      for (const checkpoint of ["a_llama2", "tuned"])
        for (const measure of ["clusters", "clusters-generated"])
          expect(of({ measure, metric: "separation", block, checkpoint })).toHaveLength(1);
      for (const matrix of ["mlp.gate", "mlp.up", "mlp.down"])
        expect(of({ measure: "row-space", metric: "gain", set: "unsafe", block, matrix })).toHaveLength(1);
      expect(of({ measure: "activation-space", metric: "sin-theta-all", set: "safe", block })).toHaveLength(2);
      expect(of({ measure: "refusal-direction", metric: "base-cosine", block })).toHaveLength(1);
      expect(of({ measure: "alpha-path", metric: "auc", block }).map((row) => row.alpha)).toEqual([0, 1]);
    }
    expect(of({ measure: "sensitivity", metric: "lipschitz" })).toHaveLength(4);

    // The planted change has rank 3: three directions act, by at most their singular values, and the others are rounding.
    const { matrices } = readJson<{ matrices: { tensor: string; delta_singular_values: number[] }[] }>(
      "twins/a_llama2_tuned/matrices.json",
    );
    const planted = matrices.find(({ tensor }) => tensor === "model.layers.2.mlp.up_proj.weight")!;
    for (const set of ["safe", "unsafe"]) {
      const at = { measure: "row-space", block: 3, matrix: "mlp.up", set } as const;
      const spreads = of({ ...at, metric: "projection-sd" }).slice(0, 3);
      for (const [i, { value }] of spreads.entries()) {
        expect(value).toBeGreaterThan(1e-3);
        expect(value).toBeLessThanOrEqual(planted.delta_singular_values[i]! + 1e-5);
      }
      const noise = of({ ...at, metric: "projection" }).slice(3);
      for (const { value } of noise) expect(Math.abs(value)).toBeLessThan(1e-5);
    }
  });

  test("without --weights there are gains and no projections, and without gradients no sensitivity", async () => {
    const { code } = await audit(
      ...["--activations", "--prompts", prompts, "--alphas", "none", "--no-sensitivity", "--no-first-generated"],
      ...["--blocks", "2", "--name", "short"],
    );
    expect(code).toBe(0);
    const run = await openRun(join(scratch, "runs", "short"));
    expect([...run.measures].sort()).toEqual(["activation-space", "clusters", "refusal-direction", "row-space"]);
    const rows = await run.results("row-space").rows();
    expect(new Set(rows.map(({ metric }) => metric))).toEqual(new Set(["gain", "gain-ratio"]));
  }, 30_000);

  test("--keep none removes what lay between two blocks; the measures stay, and what a wider audit needs is made again", async () => {
    const words = ["--activations", "--prompts", prompts, "--alphas", "none", "--no-first-generated", "--name", "kept"];
    expect((await audit(...words, "--no-sensitivity")).code).toBe(0);
    const folder = join(scratch, "runs", "kept");
    const states = () =>
      readdirSync(join(folder, "stages"), { recursive: true }).filter((name) =>
        /(hidden|gradient)-/.test(String(name)),
      );
    const results = () => readFileSync(join(folder, "results", "clusters.json"), "utf8");
    const before = results();
    expect(states()).not.toEqual([]);
    const { out, code } = await audit(...words, "--no-sensitivity", "--keep", "none");
    expect(code).toBe(0);
    expect(out).toMatch(/Disk: .*; .* removed\.\n/);
    expect(states()).toEqual([]);
    expect((await audit(...words, "--no-sensitivity")).out).toMatch(/Everything is done already: 30 stages/);
    expect((await audit(...words)).code).toBe(0);
    expect(states()).not.toEqual([]);
    expect(results()).toBe(before);
  }, 60_000);

  test("what is wrong with prompts is one sentence", async () => {
    const few = join(scratch, "few.jsonl");
    const line = (operator: string, label: string) => `${JSON.stringify({ operator, operand: "gate", label })}\n`;
    writeFileSync(
      few,
      ["open", "lend"].map((word) => line(word, "safe")).join("") +
        ["a", "b"].map((word) => line(word, "unsafe")).join(""),
    );
    const foreign = join(scratch, "foreign.jsonl");
    writeFileSync(
      foreign,
      ["OPEN", "lend"].map((word) => line(word, "safe")).join("") +
        ["a", "b"].map((word) => line(word, "unsafe")).join(""),
    );
    for (const [file, message] of [
      [few, /There are 2 prompts in the set safe; at least 8 are needed/],
      [foreign, /foreign\.jsonl, line 1: .*drift/],
      [join(scratch, "absent.jsonl"), /absent\.jsonl/],
    ] as const) {
      const { code, err } = await audit("--activations", "--prompts", file);
      expect(code).toBe(2);
      expect(err).toMatch(message);
      expect(err.trim().split("\n")).toHaveLength(1);
    }
  }, 30_000);

  test("weights that are not numbers end the audit with the block's name", async () => {
    const broken = join(scratch, "broken");
    cpSync(tuned, broken, { recursive: true });
    const path = join(broken, "model.safetensors");
    const bytes = readFileSync(path);
    const size = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + size).toString());
    bytes.writeFloatLE(Number.NaN, 8 + size + header["model.layers.1.mlp.up_proj.weight"].data_offsets[0]);
    writeFileSync(path, bytes);
    const { io, written } = memoryIo();
    const words = ["audit", base, broken, "--activations", "--prompts", prompts, "--runs", join(scratch, "runs")];
    expect(await main([...words, "--name", "broken"], io)).toBe(2);
    expect(written.err).toMatch(/activations of broken in block 2 are not finite.*checkpoint inspect/);
  }, 30_000);

  test("points of the path are numbers", () => {
    expect(parseAlphas("1, 0,0.5,1")).toEqual([0, 0.5, 1]);
    expect(parseAlphas("none")).toEqual([]);
    expect(() => parseAlphas("0,x")).toThrow(/"x" is no number/);
    expect(() => parseAlphas("11")).toThrow(/-10 to 10/);
  });
});
