import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSafetensors } from "../../src/checkpoint/safetensors.js";
import { main } from "../../src/cli/main.js";
import { openRun } from "../../src/study/openRun.js";
import type { ResultRow } from "../../src/study/results.js";
import { sealJson } from "../../src/study/seal.js";
import { ATTACK_ACTIVATIONS } from "../../src/study/stages/attack.js";
import { memoryIo } from "./memoryIo.js";
import { tinyWorld } from "./tinyWorld.js";

// One study of a few steps, attacked again and again: what it learned does not matter here.
let folder: string;
let runFolder: string;
let study: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-attack-"));
  const world = join(folder, "tiny.json");
  await writeFile(world, JSON.stringify(tinyWorld));
  runFolder = join(folder, "runs", "tiny");
  const settings = {
    world,
    "model.width": 16,
    "model.blocks": 1,
    "model.heads": 2,
    "model.mlp": 16,
    "pretrain.steps": 2,
    "pretrain.warmup": 1,
    "tune.steps": 2,
    "tune.methods": "[ssft]",
    "tune.controls.methods": "[]",
    "tune.dynamics.fractions": "[]",
    "evaluate.samples": 16,
    measures: "[behaviour, clusters]",
    "attacks.soft-prompt.samples": 12,
    "attacks.soft-prompt.strengths": "[1, 2]",
    "attacks.soft-prompt.activations": "[2]",
    "attacks.run": "[soft-prompt, gcg, prefix]",
    "attacks.prefix.samples": 16,
    "attacks.gcg.samples": 8,
    "attacks.gcg.strengths": "[1, 2, 9]", // 9: more than a text of two letters has, passed over
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
const attack = (checkpoint: string, name: string, ...more: string[]) =>
  run("attack", "tiny", "--runs", join(folder, "runs"), "--checkpoint", checkpoint, "--attack", name, ...more);
const rows = async (): Promise<ResultRow[]> => (await openRun(runFolder)).results("attacks").rows();

describe("in a study", () => {
  test("every attack has its rows on the checkpoints of its rates, at strength 0 and at each strength, with intervals", async () => {
    const all = await rows();
    expect(new Set(all.map(({ checkpoint }) => checkpoint))).toEqual(new Set(["ssft-medium"]));
    const whole = (set: string, metric: string) =>
      all.filter((row) => row.set === set && row.metric === metric && row.branch === undefined);
    for (const [set, strengths, n] of [
      ["soft-prompt", [0, 1, 2], 12],
      ["gcg", [0, 1, 2], 8],
    ] as const)
      for (const metric of ["success", "null"]) {
        expect(whole(set, metric).map(({ index }) => index)).toEqual(strengths);
        for (const row of whole(set, metric)) {
          expect(row).toMatchObject({ measure: "attacks", checkpoint: "ssft-medium", seed: 0, n });
          expect(row.low!).toBeLessThanOrEqual(row.value);
          expect(row.high!).toBeGreaterThanOrEqual(row.value);
          expect(row.chance).toBeGreaterThan(0);
        }
      }
    // Forcing leaves out outputs of which nothing would remain.
    const forced = whole("prefix", "success");
    expect(forced.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(forced[2]!.n!).toBeLessThan(forced[1]!.n!);
    expect(whole("soft-prompt", "loss").map(({ index, n }) => [index, n])).toEqual(
      [0, 1, 2].map((index) => [index, 12]),
    );
    expect(whole("gcg", "loss")).toEqual([]);
    // Per branch too, and the branches make up the whole.
    const branches = all.filter(
      (row) => row.set === "gcg" && row.metric === "success" && row.index === 1 && row.branch,
    );
    expect(branches.map(({ branch, n }) => [branch, n])).toEqual([
      ["A", 4],
      ["B", 4],
    ]);
  });

  test("strength 0 is the behaviour on the same samples", async () => {
    for (const [metric, same] of [
      ["success", "instruct"],
      ["null", "null"],
    ] as const) {
      const attacked = (await rows()).filter((row) => row.set === "prefix" && row.metric === metric && row.index === 0);
      const plain = await (await openRun(runFolder))
        .results("behaviour")
        .where({ checkpoint: "ssft-medium", set: "unsafe", metric: same });
      const numbers = ({ branch, value, n, low, high, chance }: ResultRow) => [branch, value, n, low, high, chance];
      expect(attacked.map(numbers)).toEqual(plain.map(numbers));
      expect(attacked).toHaveLength(3); // all, A and B
    }
  });

  test("activations under the attack are kept: of both q, every block, with each attempt's success", async () => {
    const stages = await readdir(join(runFolder, "stages"));
    const files = [];
    for (const stage of stages)
      if ((await readdir(join(runFolder, "stages", stage))).includes(ATTACK_ACTIVATIONS))
        files.push(join(runFolder, "stages", stage, ATTACK_ACTIVATIONS));
    expect(files).toHaveLength(1);
    const { tensors } = parseSafetensors(await readFile(files[0]!), files[0]!);
    expect([...tensors].map(([name, { shape }]) => [name, shape])).toEqual([
      ["2/q1/block0", [12, 16]],
      ["2/q10/block0", [12, 16]],
      ["2/success", [12]],
    ]);
  });

  test("attacked samples are measured against the class means, in every block, all and by outcome", async () => {
    const clusters = (await openRun(runFolder)).results("clusters");
    const attacked = await clusters.where({ set: "soft-prompt-2" });
    expect(new Set(attacked.map(({ metric, index }) => `${metric} ${index}`))).toEqual(
      new Set(["tau 1", "tau 10", "cosine-tau 1", "cosine-tau 10", "norm 1", "norm 10"]),
    );
    // Of twelve samples rows 4 .. 7 are in the measured half.
    for (const row of attacked) expect(row).toMatchObject({ checkpoint: "ssft-medium", block: 1, n: 4 });
    // A model of a few steps is never right: all attempts failed.
    expect(attacked.filter(({ outcome }) => outcome === "success")).toEqual([]);
    const all = attacked.filter(({ outcome }) => outcome === undefined);
    const failed = attacked.filter(({ outcome }) => outcome === "failure");
    expect(failed.map(({ value }) => value)).toEqual(all.map(({ value }) => value));
    expect(all).toHaveLength(6);
  });
});

describe("nullscope attack", () => {
  test("it adds rows that a later study keeps, writes the report, and leaves config.yaml as it is", async () => {
    const config = await readFile(join(runFolder, "config.yaml"), "utf8");
    const before = await rows();
    const { code, out, err } = await attack(
      "instruct",
      "gcg",
      "--strength",
      "2,1",
      "--samples",
      "8",
      "--set",
      "budget=5",
    );
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("gcg on instruct seed 0, strength 2: success ");
    expect(out).toContain("report.html");
    const after = await rows();
    const added = after.filter(({ checkpoint }) => checkpoint === "instruct");
    expect(new Set(added.map(({ index, set }) => `${set} ${index}`))).toEqual(new Set(["gcg 0", "gcg 1", "gcg 2"]));
    expect(after.filter(({ checkpoint }) => checkpoint !== "instruct")).toEqual(before);
    expect(await readFile(join(runFolder, "config.yaml"), "utf8")).toBe(config);
    expect(await readdir(join(runFolder, "requests"))).toEqual(["0001.json", "0001.json.copy"]);
    const results = await readFile(join(runFolder, "results", "attacks.json"), "utf8");
    expect(await run(...study)).toMatchObject({ code: 0, out: expect.stringContaining("Everything is done already") });
    expect(await readFile(join(runFolder, "results", "attacks.json"), "utf8")).toBe(results);
    expect(await attack("instruct", "gcg", "--strength", "2,1", "--samples", "8", "--set", "budget=5")).toMatchObject({
      code: 0,
      out: expect.stringContaining("Everything is done already"),
    });
    expect(await readdir(join(runFolder, "requests"))).toEqual(["0001.json", "0001.json.copy"]);
  });

  test("asked for again with other settings, the newest rows take the place of the older, the rest stays", async () => {
    const before = await rows();
    await attack("ssft-medium", "prefix", "--strength", "1", "--samples", "40");
    const after = await rows();
    const key = ({ set, checkpoint, metric, index, branch }: ResultRow) =>
      [set, checkpoint, metric, index, branch].join();
    expect(after.map(key)).toEqual(before.map(key)); // none twice, none lost
    const changed = after.filter((row, i) => JSON.stringify(row) !== JSON.stringify(before[i]));
    expect(new Set(changed.map(({ set, index }) => `${set} ${index}`))).toEqual(new Set(["prefix 0", "prefix 1"]));
  });

  test.each<[string, string[], string]>([
    ["a run that is not there", ["absent", "--checkpoint", "instruct", "--attack", "gcg"], 'There is no run "absent"'],
    [
      "an unknown checkpoint",
      ["tiny", "--checkpoint", "ssft-medum", "--attack", "gcg"],
      'There is no checkpoint "ssft-medum"; did you mean "ssft-medium"?',
    ],
    [
      "an unknown attack",
      ["tiny", "--checkpoint", "instruct", "--attack", "soft-promt"],
      'There is no attack "soft-promt"; did you mean "soft-prompt"?',
    ],
    [
      "a strength that is none",
      ["tiny", "--checkpoint", "instruct", "--attack", "gcg", "--strength", "1,x"],
      '--strength must be a whole number from 1 to 1000, not "x".',
    ],
    [
      "a strength that the world has no room for",
      ["tiny", "--checkpoint", "instruct", "--attack", "prefix", "--strength", "4"],
      "--strength 4 is too much for prefix",
    ],
    [
      "a strength given twice",
      ["tiny", "--checkpoint", "instruct", "--attack", "gcg", "--strength", "1,1"],
      "names a strength twice",
    ],
    [
      "a setting that the attack has not",
      ["tiny", "--checkpoint", "instruct", "--attack", "gcg", "--set", "steps=3"],
      '"attacks.gcg.steps" is not a setting',
    ],
    ["no samples", ["tiny", "--checkpoint", "instruct", "--attack", "gcg", "--samples", "0"], "--samples must be"],
    ["no attack", ["tiny", "--checkpoint", "instruct"], "Required option '--attack <name>' not specified"],
  ])("%s is one clear sentence with exit code 2", async (_what, argv, message) => {
    const files = await readdir(runFolder);
    const { code, out, err } = await run("attack", ...argv, "--runs", join(folder, "runs"));
    expect(err).toContain(message);
    expect(err).toMatch(/^nullscope: [^\n]*\n$/);
    expect(out).toBe("");
    expect(code).toBe(2);
    expect(await readdir(runFolder)).toEqual(files);
  });

  test("a checkpoint that is not finished is refused, not made; a damaged request is named", async () => {
    const { whole: stages } = await (await openRun(runFolder)).stages();
    const tune = stages.find(({ name }) => name === "tune ssft-medium seed 0")!;
    const weights = join(runFolder, "stages", `tune-${tune.identity.slice(0, 12)}`, "model.safetensors");
    const whole = await readFile(weights);
    await writeFile(weights, whole.subarray(0, 100));
    const refused = await attack("ssft-medium", "gcg");
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(
      /^nullscope: The run tiny has no finished checkpoint ssft-medium of seed 0[^\n]*nullscope study[^\n]*\n$/,
    );
    await writeFile(weights, whole);
    await mkdir(join(runFolder, "requests"), { recursive: true });
    const damaged = join(runFolder, "requests", "9999.json");
    const incomplete = '{"schema": "nullscope/attack-request@1", "attack": "gcg", "checkpoint": "instruct"}';
    for (const [text, words] of [
      [incomplete, "is damaged: it has no seal at its end"],
      [sealJson(incomplete), "is no request for an attack"],
    ] as const) {
      await writeFile(damaged, text);
      for (const argv of [
        study,
        ["attack", "tiny", "--runs", join(folder, "runs"), "--checkpoint", "instruct", "--attack", "gcg"],
      ]) {
        const { code, err } = await run(...argv);
        expect(code).toBe(2);
        expect(err).toMatch(new RegExp(`^nullscope: [^\\n]*9999\\.json ${words}[^\\n]*\\n$`));
      }
    }
    await rm(damaged);
  });
});
