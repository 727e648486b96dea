import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../src/cli/main.js";
import type { StageRunner } from "../../src/study/graph.js";
import type { StageOutcome } from "../../src/study/runStage.js";
import type { Stage } from "../../src/study/stage.js";
import type { Launcher, LaunchJob } from "../../src/study/sweep/launcher.js";
import { openLedger, readLedger } from "../../src/study/sweep/ledger.js";
import { localLauncher } from "../../src/study/sweep/localLauncher.js";
import { throughLauncher } from "../../src/study/sweep/runSweep.js";
import { readSweep } from "../../src/study/sweep/sweepFile.js";
import { memoryIo } from "../cli/memoryIo.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-sweep-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(text: string): Promise<string> {
  const path = join(folder, "rates.yaml");
  await writeFile(path, text);
  return path;
}

describe("a sweep's file", () => {
  test("is every combination of the grid, with each of the list, in the file's order", async () => {
    const path = await file(
      "study: smoke\nset: {tune.steps: 9}\ngrid: {a.b: [1, 2], c: [x, [0, 1]]}\nlist: [{}, {d: null}]\nseeds: 2\n",
    );
    const { name, study, seeds, points } = await readSweep(path);
    expect({ name, study, seeds }).toEqual({ name: "rates", study: "smoke", seeds: 2 });
    expect(points).toHaveLength(8);
    expect(points[0]).toEqual({
      id: "001",
      settings: { "a.b": 1, c: "x" },
      set: ["tune.steps=9", "a.b=1", 'c="x"'],
    });
    expect(points.map(({ settings }) => JSON.stringify(settings))).toEqual([
      '{"a.b":1,"c":"x"}',
      '{"a.b":1,"c":[0,1]}',
      '{"a.b":2,"c":"x"}',
      '{"a.b":2,"c":[0,1]}',
      '{"d":null,"a.b":1,"c":"x"}',
      '{"d":null,"a.b":1,"c":[0,1]}',
      '{"d":null,"a.b":2,"c":"x"}',
      '{"d":null,"a.b":2,"c":[0,1]}',
    ]);
  });

  test.each([
    ["grids: {a: [1]}", '"grids" is no key here'],
    ["grid: {a: 1}", "grid: a"],
    ["grid: {a: []}", "grid: a"],
    ["seeds: 0", "seeds"],
    ["set: {'--x': 1}", "set"],
    [`grid: {a: [${Array(40).fill(1)}], b: [${Array(40).fill(1)}]}`, "more than 1000 studies"],
    ["a: &a [*a]", "write the value out"],
    ["{", "is not valid YAML"],
  ])("%s is refused in one sentence", async (text, message) => {
    const { io, written } = memoryIo();
    expect(await main(["sweep", await file(text), "--plan"], io)).toBe(2);
    expect(written.err).toMatch(/^nullscope: [^\n]*rates\.yaml[^\n]*\n$/);
    expect(written.err).toContain(message);
  });

  test("a study that is wrong is named, and a wrong option", async () => {
    const { io, written } = memoryIo();
    expect(await main(["sweep", await file("grid: {tune.step: [1]}"), "--plan"], io)).toBe(2);
    expect(written.err).toContain('Study 001 of the sweep: --set tune.step=1: "tune.step" is not a setting');
    for (const what of ["never", "retry:0", "retry:"]) {
      const second = memoryIo();
      expect(await main(["sweep", "x.yaml", "--on-failure", what], second.io)).toBe(2);
      expect(second.written.err).toContain("stop, continue or retry:n");
    }
  });
});

describe("the launcher of this machine", () => {
  const job = (id: string): LaunchJob => ({
    id,
    name: id,
    study: { config: {}, requests: [], runFolder: "" } as never,
  });
  /** A runner whose stages end when they are told to. */
  function controlled(parallel: number) {
    const ends = new Map<string, (how: "done" | "fail") => void>();
    const runner: StageRunner = (stage, { signal }) =>
      new Promise<StageOutcome>((resolve, reject) => {
        ends.set(stage.name, (how) =>
          how === "done" ? resolve({ outcome: "done", seconds: 1 }) : reject(new Error("ended")),
        );
        signal.addEventListener("abort", () => resolve({ outcome: "interrupted" }));
      });
    const stageOf = ({ id }: LaunchJob) => ({ name: id }) as Stage;
    return { ends, launcher: localLauncher({ runner, stageOf, parallel, onProgress: () => {} }) };
  }
  const soon = () => new Promise((done) => setImmediate(done));

  test("runs so many at a time, first come first served, and says where each stands", async () => {
    const { ends, launcher } = controlled(2);
    for (const id of ["a", "b", "c"]) await launcher.submit(job(id));
    await soon();
    expect(await Promise.all(["a", "b", "c", "d"].map(launcher.status))).toEqual([
      "running",
      "running",
      "queued",
      "unknown",
    ]);
    ends.get("b")!("done");
    expect(await launcher.collect("b")).toEqual({ outcome: "done", seconds: 1 });
    await soon();
    expect(await Promise.all(["a", "b", "c"].map(launcher.status))).toEqual(["running", "done", "running"]);
  });

  test("a job that failed is queued again, one that runs is not started twice", async () => {
    const { ends, launcher } = controlled(1);
    await launcher.submit(job("a"));
    await soon();
    const first = ends.get("a")!;
    await launcher.submit(job("a"));
    await launcher.requeue("a");
    await soon();
    expect(ends.get("a")).toBe(first);
    first("fail");
    await expect(launcher.collect("a")).rejects.toThrow("ended");
    expect(await launcher.status("a")).toBe("failed");
    await launcher.requeue("a");
    await soon();
    expect(await launcher.status("a")).toBe("running");
    ends.get("a")!("done");
    expect(await launcher.collect("a")).toMatchObject({ outcome: "done" });
  });

  test("a job is cancelled while it runs and while it waits, and leaves its place to the next", async () => {
    const { ends, launcher } = controlled(1);
    for (const id of ["a", "b", "c"]) await launcher.submit(job(id));
    await soon();
    await launcher.cancel("b");
    await launcher.cancel("a");
    expect(await launcher.collect("a")).toEqual({ outcome: "interrupted" });
    await expect(launcher.collect("b")).rejects.toThrow("cancelled before it began");
    await soon();
    expect(await Promise.all(["a", "b", "c"].map(launcher.status))).toEqual(["cancelled", "cancelled", "running"]);
    ends.get("c")!("done");
    await launcher.collect("c");
  });
});

describe("one job to its end", () => {
  const done: StageOutcome = { outcome: "done", seconds: 1 };
  const job: LaunchJob = { id: "a", name: "a", study: {} as never };
  /** A launcher whose jobs end like this, one after another. */
  function scripted(ends: readonly (StageOutcome | Error)[]) {
    const calls: string[] = [];
    const left = [...ends];
    const launcher: Launcher = {
      submit: async () => void calls.push("submit"),
      status: async () => "running",
      cancel: async () => void calls.push("cancel"),
      requeue: async () => void calls.push("requeue"),
      collect: async () => {
        const end = left.shift()!;
        if (end instanceof Error) throw end;
        return end;
      },
    };
    return { launcher, calls };
  }
  const lines: string[] = [];
  const run = (launcher: Launcher, retries: number, stored: () => StageOutcome | undefined = () => undefined) => {
    lines.length = 0;
    const write = async (event: string) => void lines.push(event);
    return throughLauncher(launcher, job, {
      ...{ signal: new AbortController().signal, retries, write },
      stored: async () => stored(),
    });
  };

  test("is tried again as often as it may, and no more", async () => {
    const fault = new Error("killed");
    const twice = scripted([fault, fault, done]);
    expect(await run(twice.launcher, 2)).toEqual(done);
    expect(lines).toEqual(["submit", "fail", "requeue", "fail", "requeue", "end"]);
    const once = scripted([fault, fault, done]);
    expect(await run(once.launcher, 1)).toEqual({ error: fault });
    expect(once.calls).toEqual(["submit", "requeue"]);
  });

  test("whose process ended after its commit is not computed again, nor one that is in the store before it is submitted", async () => {
    let committed = false;
    const { launcher, calls } = scripted([new Error("killed")]);
    const killed: Launcher = {
      ...launcher,
      collect: (id) => {
        committed = true;
        return launcher.collect(id);
      },
    };
    expect(await run(killed, 9, () => (committed ? done : undefined))).toEqual(done);
    expect(calls).toEqual(["submit"]);
    expect(lines).toEqual(["submit", "end"]);
    const second = scripted([]);
    expect(await run(second.launcher, 9, () => done)).toEqual(done);
    expect(second.calls).toEqual([]);
  });
});

test("a ledger's line that a crash cut off spoils no other", async () => {
  const write = await openLedger(folder);
  await write({ event: "begin", time: "1" });
  await writeFile(join(folder, "ledger.jsonl"), '{"event":"begin","time":"1"}\n{"event":"sub');
  const again = await openLedger(folder);
  await again({ event: "end", time: "2", job: "x", name: "x" });
  expect((await readLedger(folder)).map(({ event }) => event)).toEqual(["begin", "end"]);
});
