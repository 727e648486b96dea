import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRun } from "../../src/study/openRun.js";

/** The study `smoke` through the built command, as a user starts it. */
const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nullscope-smoke-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function nullscope(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], { cwd: folder, encoding: "utf8" });
  return { status, stdout, stderr };
}

const study = (runs: string, ...more: string[]) => nullscope("study", "smoke", "--runs", runs, ...more);

/** sha256 of every result file and every checkpoint of a run, by path. */
function hashes(run: string): Record<string, string> {
  const files = readdirSync(join(folder, run, "smoke"), { recursive: true, encoding: "utf8" }).filter(
    (path) => /^results[\\/]/.test(path) || /model\.safetensors$|metrics\.jsonl$/.test(path),
  );
  return Object.fromEntries(
    files.sort().map((path) => [
      path,
      createHash("sha256")
        .update(readFileSync(join(folder, run, "smoke", path)))
        .digest("hex"),
    ]),
  );
}

describe("nullscope study smoke", () => {
  let first: ReturnType<typeof nullscope>;
  beforeAll(() => {
    first = study("one");
  });

  test("ends with a report, its figures and the results of every measure", async () => {
    expect(first.stderr).toBe("");
    expect(first.status).toBe(0);
    expect(first.stdout).toMatch(/Report: one[\\/]smoke[\\/]report\.html/);
    const run = await openRun(join(folder, "one", "smoke"));
    expect(run.measures).toEqual([
      "activation-space",
      "attacks",
      "behaviour",
      "clusters",
      "column-space",
      "interventions",
      "overlap",
      "patching",
      "probes",
      "refusal-direction",
      "row-space",
      "sensitivity",
      "training",
    ]);
    expect(
      readdirSync(join(folder, "one", "smoke", "figures")).filter((name) => name.endsWith(".png")).length,
    ).toBeGreaterThan(2);
    expect(readdirSync(join(folder, "one", "smoke", "results"))).toContain("results.parquet");
  });

  test("measures every checkpoint on every set, each share with its interval", async () => {
    const run = await openRun(join(folder, "one", "smoke"));
    const rows = await run.results("behaviour").where({ branch: undefined, step: undefined });
    const tuned = ["ssft", "dpo", "unlearning"].flatMap((method) => [`${method}-medium`, `${method}-small`]);
    expect(new Set(rows.map((row) => row.checkpoint))).toEqual(
      new Set(["instruct", ...tuned, "continue-medium", "shuffled-medium"]),
    );
    expect(new Set(rows.map((row) => row.set)).size).toBe(8);
    for (const { value, low, high, n } of rows) expect(low! <= value && value <= high! && n! > 0).toBe(true);
    const separation = await run.results("clusters").where({ metric: "separation", index: 1, step: undefined });
    expect(separation).toHaveLength(9 * 2);
  });

  test("even this small model learns its task, and to refuse", async () => {
    const run = await openRun(join(folder, "one", "smoke"));
    const value = async (checkpoint: string, set: string, metric: string) =>
      (await run.results("behaviour").where({ checkpoint, set, metric, branch: undefined, step: undefined }))[0]!.value;
    expect(await value("instruct", "safe", "instruct")).toBeGreaterThan(0.5);
    expect(await value("instruct", "unsafe", "null")).toBe(0);
    for (const checkpoint of ["ssft-medium", "dpo-medium", "unlearning-medium"]) {
      expect(await value(checkpoint, "unsafe", "null")).toBeGreaterThan(0.5);
      expect(await value(checkpoint, "safe", "instruct")).toBeGreaterThan(0.5);
    }
    expect(await value("continue-medium", "unsafe", "null")).toBe(0);
  });

  test("run again does nothing and says so", () => {
    const before = hashes("one");
    const again = study("one");
    expect(again.status).toBe(0);
    expect(again.stdout).toMatch(/Everything is done already: \d{3} stages verified, none to run\./);
    expect(hashes("one")).toEqual(before);
  });

  test("the same seed gives the same bytes with other threads and other workers", () => {
    const short = [
      "pretrain.steps=60",
      "pretrain.warmup=10",
      "tune.steps=20",
      "tune.rates.small=null",
      "tune.dynamics.fractions=[0.5]",
      // Every measure and attack; of the methods one with pairs and one without.
      "tune.methods=[ssft, dpo]",
      "tune.controls.methods=[continue]",
    ].flatMap((change) => ["--set", change]);
    expect(study("two", ...short).status).toBe(0);
    expect(study("again", ...short, "--threads", "3", "--workers", "1").status).toBe(0);
    expect(hashes("again")).toEqual(hashes("two"));
  });

  test("a learning rate that explodes is recorded as diverged; the rest goes on and is reported", () => {
    const exploded = study(
      "four",
      "--set",
      "tune.rates.medium=9",
      "--set",
      "tune.clip=1000000",
      "--set",
      "tune.dynamics.fractions=[]",
      "--set",
      "measures=[behaviour]",
      "--set",
      "attacks.run=[]",
      "--set",
      "interventions.run=[]",
      "--set",
      "pretrain.steps=30",
      "--set",
      "pretrain.warmup=5",
    );
    expect(exploded.status).toBe(3);
    expect(exploded.stderr).toMatch(/"tune ssft-medium seed 0", "tune dpo-medium seed 0".* diverged/);
    expect(exploded.stdout).toMatch(/Report: /);
  });
});
