import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Io } from "../../src/cli/io.js";
import { main } from "../../src/cli/main.js";
import { buildStudy } from "../../src/study/build.js";
import { nodeFileSystem } from "../../src/study/fileSystem.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import { lockRun } from "../../src/study/lock.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";
import { runConfigText } from "../../src/study/runConfig.js";
import { stageFolderName } from "../../src/study/stage.js";
import { memoryIo } from "./memoryIo.js";
import { tinyWorld } from "./tinyWorld.js";

let folder: string;
let run: string;
let named: string[];
/** Attempts at a stage that is done, and at one that is still to do. */
let lost: string;
let kept: string;

const OLD = "pretrain-aaaaaaaaaaaa";
const REMOVED = () => [
  `stages/${lost}`,
  `stages/${OLD}`,
  "stages/.tune-bbbbbbbbbbbb.attempt-2",
  "results/x.json.host-1.tmp",
];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-clean-"));
  run = join(folder, "whole");
  await writeFile(join(folder, "tiny.json"), JSON.stringify(tinyWorld));
  const config = await resolveConfig({ source: "smoke", set: [`world=${join(folder, "tiny.json")}`], device: "cpu" });
  named = [...new Set(buildStudy(config, await loadWorld(config.world)).map(stageFolderName))];
  lost = `.${named[0]}.attempt-1`;
  kept = `.${named[1]}.attempt-1`;
  await mkdir(join(run, "results"), { recursive: true });
  await writeFile(join(run, "config.yaml"), runConfigText(config));
  for (const stage of [named[0]!, lost, kept, OLD, ".tune-bbbbbbbbbbbb.attempt-2"]) {
    await mkdir(join(run, "stages", stage), { recursive: true });
    await writeFile(join(run, "stages", stage, "file"), "x".repeat(2048));
  }
  await writeFile(join(run, "results", "x.json.host-1.tmp"), "x");
  await writeFile(join(run, "notes.txt"), "a person's own");
});
afterEach(() => rm(folder, { recursive: true }));

async function cleanRun(more: readonly string[] = [], confirm?: Io["confirm"]) {
  const { io, written } = memoryIo();
  const code = await main(["clean", run, ...more], confirm === undefined ? io : { ...io, confirm });
  return { code, ...written };
}

const everything = async () => (await readdir(run, { recursive: true })).sort();

describe("clean", () => {
  test("lists what no manifest names, asks, and removes that and nothing else", async () => {
    const before = await everything();
    const questions: string[] = [];
    const { code, out, err } = await cleanRun([], async (question) => questions.push(question) > 0);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    for (const path of REMOVED()) expect(out).toContain(`  ${path}  `);
    expect(out.match(/^ {2}/gm)).toHaveLength(4);
    expect(questions).toEqual([`Remove 4 items, 6.00 KiB from ${run}?`]);
    const gone = before.filter((path) => REMOVED().some((one) => path === one || path.startsWith(`${one}/`)));
    expect(await everything()).toEqual(before.filter((path) => !gone.includes(path)));
    expect(await readdir(join(run, "stages"))).toEqual([kept, named[0]!].sort());
    expect((await cleanRun()).out).toBe(`${run}: nothing to remove.\n`);
  });

  test("a no, --dry-run, and nobody to ask leave everything as it is", async () => {
    const before = await everything();
    expect((await cleanRun([], async () => false)).out).toContain("Nothing was removed.");
    expect(await cleanRun(["--dry-run"])).toMatchObject({ code: 0, out: expect.stringContaining("would be removed") });
    const refused = await cleanRun();
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(/^nullscope: Nothing was removed [^\n]*give --yes[^\n]*\n$/);
    expect(await everything()).toEqual(before);
  });

  test("--yes asks nobody", async () => {
    const { code, out } = await cleanRun(["--yes"], async () => expect.fail("asked"));
    expect(code).toBe(0);
    expect(out).toContain(`Removed 4 items, 6.00 KiB from ${run}.`);
  });

  test("refuses while the run is held", async () => {
    const release = await lockRun(nodeFileSystem, run);
    const before = await everything();
    const { code, err } = await cleanRun(["--yes"]);
    expect(code).toBe(2);
    expect(err).toContain(`is in use by process ${process.pid}`);
    expect(await everything()).toEqual(before);
    await release();
  });

  test("where the configuration cannot be read, stages are left alone and the reason is said", async () => {
    await writeFile(join(run, "config.yaml"), "nonsense: true\n");
    const { code, out, err } = await cleanRun(["--yes"]);
    expect(code).toBe(0);
    expect(err).toMatch(/^nullscope: stages are left alone[^\n]*nonsense[^\n]*\n$/);
    expect(out).toContain("Removed 2 items"); // the attempt at a finished stage, and the temporary file
    expect(await readdir(join(run, "stages"))).toContain(OLD);
  });

  test("what is no run is refused", async () => {
    await mkdir(join(folder, "other"));
    const { io, written } = memoryIo();
    expect(await main(["clean", join(folder, "other"), "--yes"], io)).toBe(2);
    expect(written.err).toContain("is not a run");
  });
});
