import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { claimsTable } from "../../src/cli/claims.js";
import { main } from "../../src/cli/main.js";
import { runToEnd } from "../../src/cli/study.js";
import { writeRows } from "../../src/study/assembleResults.js";
import { type ClaimsFile, loadClaims, recordedClaims, storeClaims } from "../../src/study/claims/index.js";
import { openRun } from "../../src/study/openRun.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";
import type { ResultRow } from "../../src/study/results.js";
import { runConfigText } from "../../src/study/runConfig.js";
import type { Stage } from "../../src/study/stage.js";
import { memoryIo } from "./memoryIo.js";

const EXAMPLE = "examples/claims/my-claim.yaml";
let folder: string;
let runFolder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-cli-claims-"));
  runFolder = join(folder, "r");
});
afterEach(() => rm(folder, { recursive: true }));

async function run(...argv: string[]) {
  const { io, written } = memoryIo();
  return { code: await main(argv, io), ...written };
}

const at = { seed: 0, n: 100 } as const;
const refusals = (checkpoint: string, value: number): ResultRow => ({
  ...{ measure: "behaviour", metric: "null", checkpoint, set: "safe", value, ...at },
  ...{ low: value - 0.01, high: value + 0.01 },
});
const separation = (checkpoint: string, value: number): ResultRow => ({
  ...{ measure: "clusters", metric: "separation", checkpoint, block: 3, index: 1, value, ...at },
  ...{ low: value - 0.5, high: value + 0.5 },
});
const ROWS = [
  ...[refusals("dpo-medium", 0.2), refusals("ssft-medium", 0.05)],
  ...[separation("ssft-medium", 1), separation("continue-medium", 4)],
];

const measuring = (measure: string): Stage => ({
  ...{ kind: "test", name: measure, version: 1, config: { measure }, inputs: [] },
  run: (context) =>
    writeRows(
      context,
      ROWS.filter((row) => row.measure === measure),
    ),
});

/** A run of two stages with planted rows, to its end, as "nullscope study" goes through it. */
async function study(claims: readonly ClaimsFile[]) {
  const { io, written } = memoryIo();
  const config = await resolveConfig({ source: "smoke", claims: claims.map((one) => one.name) });
  const text = runConfigText(config, recordedClaims(claims));
  await runToEnd([measuring("behaviour"), measuring("clusters")], runFolder, text, false, io, {
    begin: () => storeClaims(runFolder, claims),
  });
  return { ...written, code: io.exitCode };
}

describe("verdicts of a run", () => {
  test("the worked example: decided at the end of the study, printed, written with its hash, and the same again", async () => {
    const claims = await loadClaims([EXAMPLE]);
    const { out } = await study(claims);
    expect(out).toMatch(/over-refusal +supported +0\.15 +\[0\.136, 0\.164\] +0 +100 +1 +DPO refuses more/);
    expect(out).toMatch(/control-separation +contradicted +1 +\[0\.293, 1\.71\] +4/);
    expect(out).toMatch(/control-norm +undecided.*\(not measured: clusters has no metric "norm"\)/);
    expect(out).toContain("One seed");
    const path = join(runFolder, "results", "claims.json");
    const written = await readFile(path, "utf8");
    const json = JSON.parse(written);
    expect(json).toMatchObject({ schema: "nullscope/claims@1", files: [{ file: EXAMPLE, sha256: claims[0]!.sha256 }] });
    expect(json.rows[0]).toMatchObject({ id: "over-refusal", verdict: "supported", chance: 0, seeds: 1, n: 100 });
    expect(await readFile(join(runFolder, "config.yaml"), "utf8")).toContain(claims[0]!.sha256);
    await study(claims);
    expect(await readFile(path, "utf8")).toBe(written);
  });

  test("nullscope claims prints them, as a table and as JSON; openRun reads them; they are no measure", async () => {
    await study(await loadClaims([EXAMPLE]));
    const { code, out } = await run("claims", "r", "--runs", folder);
    expect(code).toBe(0);
    expect(out).toContain("control contradicted, 1 contradicted, 1 undecided: What tuning does");
    const json = await run("claims", runFolder, "--json");
    expect(json.out).toBe(await readFile(join(runFolder, "results", "claims.json"), "utf8"));
    const opened = await openRun(runFolder);
    expect(opened.measures).toEqual(["behaviour", "clusters"]);
    expect((await opened.claims())!.rows.map(({ id }) => id)).toEqual([
      "over-refusal",
      "control-separation",
      "control-norm",
    ]);
  });

  test("other claims by the same results, after the fact: printed, not written", async () => {
    await study(await loadClaims([EXAMPLE]));
    const before = await readdir(join(runFolder, "results"));
    const { code, out } = await run("claims", runFolder, "--claims", "paper");
    expect(code).toBe(0);
    expect(out).toMatch(/O2-random-ssft +undecided/);
    expect(await readdir(join(runFolder, "results"))).toEqual(before);
    expect((await (await openRun(runFolder)).claims())!.files[0]!.file).toBe(EXAMPLE);
  });

  test("the run's own copy decides: one that was changed is refused", async () => {
    const [mine] = await loadClaims([EXAMPLE]);
    await study([mine!]);
    await writeFile(join(runFolder, "claims", `${mine!.sha256.slice(0, 12)}.yaml`), "claims: []");
    const { readStoredClaims } = await import("../../src/study/claims/index.js");
    await expect(readStoredClaims(runFolder)).rejects.toThrow("its hash differs");
  });

  test("without claims there is no file, and the command says what to do", async () => {
    await study(await loadClaims([EXAMPLE]));
    await study([]);
    expect(await readdir(join(runFolder, "results"))).not.toContain("claims.json");
    const { code, err } = await run("claims", runFolder);
    expect(code).toBe(2);
    expect(err).toContain("has no verdicts yet");
  });

  test("a study refuses claims that cannot be read before it writes anything", async () => {
    const bad = join(folder, "bad.yaml");
    await writeFile(bad, "claims: [{ id: X }]");
    const { code, err } = await run("study", "smoke", "--claims", bad, "--runs", folder);
    expect(code).toBe(2);
    expect(err).toContain("bad.yaml: X: statement is missing");
    expect(await readdir(folder)).toEqual(["bad.yaml"]);
  });
});

test("control characters of a claims file do not reach the terminal, and lines are cut to its width", () => {
  const row = {
    id: "X",
    claim: "X",
    statement: `\u001b[31m${"s".repeat(200)}`,
    verdict: "undecided",
    corrected: "undecided",
  };
  const table = claimsTable(
    {
      ...{ schema: "nullscope/claims@1", files: [] },
      rows: [{ ...row, seeds: 0, rule: "r", measure: "m" }] as never,
      claims: [{ ...row, source: "s", parts: ["X"] }] as never,
    },
    80,
  );
  expect(table).not.toContain("\u001b");
  for (const line of table.split("\n").slice(0, -1)) expect(line.length).toBeLessThanOrEqual(80);
});
