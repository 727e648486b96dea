import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DivergedError, UserError } from "../../src/errors.js";
import { nodeFileSystem } from "../../src/study/fileSystem.js";
import { inDependencyOrder, planStages } from "../../src/study/graph.js";
import type { StudyEvent } from "../../src/study/observer.js";
import { runStudy } from "../../src/study/runStudy.js";
import { type Stage, stageFolderName, stageIdentity } from "../../src/study/stage.js";
import { abandonAttempt, beginAttempt, commitAttempt, stageFolder } from "../../src/study/store.js";
import { Crash, faultyFileSystem, systemError } from "./faultyFileSystem.js";

let root: string;
let runFolder: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-study-"));
});
beforeEach(() => {
  runFolder = join(root, `run-${count++}`);
});
afterAll(() => rm(root, { recursive: true }));

/** A stage that writes the numbers of its inputs plus its own, and counts how often it ran. */
function adder(name: string, value: number, inputs: readonly Stage[] = []): Stage & { runs: () => number } {
  let runs = 0;
  const stage: Stage = {
    kind: "add",
    name,
    version: 1,
    config: { value },
    inputs,
    steps: 2,
    estimateSeconds: 3,
    run: async ({ folder, input, metrics, progress }) => {
      runs++;
      let sum = value;
      for (const one of inputs) sum += Number(await readFile(join(input(one), "sum.txt"), "utf8"));
      for (const step of [1, 2]) {
        metrics({ step, sum });
        progress(step, 2, `sum ${sum}`);
      }
      await mkdir(join(folder, "nested"));
      await writeFile(join(folder, "nested", "more.txt"), "more");
      await writeFile(join(folder, "sum.txt"), String(sum));
    },
  };
  return { ...stage, runs: () => runs };
}

function diamond() {
  const world = adder("world", 1);
  const left = adder("left", 10, [world]);
  const right = adder("right", 100, [world]);
  const bottom = adder("bottom", 1000, [left, right]);
  return { world, left, right, bottom, all: [world, left, right, bottom] };
}

const recorder = () => {
  const events: StudyEvent[] = [];
  return { events, observer: (event: StudyEvent) => void events.push(event) };
};
const output = (stage: Stage) => readFile(join(stageFolder(runFolder, stage), "sum.txt"), "utf8");

/** sha256 of every output of every stage: what must not depend on crashes. */
async function fingerprint(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const stage of (await readdir(join(folder, "stages"))).sort()) {
    if (stage.startsWith(".")) continue;
    const manifest = JSON.parse(await readFile(join(folder, "stages", stage, "manifest.json"), "utf8")) as {
      outputs: unknown;
    };
    hash.update(stage).update(JSON.stringify(manifest.outputs));
  }
  return hash.digest("hex");
}

describe("identity", () => {
  test("it depends on kind, version, configuration and inputs, and on nothing else", () => {
    const { left, world } = diamond();
    const base = stageIdentity(left);
    expect(stageIdentity({ ...left, name: "another", steps: 9 })).toBe(base);
    for (const changed of [
      { kind: "other" },
      { version: 2 },
      { config: { value: 11 } },
      { inputs: [] },
      { inputs: [world, world] },
    ])
      expect(stageIdentity({ ...left, ...changed })).not.toBe(base);
    const otherWorld = adder("left", 10, [adder("world", 2)]);
    expect(stageIdentity(otherWorld)).not.toBe(base);
  });

  test("the order of a configuration's keys does not matter", () => {
    const stage = adder("a", 1);
    expect(stageIdentity({ ...stage, config: { a: 1, b: [2, null] } })).toBe(
      stageIdentity({ ...stage, config: { b: [2, null], a: 1 } }),
    );
    expect(() => stageIdentity({ ...stage, config: { a: Number.NaN } })).toThrow(TypeError);
  });

  test("the folder is the kind and the first twelve digits", () => {
    const stage = adder("a", 1);
    expect(stageFolderName(stage)).toBe(`add-${stageIdentity(stage).slice(0, 12)}`);
  });
});

describe("the graph", () => {
  test("inputs come first, each stage once, even when only the last is asked for", () => {
    const { world, left, right, bottom } = diamond();
    expect(inDependencyOrder([bottom])).toEqual([world, left, right, bottom]);
  });

  test("two different stages of one name are a mistake", () => {
    expect(() => inDependencyOrder([adder("a", 1), adder("a", 2)])).toThrow('named "a"');
  });

  test("the plan sums what is still to do", async () => {
    const { all, world } = diamond();
    expect(await planStages(all, runFolder, nodeFileSystem)).toMatchObject({ steps: 8, estimateSeconds: 12 });
    await runStudy([world], { runFolder });
    const plan = await planStages(all, runFolder, nodeFileSystem);
    expect(plan).toMatchObject({ steps: 6, estimateSeconds: 9 });
    expect(plan.stages.map((one) => one.done)).toEqual([true, false, false, false]);
  });
});

describe("runStudy", () => {
  test("runs everything once; a second run does nothing", async () => {
    const { all, bottom } = diamond();
    const first = await runStudy([bottom], { runFolder });
    expect(first.ran).toHaveLength(4);
    expect(await output(bottom)).toBe("1112");
    const { events, observer } = recorder();
    const second = await runStudy([bottom], { runFolder, observer });
    expect(second).toMatchObject({ ran: [], already: all.map((stage) => ({ name: stage.name })), interrupted: false });
    expect(events.map((event) => event.type)).toEqual(["plan"]);
    expect(all.map((stage) => stage.runs())).toEqual([1, 1, 1, 1]);
  });

  test("a changed configuration makes another stage, and only its dependents run again", async () => {
    const { world, left, right, bottom } = diamond();
    await runStudy([bottom], { runFolder });
    const changed = adder("right", 200, [world]);
    const again = adder("bottom", 1000, [left, changed]);
    const summary = await runStudy([again], { runFolder });
    expect(summary.ran.map((stage) => stage.name)).toEqual(["right", "bottom"]);
    expect(await output(again)).toBe("1212");
    expect(await output(right)).toBe("101"); // the old one stays
  });

  test("metrics are JSON lines in order, with NaN as text; progress carries the latest note", async () => {
    const stage: Stage = {
      ...adder("a", 1),
      run: async ({ metrics, progress }) => {
        for (let step = 1; step <= 3; step++) {
          metrics({ step, loss: step === 3 ? Number.NaN : 1 / step });
          progress(step, 3, `loss ${1 / step}`);
        }
      },
    };
    const { events, observer } = recorder();
    let time = 0;
    const clock = { now: () => (time += 500), date: () => new Date(time) };
    await runStudy([stage], { runFolder, observer, clock });
    expect(await readFile(join(stageFolder(runFolder, stage), "metrics.jsonl"), "utf8")).toBe(
      '{"step":1,"loss":1}\n{"step":2,"loss":0.5}\n{"step":3,"loss":"NaN"}\n',
    );
    const progress = events.filter((event) => event.type === "progress");
    expect(progress.map((event) => [event.step, event.rate, event.secondsLeft, event.note])).toEqual([
      [1, undefined, undefined, "loss 1"],
      [2, 2, 0.5, "loss 0.5"],
      [3, 2, 0, "loss 0.3333333333333333"],
    ]);
  });

  test("a stage that throws leaves nothing behind, and the next run goes on from there", async () => {
    const { world, left, right, bottom } = diamond();
    const broken: Stage = {
      ...right,
      run: async ({ folder }) => {
        await writeFile(join(folder, "half"), "half");
        throw new Error("broken");
      },
    };
    await expect(runStudy([world, left, broken], { runFolder })).rejects.toThrow("broken");
    expect((await readdir(join(runFolder, "stages"))).sort()).toEqual(
      [stageFolderName(left), stageFolderName(world)].sort(),
    );
    expect(await readdir(runFolder)).toEqual(["stages"]); // the lock is given back too
    const summary = await runStudy([bottom], { runFolder });
    expect(summary.already).toHaveLength(2);
    expect(await output(bottom)).toBe("1112");
  });

  test("a diverged stage is recorded, its dependents are skipped by name, the rest goes on, and it is not tried again", async () => {
    const { world, left, bottom } = diamond();
    const leaf = adder("leaf", 5, [bottom]);
    const other = adder("other", 7, [world]);
    let tries = 0;
    const diverging: Stage = {
      ...left,
      name: "diverging",
      kind: "tune",
      run: async ({ metrics }) => {
        tries++;
        metrics({ step: 12, loss: Number.POSITIVE_INFINITY });
        throw new DivergedError(
          "the loss is infinite at step 12",
          12,
          "tune, seed 0, step 12",
          Number.POSITIVE_INFINITY,
        );
      },
    };
    const dependent = { ...bottom, inputs: [diverging] };
    const stages = [diverging, dependent, { ...leaf, inputs: [dependent] }, other];
    for (const run of [1, 2]) {
      const { events, observer } = recorder();
      const summary = await runStudy(stages, { runFolder, observer });
      expect(summary.diverged.map((stage) => stage.name)).toEqual(["diverging"]);
      expect(summary.skipped.map((stage) => stage.name)).toEqual(["bottom", "leaf"]);
      expect((run === 1 ? summary.ran : summary.already).map((stage) => stage.name)).toEqual(["world", "other"]);
      const skips = events.filter((event) => event.type === "skipped");
      expect(skips.map((event) => [event.stage.name, event.because.name])).toEqual([
        ["bottom", "diverging"],
        ["leaf", "diverging"],
      ]);
      expect(events.find((event) => event.type === "diverged")).toMatchObject({
        message: "the loss is infinite at step 12",
      });
    }
    expect(tries).toBe(1);
    const record = JSON.parse(
      await readFile(join(stageFolder(runFolder, diverging), "diverged.json"), "utf8"),
    ) as unknown;
    expect(record).toMatchObject({ stage: "diverging", step: 12, batch: "tune, seed 0, step 12", loss: "Infinity" });
  });

  test("when stopped, the stage in hand is thrown away, the lock is given back, and the same call goes on", async () => {
    const { world, left, bottom } = diamond();
    const controller = new AbortController();
    const stopping: Stage = {
      ...left,
      run: async ({ signal }) => {
        controller.abort();
        signal.throwIfAborted();
      },
    };
    let finished = false;
    const finish = async () => void (finished = true);
    const { events, observer } = recorder();
    const summary = await runStudy([stopping, bottom], { runFolder, signal: controller.signal, observer, finish });
    expect(summary).toMatchObject({ interrupted: true, ran: [{ name: "world" }] });
    expect(events.at(-1)).toMatchObject({ type: "interrupted", stage: { name: "left" } });
    expect(finished).toBe(false);
    expect(await readdir(join(runFolder, "stages"))).toEqual([stageFolderName(world)]);
    expect((await runStudy([bottom], { runFolder, finish })).ran).toHaveLength(3);
    expect(finished).toBe(true);
  });
});

describe("damage", () => {
  test.each([
    ["a changed byte", (folder: string) => writeFile(join(folder, "sum.txt"), "7"), "sum.txt has 1 bytes instead of 2"],
    [
      "a changed byte of the same length",
      (folder: string) => writeFile(join(folder, "sum.txt"), "12"),
      "sum.txt does not have the sha256",
    ],
    ["a missing file", (folder: string) => rm(join(folder, "nested", "more.txt")), "nested/more.txt is missing"],
    [
      "an added file",
      (folder: string) => writeFile(join(folder, "nested", "x"), ""),
      "nested/x is not in its manifest",
    ],
    ["a link", (folder: string) => symlink("/etc/hostname", join(folder, "nested", "link")), "nested/link is neither"],
    [
      "a torn manifest",
      async (folder: string) => {
        const path = join(folder, "manifest.json");
        await writeFile(path, (await readFile(path)).subarray(0, 100));
      },
      "no valid JSON",
    ],
    [
      "an edited manifest",
      async (folder: string) => {
        const path = join(folder, "manifest.json");
        await writeFile(path, (await readFile(path, "utf8")).replace('"value": 10', '"value": 11'));
      },
      "changed after it was written",
    ],
    ["a missing manifest", (folder: string) => rm(join(folder, "manifest.json")), "no manifest.json"],
  ])("%s is named and the stage is made again", async (_what, damage, reason) => {
    const { world, left, bottom } = diamond();
    await runStudy([bottom], { runFolder });
    const before = await fingerprint(runFolder);
    await damage(stageFolder(runFolder, left));
    const { events, observer } = recorder();
    const summary = await runStudy([bottom], { runFolder, observer });
    expect(events.filter((event) => event.type === "rejected")).toEqual([
      { type: "rejected", folder: stageFolder(runFolder, left), reason: expect.stringContaining(reason) },
    ]);
    expect(summary.ran.map((stage) => stage.name)).toEqual(["left"]);
    expect(world.runs()).toBe(1);
    expect(await fingerprint(runFolder)).toBe(before);
  });
});

describe("attempts", () => {
  const facts = { outcome: "done" as const, started: new Date(0), finished: new Date(0) };

  test("an old attempt that comes back cannot overwrite a newer one", async () => {
    const stage = adder("a", 1);
    const folder = stageFolder(runFolder, stage);
    const old = await beginAttempt(nodeFileSystem, folder);
    await nodeFileSystem.write(join(old.folder, "who"), Buffer.from("old"));
    const kept = `${old.folder}-kept`;
    await nodeFileSystem.rename(old.folder, kept); // what the killed job still holds, whatever the newer one clears away
    await nodeFileSystem.makeFolder(old.folder);
    const newer = await beginAttempt(nodeFileSystem, folder);
    expect([old.number, newer.number]).toEqual([1, 2]);
    await nodeFileSystem.rename(kept, old.folder);
    await expect(commitAttempt(nodeFileSystem, stage, folder, old, facts)).rejects.toThrow(
      "attempt 2, and this is attempt 1",
    );
    await nodeFileSystem.write(join(newer.folder, "who"), Buffer.from("new"));
    await commitAttempt(nodeFileSystem, stage, folder, newer, facts);
    await expect(commitAttempt(nodeFileSystem, stage, folder, old, facts)).rejects.toThrow(
      "finished by another process",
    );
    expect(await readFile(join(folder, "who"), "utf8")).toBe("new");
    await abandonAttempt(nodeFileSystem, old);
  });

  test("an attempt cleared away underneath its writer fails as a whole", async () => {
    const stage = adder("a", 1);
    const folder = stageFolder(runFolder, stage);
    const old = await beginAttempt(nodeFileSystem, folder);
    await beginAttempt(nodeFileSystem, folder);
    await expect(commitAttempt(nodeFileSystem, stage, folder, old, facts)).rejects.toThrow("ENOENT");
    expect(await nodeFileSystem.kind(folder)).toBe("absent");
  });
});

describe("faults of the file system", () => {
  test("a commit makes outputs, manifest and folder durable, in this order, before the name, and the name after it", async () => {
    const { files, operations } = faultyFileSystem(() => undefined);
    const stage = adder("a", 1);
    const folder = stageFolder(runFolder, stage);
    const attempt = await beginAttempt(files, folder);
    for (const name of ["x", "y"]) await files.write(join(attempt.folder, name), Buffer.from(name));
    await mkdir(join(attempt.folder, "below"));
    await files.write(join(attempt.folder, "below", "z"), Buffer.from("z"));
    operations.length = 0;
    await commitAttempt(files, stage, folder, attempt, {
      outcome: "done",
      started: new Date(0),
      finished: new Date(0),
    });
    const writing = operations
      .filter((operation) => /^(sync|write|rename)/.test(operation))
      .map((operation) => operation.replace(attempt.folder, "ATTEMPT").replace(join(runFolder, "stages"), "STAGES"));
    expect(writing).toEqual([
      "sync ATTEMPT/below/z",
      "sync ATTEMPT/x",
      "sync ATTEMPT/y",
      "write ATTEMPT/manifest.json",
      "sync ATTEMPT/manifest.json",
      "sync ATTEMPT/below",
      "sync ATTEMPT",
      "rename ATTEMPT",
      "sync STAGES",
    ]);
  });

  // The stages write through Node; every operation of the store itself goes through the counted file system.
  const two = () => {
    const world = adder("world", 1);
    return [world, adder("left", 10, [world])];
  };

  test("killed after any operation, the same command ends with the same bytes", async () => {
    const undisturbed = faultyFileSystem(() => undefined);
    await runStudy(two(), { runFolder, files: undisturbed.files });
    const expected = await fingerprint(runFolder);
    expect(undisturbed.operations.length).toBeGreaterThan(50);
    for (let at = 0; at < undisturbed.operations.length; at++) {
      const folder = `${runFolder}-${at}`;
      const { files } = faultyFileSystem((operation) => (operation === at ? new Crash() : undefined));
      await runStudy(two(), { runFolder: folder, files }).catch((error: unknown) =>
        expect(error).toBeInstanceOf(Crash),
      );
      // The dead process's lock names this process, which lives; a real crash leaves a dead one (test/study/lock.test.ts).
      await rm(join(folder, "lock.json"), { force: true });
      await runStudy(two(), { runFolder: folder });
      expect(await fingerprint(folder), `killed at operation ${at}, ${undisturbed.operations[at]}`).toBe(expected);
      expect((await readdir(join(folder, "stages"))).filter((name) => name.startsWith("."))).toEqual([]);
    }
  });

  test.each([
    ["ENOSPC", 0],
    ["EACCES", 1],
    ["EROFS", 2],
    ["EIO", 0],
  ])("%s at any operation is one clear error and leaves no half-written stage", async (code, first) => {
    const undisturbed = faultyFileSystem(() => undefined);
    await runStudy(two(), { runFolder, files: undisturbed.files });
    const expected = await fingerprint(runFolder);
    // Every third operation, each fault from another one on, keeps this test quick and still meets every kind of operation.
    for (let at = first; at < undisturbed.operations.length; at += 3) {
      const folder = `${runFolder}-${at}`;
      const { files } = faultyFileSystem((operation) => (operation === at ? systemError(code) : undefined));
      const outcome = await runStudy(two(), { runFolder: folder, files }).catch((error: unknown) => error);
      // A fault may also hit what is best effort: clearing up, giving the lock back.
      if (outcome instanceof Error) expect(outcome, `${undisturbed.operations[at]} at ${at}`).toBeInstanceOf(UserError);
      await rm(join(folder, "lock.json"), { force: true });
      await runStudy(two(), { runFolder: folder });
      expect(await fingerprint(folder)).toBe(expected);
    }
  });

  test("a run folder that is deleted while a stage runs is one clear error", async () => {
    const stage: Stage = {
      ...adder("a", 1),
      run: async ({ metrics }) => {
        await rm(runFolder, { recursive: true });
        metrics({ step: 1 });
      },
    };
    await expect(runStudy([stage], { runFolder })).rejects.toThrow(/Cannot finish the stage "a".*deleted/);
  });

  test("a run folder below a file is one clear error", async () => {
    const file = join(root, "a-file");
    await writeFile(file, "");
    await expect(runStudy([], { runFolder: join(file, "run") })).rejects.toThrow(UserError);
    await expect(runStudy([], { runFolder: join(file, "run") })).rejects.toThrow("is a file, not a folder");
  });
});

test("what is known so far can be shown after each stage: its outputs stand, the next one has not begun, and a second run shows nothing", async () => {
  const { world, left, right, bottom, all } = diamond();
  const seen: [string, string, number][] = [];
  const afterStage = async (stage: Stage) => {
    seen.push([stage.name, await output(stage), [world, left, right, bottom].filter((one) => one.runs() > 0).length]);
  };
  await runStudy(all, { runFolder, afterStage });
  expect(seen).toEqual([
    ["world", "1", 1],
    ["left", "11", 2],
    ["right", "101", 3],
    ["bottom", "1112", 4],
  ]);
  seen.length = 0;
  await runStudy(all, { runFolder, afterStage });
  expect(seen).toEqual([]);
});
