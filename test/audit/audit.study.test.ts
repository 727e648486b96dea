import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { memberName } from "../../src/audit/pair.js";
import { encodeSafetensors } from "../../src/checkpoint/encodeSafetensors.js";
import { parseSafetensors, type TensorValue } from "../../src/checkpoint/safetensors.js";
import { parseBlocks } from "../../src/cli/audit.js";
import { main } from "../../src/cli/main.js";
import { openRun } from "../../src/study/openRun.js";
import type { ResultRow } from "../../src/study/results.js";
import { memoryIo } from "../cli/memoryIo.js";
import { fixture, readJson } from "../fixtures.js";
import { maxDifference } from "../numbers.js";

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "nullscope-audit-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function audit(...argv: string[]) {
  const { io, written } = memoryIo();
  const code = await main(["audit", ...argv, "--runs", join(scratch, "runs")], io);
  return { code, ...written };
}

/** The rows of a matrix, by measure and metric. */
async function rowsOf(run: string) {
  const opened = await openRun(join(scratch, "runs", run));
  const rows = (await Promise.all(opened.measures.map((measure) => opened.results(measure).rows()))).flat();
  return (measure: string, metric: string, where: Partial<ResultRow>) =>
    rows.filter(
      (row) =>
        row.measure === measure &&
        row.metric === metric &&
        Object.entries(where).every(([field, value]) => row[field as keyof ResultRow] === value),
    );
}

/** A copy of a fixture's checkpoint with some of its tensors changed. */
function changed(
  name: string,
  folder: string,
  change: (tensor: string, value: TensorValue) => TensorValue,
  config: (text: string) => string = (text) => text,
): string {
  const dir = join(scratch, folder);
  cpSync(fixture(`checkpoints/${name}`), dir, { recursive: true });
  const path = join(dir, "model.safetensors");
  const { tensors } = parseSafetensors(readFileSync(path));
  const edited = [...tensors].map(([tensor, value]) => [tensor, change(tensor, value)] as const);
  writeFileSync(path, encodeSafetensors(edited, { format: "pt" }));
  writeFileSync(join(dir, "config.json"), config(readFileSync(join(dir, "config.json"), "utf8")));
  return dir;
}

interface GoldenMatrix {
  readonly tensor: string;
  readonly rank99_W: number;
  readonly delta_singular_values: readonly number[];
  readonly rank99_delta: number;
  readonly sin_theta_truncated: readonly number[];
  readonly delta_frobenius: number;
}

// Planted changes of rank 3 in every MLP matrix, with NumPy's numbers in float64.
describe.each([
  ["a_llama2", "a_llama2_tuned"],
  ["b_llama3_sharded", "b_llama3_sharded_tuned"],
])("nullscope audit %s %s", (base, twin) => {
  const pair = [fixture(`checkpoints/${base}`), fixture(`twins/${twin}`)];

  test("recovers the planted ranks, angles and singular values of every matrix, and finds the others unchanged", async () => {
    const { code, out, err } = await audit(...pair, "--weights", "--name", twin);
    expect(err).toBe("");
    expect(code).toBe(0);
    expect(out).toContain("28 matrices in 4 blocks");
    const rows = await rowsOf(twin);
    const { matrices } = readJson<{ matrices: GoldenMatrix[] }>(`twins/${twin}/matrices.json`);
    expect(matrices).toHaveLength(12);
    for (const golden of matrices) {
      const [layer, kind] = /layers\.(\d+)\.mlp\.(\w+)_proj/.exec(golden.tensor)!.slice(1) as [string, string];
      const where = { block: Number(layer) + 1, matrix: `mlp.${kind}`, checkpoint: twin };
      const values = (measure: string, metric: string, more: Partial<ResultRow> = {}) =>
        rows(measure, metric, { ...where, ...more }).map((row) => row.value);
      const spectrum = values("weights", "singular-value");
      expect(spectrum).toHaveLength(64);
      expect(maxDifference(spectrum, golden.delta_singular_values)).toBeLessThan(1e-10);
      expect(maxDifference(values("column-space", "sin-theta").slice(0, 3), golden.sin_theta_truncated)).toBeLessThan(
        1e-9,
      );
      expect(values("column-space", "rank")).toEqual([golden.rank99_W]);
      expect(values("weights", "base-energy-rank", { index: 99 })).toEqual([golden.rank99_W]);
      expect(values("weights", "energy-rank", { index: 99 })).toEqual([golden.rank99_delta]);
      expect(maxDifference(values("weights", "norm"), [golden.delta_frobenius])).toBeLessThan(1e-10);
    }
    for (const matrix of ["attn.q", "attn.k", "attn.v", "attn.o"]) {
      expect(rows("column-space", "norm", { matrix }).map((row) => row.value)).toEqual([0, 0, 0, 0]);
      expect(rows("column-space", "sin-theta", { matrix })).toEqual([]);
      expect(rows("weights", "energy-rank", { matrix, index: 90, block: 1 })[0]!.value).toBe(0);
    }
    // Nulls stand beside every angle, and blocks were compared with each other.
    expect(rows("column-space", "null-random", { block: 1, matrix: "mlp.up", index: 1 })[0]!.n).toBeGreaterThan(100);
    expect(rows("column-space", "null-matched-all", { matrix: "mlp.down" })).toHaveLength(4);
    expect(rows("overlap", "column-next", { matrix: "mlp.down", index: 1 })).toHaveLength(3);
    expect(rows("overlap", "row-others", { matrix: "mlp.up", index: 1 })[0]!.n).toBe(3);
  });

  test("does nothing the second time", async () => {
    const { code, out } = await audit(...pair, "--weights", "--name", twin);
    expect(code).toBe(0);
    expect(out).toContain("Everything is done already");
  });
});

test("the report of an audit has the sections of what it measured and no others", () => {
  const page = readFileSync(join(scratch, "runs/a_llama2_tuned/report.html"), "utf8");
  const sections = [...page.matchAll(/<h2 id="([a-z-]+)"/g)].map((found) => found[1]);
  expect(sections).toEqual(["weights", "column-space", "layer-overlap", "run", "time"]);
  expect(page).toContain("What tuning changed between a_llama2 and a_llama2_tuned (llama, 4 blocks, width 64)");
  expect(page).not.toContain('class="absent"');
  // The planted changes of the second and fourth block leave the column space, those of the others do not.
  expect(page).toMatch(/mlp\.gate<\/th>.{0,400}2 of 4/s);
  for (const figure of [
    "weights-spectra",
    "weights-energy-ranks",
    "column-space-mlp-gate",
    "column-space-all",
    "layer-overlap",
  ])
    expect(existsSync(join(scratch, `runs/a_llama2_tuned/figures/${figure}.png`))).toBe(true);
});

test("a change planted in GPT-2, whose matrices are stored the other way and three in one, is found in its own matrix", async () => {
  // c_attn [in, out]: the middle third of the columns are the keys.
  const dir = changed("f_gpt2", "gpt2-keys", (tensor, value) => {
    if (!tensor.endsWith("h.0.attn.c_attn.weight")) return value;
    const data = (value.data as Float32Array).slice();
    const [inputs, outputs] = value.shape as [number, number];
    for (let i = 0; i < inputs; i++) data[i * outputs + outputs / 3 + 1]! += 2;
    return { ...value, data };
  });
  const { code } = await audit(fixture("checkpoints/f_gpt2"), dir, "--name", "keys", "--blocks", "1");
  expect(code).toBe(0);
  const rows = await rowsOf("keys");
  const moved = rows("weights", "norm", { block: 1 }).filter((row) => row.value > 0);
  expect(rows("weights", "norm", { block: 1 })).toHaveLength(6); // no gate
  expect(moved.map((row) => row.matrix)).toEqual(["attn.k"]);
  expect(rows("weights", "energy-rank", { matrix: "attn.k", index: 99 })[0]!.value).toBe(1);
});

test("a control's own angles stand beside those of the tuning", async () => {
  const control = changed("a_llama2", "plain-tuning", (tensor, value) => {
    if (!tensor.endsWith("layers.0.mlp.up_proj.weight")) return value;
    return { ...value, data: (value.data as Float32Array).map((x, i) => x + 0.01 * Math.sin(i * i)) };
  });
  const words = ["--control", control, "--name", "controlled", "--blocks", "1", "--matrices", "mlp.up"];
  const { code } = await audit(fixture("checkpoints/a_llama2"), fixture("twins/a_llama2_tuned"), ...words);
  expect(code).toBe(0);
  const rows = await rowsOf("controlled");
  expect(rows("column-space", "null-continue", {}).map((row) => row.index)).toEqual(
    [...Array(16).keys()].map((i) => i + 1),
  );
  const [all] = rows("column-space", "null-continue-all", {});
  expect(all!.value).toBeGreaterThan(0.5); // a random change of a [172, 64] matrix is mostly outside
});

test("different vocabularies are allowed, and said", async () => {
  const dir = changed(
    "a_llama2",
    "longer",
    (tensor, value) => {
      if (!/embed_tokens|lm_head/.test(tensor)) return value;
      const [tokens, width] = value.shape as [number, number];
      const data = new Float32Array((tokens + 2) * width);
      data.set(value.data as Float32Array);
      return { ...value, shape: [tokens + 2, width], data };
    },
    (text) => text.replace('"vocab_size": 128', '"vocab_size": 130'),
  );
  const { code, out } = await audit(fixture("checkpoints/a_llama2"), dir, "--plan");
  expect(code).toBe(0);
  expect(out).toContain("The vocabularies differ (128 and 130 tokens)");
});

test("the same checkpoint twice: said, and every change is zero", async () => {
  const base = fixture("checkpoints/e_qwen2");
  const { code, out } = await audit(base, base, "--name", "same", "--blocks", "1", "--matrices", "attn.v");
  expect(code).toBe(0);
  expect(out).toContain("hold the same weights: every change is zero");
  const rows = await rowsOf("same");
  expect(rows("column-space", "norm", {}).map((row) => row.value)).toEqual([0]);
});

test("--plan says what it would do and writes nothing", async () => {
  const { code, out } = await audit(
    fixture("checkpoints/a_llama2"),
    fixture("twins/a_llama2_tuned"),
    "--plan",
    "--name",
    "never",
  );
  expect(code).toBe(0);
  expect(out).toMatch(/28 matrices in 4 blocks, 1\.5 MiB to read/);
  expect(out).toMatch(/MiB of memory/);
  expect(existsSync(join(scratch, "runs/never"))).toBe(false);
});

describe("one clear sentence for", () => {
  const a = fixture("checkpoints/a_llama2");
  const tuned = fixture("twins/a_llama2_tuned");
  test.each([
    ["another architecture", [a, fixture("checkpoints/f_gpt2")], /is a llama model and .* a gpt2 model/],
    [
      "other shapes",
      [a, fixture("checkpoints/b_llama3_sharded")],
      /Tensor "model\.layers\.0\.mlp\.gate_proj\.weight" is \[172, 64\] in .* and \[128, 64\] in/,
    ],
    ["a folder that is none", [a, "/nowhere"], /\/nowhere cannot be read/],
    ["blocks that there are not", [a, tuned, "--blocks", "3-5"], /"3-5" names no blocks of this model; it has 1 to 4/],
    ["no list of blocks", [a, tuned, "--blocks", "1;2"], /names no blocks/],
    ["a matrix that there is not", [a, tuned, "--matrices", "mlp.gat"], /did you mean "mlp\.gate"/],
    [
      "a gate in GPT-2",
      [fixture("checkpoints/f_gpt2"), fixture("checkpoints/f_gpt2"), "--matrices", "mlp.gate"],
      /a gpt2 model has no matrix "mlp\.gate"/,
    ],
    ["a name that is a path", [a, tuned, "--name", "../x"], /cannot be called/],
  ])("%s", async (_, words, sentence) => {
    const { code, err, out } = await audit(...words);
    expect(err).toMatch(sentence);
    expect(err.trim().split("\n")).toHaveLength(1);
    expect(code).toBe(2);
    expect(out).toBe("");
  });

  test("a number that is not finite, naming its tensor", async () => {
    const dir = changed("a_llama2", "broken", (tensor, value) => {
      if (!tensor.endsWith("layers.1.mlp.down_proj.weight")) return value;
      const data = (value.data as Float32Array).slice();
      data[7] = Number.NaN;
      return { ...value, data };
    });
    const { code, err } = await audit(a, dir, "--name", "broken", "--blocks", "2");
    expect(err).toMatch(/tensor "model\.layers\.1\.mlp\.down_proj\.weight" holds NaN/);
    expect(code).toBe(2);
  });
});

test("parseBlocks", () => {
  expect(parseBlocks("5-7, 1,6", 8)).toEqual([1, 5, 6, 7]);
  expect(parseBlocks(undefined, 3)).toEqual([1, 2, 3]);
});

test("a checkpoint is called by its folder, or by its model where the folder is a hash", () => {
  expect(memberName("/models/Llama-2-7b-chat-hf/")).toBe("Llama-2-7b-chat-hf");
  expect(memberName("/hub/models--meta-llama--Llama-2-7b-chat-hf/snapshots/f5db02db")).toBe("Llama-2-7b-chat-hf");
  expect(memberName("instruct")).toBe("tuned-instruct"); // "instruct" is W_IT of a study
});
