import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../../src/cli/main.js";
import { memoryIo } from "./memoryIo.js";
import { tinyWorld } from "./tinyWorld.js";

let folder: string;
let run: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-flipped-"));
  run = join(folder, "runs", "whole");
  await writeFile(join(folder, "tiny.json"), JSON.stringify(tinyWorld));
  expect((await study()).code).toBe(0);
  // Something that was asked for afterwards, so that the run has a request too.
  const asked = await nullscope(
    ...["attack", "whole", "--runs", join(folder, "runs"), "--checkpoint", "ssft-medium"],
    ...["--attack", "prefix", "--samples", "8"],
  );
  expect(asked.err).toBe("");
  expect((await study()).code).toBe(0);
});
afterAll(() => rm(folder, { recursive: true }));

async function nullscope(...argv: string[]) {
  const { io, written } = memoryIo();
  return { code: await main(argv, io), ...written };
}

function study() {
  const changes = [
    `world=${join(folder, "tiny.json")}`,
    "pretrain.steps=6",
    "pretrain.warmup=2",
    "tune.steps=4",
    "tune.methods=[ssft]",
    "measures=[behaviour, column-space]",
    "attacks.run=[]",
    "interventions.run=[]",
    "tune.rates.small=null",
    "tune.controls.methods=[]",
    "tune.dynamics.fractions=[]",
    "evaluate.samples=20",
    "evaluate.batch=10",
  ];
  const set = changes.flatMap((change) => ["--set", change]);
  return nullscope("study", "smoke", "--name", "whole", "--claims", "paper", "--runs", join(folder, "runs"), ...set);
}

const verify = () => nullscope("verify", run);

async function allFiles(): Promise<string[]> {
  const entries = await readdir(run, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(run, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

/** What must be the same again: all bytes, but for the times in which a stage or the report was made. */
async function content(path: string): Promise<string> {
  const bytes = await readFile(join(run, path));
  if (!path.endsWith("manifest.json")) return createHash("sha256").update(bytes).digest("hex");
  const { identity, inputs, outputs } = JSON.parse(bytes.toString()) as Record<string, unknown>;
  return JSON.stringify({ identity, inputs, outputs });
}

test("one flipped byte in any file of a run is found and named, and the same study command makes the file anew", async () => {
  expect(await verify()).toMatchObject({ code: 0, err: "" });
  const files = await allFiles();
  for (const folderOf of [
    "config.yaml",
    "claims/",
    "requests/",
    "results/",
    "stages/",
    "figures/",
    "report.html",
    "report.json",
  ])
    expect(files.filter((path) => path.startsWith(folderOf)).length, folderOf).toBeGreaterThan(0);
  expect(files.length).toBeGreaterThan(40);
  // The report says how long each stage took, so it is not the same bytes once a stage was made anew.
  const timed = (path: string) => path === "report.html" || path === "report.json";
  const before = new Map<string, string>();
  for (const path of files) before.set(path, await content(path));

  for (const path of files) {
    const bytes = await readFile(join(run, path));
    const chosen = createHash("sha256").update(path).digest().readUInt32LE(0);
    const at = chosen % bytes.length;
    bytes[at] = bytes[at]! ^ (1 + ((chosen >>> 8) % 255));
    await writeFile(join(run, path), bytes);

    const found = await verify();
    expect(found.code, path).toBe(1);
    expect(found.out, path).toContain(`DAMAGED ${path}: `);

    const again = await study();
    expect(again, path).toMatchObject({ code: 0, err: "" });
    // A stage is named with the file in it that was damaged.
    const [top, stage] = path.split("/") as [string, string?];
    const named =
      top === "stages"
        ? `Skipped ${stage}, it is made again: `
        : `Skipped ${path.split("/").at(-1)}, it is made again: `;
    expect(again.out, path).toContain(named);
    expect(again.out, path).toContain(
      path
        .split("/")
        .slice(top === "stages" ? 2 : 0)
        .join("/"),
    );

    if (!timed(path)) expect(await content(path), path).toBe(before.get(path));
    expect(await verify(), path).toMatchObject({ code: 0 });
  }
  expect(await allFiles()).toEqual(files);
});

test("a file that was deleted is found and made anew too, and what does not belong into a stage is found", async () => {
  const stage = (await allFiles()).find((path) => path.endsWith("model.safetensors"))!;
  for (const path of [stage, "results/behaviour.json", "results/results.parquet", "figures/jailbreaks.png"]) {
    await rm(join(run, path));
    expect((await verify()).code, path).toBe(1);
    expect((await study()).code, path).toBe(0);
    expect((await verify()).out, path).toContain("are as they were written");
  }
  await writeFile(join(run, stage.replace("model.safetensors", "more.txt")), "");
  expect(await verify()).toMatchObject({ code: 1, out: expect.stringContaining("more.txt is not in its manifest") });
  await study();
  expect((await verify()).code).toBe(0);
});

test("a machine gets the same as one JSON object", async () => {
  const path = join(run, "results", "behaviour.json");
  const bytes = await readFile(path);
  await writeFile(path, bytes.toString().replace('"value":', '"value": '));
  const { code, out } = await nullscope("verify", "whole", "--runs", join(folder, "runs"), "--json");
  expect(code).toBe(1);
  const found = JSON.parse(out) as { damaged: { path: string; reason: string }[] };
  expect(found.damaged.map((one) => one.path)).toEqual(["results/behaviour.json"]);
  await writeFile(path, bytes);
});

test("reading a damaged file refuses it by name: results, report, configuration", async () => {
  const swap = async (path: string, from: string, to: string) => {
    const text = await readFile(join(run, path), "utf8");
    expect(text).toContain(from);
    await writeFile(join(run, path), text.replace(from, to));
    return () => writeFile(join(run, path), text);
  };
  for (const [path, from, to, argv] of [
    ["results/behaviour.json", '"block":null', '"block":3', ["results", run]],
    ["results/behaviour.json", '"block":null', '"block":3', ["report", run]],
    ["results/claims.json", "undecided", "supported", ["claims", run]],
    ["config.yaml", "steps: 6", "steps: 7", ["results", run]],
    ["config.yaml", "steps: 6", "steps: 7", ["study", join(run, "config.yaml"), "--plan"]],
  ] as const) {
    const undo = await swap(path, from, to);
    const { code, err } = await nullscope(...argv);
    expect(code, path).toBe(2);
    expect(err, path).toMatch(/^nullscope: [^\n]*(damaged|changed after it was written)[^\n]*\n$/);
    expect(err).toContain(path);
    await undo();
  }
  expect((await verify()).code).toBe(0);
});
