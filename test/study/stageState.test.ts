import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { attemptState, type StageNews } from "../../src/study/attemptState.js";
import { nodeFileSystem } from "../../src/study/fileSystem.js";
import { openMetrics } from "../../src/study/metrics.js";
import { runStudy } from "../../src/study/runStudy.js";
import type { Stage, StageState } from "../../src/study/stage.js";
import { sealState } from "../../src/study/stageState.js";
import { saveStepsOf } from "../../src/study/stages/resumableTraining.js";
import { abandonAttempt, beginAttempt, commitAttempt, stageFolder } from "../../src/study/store.js";
import { faultyFileSystem } from "./faultyFileSystem.js";

let root: string;
let runFolder: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-state-"));
});
beforeEach(() => {
  runFolder = join(root, `run-${count++}`);
});
afterAll(() => rm(root, { recursive: true }));

const stage: Stage = { kind: "train", name: "training", version: 1, config: null, inputs: [], run: async () => {} };
const folder = () => stageFolder(runFolder, stage);
const lying = async () =>
  (await readdir(dirname(folder()))).map((name) => name.replace(basename(folder()), "TRAIN")).sort();

/** An attempt at the stage, and what its process would have. */
async function attempt(files = nodeFileSystem) {
  const own = await beginAttempt(files, folder());
  const metrics = openMetrics(files, join(own.folder, "metrics.jsonl"));
  const news: StageNews[] = [];
  const onNews = (one: StageNews) => void news.push(one);
  const state: StageState = attemptState(files, { stage, folder: folder(), attempt: own, metrics, onNews });
  const save = (step: number) => {
    metrics.write({ step });
    return state.save({ step, note: { of: step }, files: new Map([["weights", Uint8Array.of(step, 1, 2, 3)]]) });
  };
  return { ...own, metrics, state, save, news };
}

test("a new attempt goes on from the newest state of an older one: its files, its note, its metrics, and what was written by then", async () => {
  const first = await attempt();
  await first.save(2);
  await mkdir(join(first.folder, "steps"));
  await writeFile(join(first.folder, "steps", "3"), "three");
  await first.save(4);
  await writeFile(join(first.folder, "after"), "what came after the state is no part of it");
  const second = await attempt();
  expect(second.number).toBe(2);
  const loaded = await second.state.load();
  expect(loaded).toMatchObject({ step: 4, note: { of: 4 }, metrics: [{ step: 2 }, { step: 4 }] });
  expect([...loaded!.files]).toEqual([["weights", Uint8Array.of(4, 1, 2, 3)]]);
  expect(second.news).toEqual([{ type: "resumed", step: 4 }]);
  expect((await readdir(second.folder)).sort()).toEqual(["metrics.jsonl", "steps"]);
  expect(await readFile(join(second.folder, "steps", "3"), "utf8")).toBe("three");
  second.metrics.write({ step: 5 });
  await second.metrics.flush();
  expect(await readFile(join(second.folder, "metrics.jsonl"), "utf8")).toBe('{"step":2}\n{"step":4}\n{"step":5}\n');
});

test("the two newest states are kept, a finished stage has none, and the number of an attempt counts those that left only a state", async () => {
  const first = await attempt();
  for (const step of [1, 2, 3]) await first.save(step);
  expect(await lying()).toEqual([".TRAIN.attempt-1", ".TRAIN.attempt-1.state-2", ".TRAIN.attempt-1.state-3"]);
  await abandonAttempt(nodeFileSystem, first);
  const second = await attempt();
  expect(second.number).toBe(2);
  await second.save(7);
  expect(await lying()).toEqual([".TRAIN.attempt-1.state-3", ".TRAIN.attempt-2", ".TRAIN.attempt-2.state-7"]);
  const [started, finished] = [new Date(0), new Date(0)];
  await commitAttempt(nodeFileSystem, stage, folder(), second, { outcome: "done", started, finished });
  expect(await lying()).toEqual(["TRAIN"]);
});

test("without a state there is nothing to go on from, and nothing is said", async () => {
  const { state, news } = await attempt();
  expect(await state.load()).toBeUndefined();
  expect(news).toEqual([]);
});

const edit = (path: string, change: (text: string) => string) =>
  readFile(path, "utf8").then((text) => writeFile(path, change(text)));

test.each<[string, (state: string) => Promise<unknown>, string]>([
  [
    "a flipped byte",
    (at) => writeFile(join(at, "weights"), Uint8Array.of(4, 1, 2, 2)),
    "weights does not have the sha256",
  ],
  ["a torn file", (at) => writeFile(join(at, "weights"), Uint8Array.of(4, 1)), "weights has 2 bytes instead of 4"],
  ["an emptied file", (at) => writeFile(join(at, "output-0"), ""), "output-0 has 0 bytes"],
  ["a missing file", (at) => rm(join(at, "output-0")), "output-0 is missing"],
  ["no state.json", (at) => rm(join(at, "state.json")), "state.json is missing"],
  ["a torn state.json", (at) => edit(join(at, "state.json"), (text) => text.slice(0, 99)), "no valid JSON"],
  [
    "an edited state.json",
    (at) => edit(join(at, "state.json"), (text) => text.replace('"of": 4', '"of": 5')),
    "changed after",
  ],
  [
    "another schema",
    (at) => edit(join(at, "state.json"), (text) => text.replace("state@1", "state@2")),
    "not a state of this",
  ],
  [
    "a path that leads out",
    (at) => edit(join(at, "state.json"), (text) => text.replace('"metrics.jsonl"', '"../x"')),
    "not a state of this",
  ],
])("%s in the newest state is named, and the one before it is gone on from", async (_what, damage, reason) => {
  const first = await attempt();
  await first.save(2);
  await first.save(4);
  await damage(join(dirname(folder()), `.${basename(folder())}.attempt-1.state-4`));
  const second = await attempt();
  expect(await second.state.load()).toMatchObject({ step: 2, metrics: [{ step: 2 }] });
  expect(second.news).toEqual([
    { type: "rejected", folder: expect.stringMatching(/attempt-1\.state-4$/), reason: expect.stringContaining(reason) },
    { type: "resumed", step: 2 },
  ]);
  expect(await lying()).toEqual([".TRAIN.attempt-1.state-2", ".TRAIN.attempt-2"]);
  expect(await readFile(join(second.folder, "metrics.jsonl"), "utf8")).toBe('{"step":2}\n');
});

test("states of another stage, or of another version of what computes, are not gone on from", async () => {
  const first = await attempt();
  await first.save(2);
  const path = join(dirname(folder()), `.${basename(folder())}.attempt-1.state-2`, "state.json");
  for (const [change, reason] of [
    [{ identity: "0".repeat(64) }, "is of another stage"],
    [{ versions: { nullscope: "0.0.1", node: "v", onnxruntime: "1" } }, "it was made by nullscope 0.0.1"],
  ] as const) {
    const { sha256: _, ...fields } = JSON.parse(await readFile(path, "utf8")) as Parameters<typeof sealState>[0] & {
      sha256: string;
    };
    const kept = await readFile(path);
    await writeFile(path, sealState({ ...fields, ...change }));
    const next = await attempt();
    expect(await next.state.load()).toBeUndefined();
    expect(next.news).toMatchObject([{ type: "rejected", reason: expect.stringContaining(reason) }]);
    await mkdir(dirname(path));
    for (const [name, bytes] of [
      ["state.json", kept],
      ["weights", Uint8Array.of(2, 1, 2, 3)],
      ["output-0", '{"step":2}\n'],
    ] as const)
      await writeFile(join(dirname(path), name), bytes);
  }
  const last = await attempt();
  expect(await last.state.load()).toMatchObject({ step: 2 }); // what was changed was all that was wrong
  const refusing = await attempt();
  expect(await refusing.state.load(({ note }) => `the note is ${JSON.stringify(note)}`)).toBeUndefined();
  expect(refusing.news).toMatchObject([{ type: "rejected", reason: 'the note is {"of":2}' }]);
});

test("an old attempt that comes back can neither save a state nor touch a newer one's", async () => {
  const old = await attempt();
  await old.save(2);
  const kept = `${old.folder}-kept`;
  await rename(old.folder, kept); // what the killed job still holds, whatever the newer one clears away
  const newer = await attempt();
  await rename(kept, old.folder);
  await expect(old.save(3)).rejects.toThrow(
    'The stage "training" was started again as attempt 2, and this is attempt 1',
  );
  await rm(old.folder, { recursive: true });
  await expect(old.save(4)).rejects.toThrow("ENOENT");
  await newer.save(5);
  await newer.save(6);
  expect(await lying()).toEqual([".TRAIN.attempt-2", ".TRAIN.attempt-2.state-5", ".TRAIN.attempt-2.state-6"]);
  expect((await attempt()).number).toBe(3);
});

test("a state is durable before it has its name, and its name before older states go", async () => {
  const { files, operations } = faultyFileSystem(() => undefined);
  const { save, folder: own } = await attempt(files);
  await save(1);
  await save(2);
  operations.length = 0;
  await save(3);
  const writing = operations
    .filter((operation) => /^(sync|write|makeFolder|rename|remove)/.test(operation))
    .map((operation) => operation.replace(own, "OWN").replace(dirname(own), "STAGES"));
  expect(writing).toEqual([
    "makeFolder OWN.state-3.tmp",
    "write OWN.state-3.tmp/weights",
    "sync OWN.state-3.tmp/weights",
    "write OWN.state-3.tmp/output-0",
    "sync OWN.state-3.tmp/output-0",
    "write OWN.state-3.tmp/state.json",
    "sync OWN.state-3.tmp/state.json",
    "sync OWN.state-3.tmp",
    "rename OWN.state-3.tmp",
    "sync STAGES",
    "remove OWN.state-1",
  ]);
});

test("what attempts left at a finished stage, and half a state, go when a run begins; a whole state stays", async () => {
  const other: Stage = { ...stage, name: "other", config: 1 };
  await runStudy([stage], { runFolder });
  const [done, open] = [folder(), stageFolder(runFolder, other)].map((one) => join(dirname(one), `.${basename(one)}`));
  for (const path of [
    `${done}.attempt-1`,
    `${done}.attempt-1.state-2`,
    `${open}.attempt-1.state-2.tmp`,
    `${open}.attempt-1.state-1`,
  ])
    await mkdir(path);
  await runStudy([stage], { runFolder });
  expect((await readdir(dirname(folder()))).sort()).toEqual(
    [`${basename(open!)}.attempt-1.state-1`, basename(folder())].sort(),
  );
});

test("saveSteps: as set; else a hundred times what saving costs, and more steps on a fast device", () => {
  const training = { steps: 1000, parameters: 155_000, estimateSeconds: 48 };
  const auto = { saveSteps: "auto", device: "cpu" } as const;
  expect(saveStepsOf({ ...auto, saveSteps: 7 }, training)).toBe(7);
  expect(saveStepsOf(auto, training)).toBe(352); // 1.86 MB: 0.15 s + 0.0186 s, a hundred times of it are 16.86 s, of 0.048 s each
  const paper = { steps: 1000, parameters: 2_700_000, estimateSeconds: 19_000 }; // 32.4 MB: 0.15 s + 0.324 s
  expect(saveStepsOf(auto, paper)).toBe(3);
  expect(saveStepsOf({ ...auto, device: "cuda" }, paper)).toBe(250);
});
