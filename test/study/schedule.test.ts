import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DivergedError, UserError } from "../../src/errors.js";
import { nodeFileSystem } from "../../src/study/fileSystem.js";
import type { StageRunner } from "../../src/study/graph.js";
import type { StudyEvent } from "../../src/study/observer.js";
import { systemClock } from "../../src/study/progressMeter.js";
import { runStage } from "../../src/study/runStage.js";
import { runStudy } from "../../src/study/runStudy.js";
import type { Stage } from "../../src/study/stage.js";

let root: string;
let runs = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-schedule-"));
});
afterAll(() => rm(root, { recursive: true }));

/** A stage that ends when the test lets it, and gives up when asked to stop. */
function held(name: string, inputs: readonly Stage[] = []) {
  let release!: (error?: Error) => void;
  const gate = new Promise<void>((resolve, reject) => {
    release = (error) => (error === undefined ? resolve() : reject(error));
  });
  gate.catch(() => {}); // thrown where the stage waits for it
  const stage: Stage = {
    kind: "held",
    name,
    version: 1,
    config: { name },
    inputs,
    run: async ({ folder, signal }) => {
      const stopped = new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error)),
      );
      await Promise.race([gate, stopped]);
      await writeFile(join(folder, "name.txt"), name);
    },
  };
  return { ...stage, release };
}

/** Runs stages `atOnce` at a time in this process. `log` holds who started and who ended; `sharing` what the runner was told. */
function start(stages: readonly Stage[], atOnce: number, more: { signal?: AbortSignal } = {}) {
  const log: string[] = [];
  const sharing: Record<string, number> = {};
  const runFolder = join(root, `run-${runs++}`);
  const runner: StageRunner = (stage, { signal, onProgress, onNews, sharing: share }) => {
    sharing[stage.name] = share;
    return runStage(stage, { runFolder, files: nodeFileSystem, clock: systemClock, signal, onProgress, onNews });
  };
  const observer = (event: StudyEvent) => {
    if (event.type !== "plan" && event.type !== "progress" && event.type !== "rejected")
      log.push(`${event.type} ${event.stage?.name}`);
  };
  const summary = runStudy(stages, { runFolder, observer, atOnce, runner, ...more });
  summary.catch(() => {}); // looked at by the test
  const until = (entry: string) => expect.poll(() => log, { timeout: 300_000 }).toContain(entry);
  return { summary, log, sharing, until };
}

test("as many as may run at once, inputs first; what becomes free goes to the first that waits; the machine is shared out", async () => {
  const world = held("world");
  const [a, b, c] = [held("a", [world]), held("b", [world]), held("c", [world])];
  const last = held("last", [a, c]);
  const { summary, log, sharing, until } = start([world, a, b, c, last], 2);
  await until("started world");
  world.release();
  await until("started b");
  expect(log).toEqual(["started world", "finished world", "started a", "started b"]);
  b.release();
  await until("started c");
  a.release();
  await until("finished a");
  expect(log).not.toContain("started last");
  c.release();
  await until("started last");
  last.release();
  const { ran, interrupted } = await summary;
  expect(ran.map(({ name }) => name)).toEqual(["world", "a", "b", "c", "last"]); // in the order given, whoever ended first
  expect(interrupted).toBe(false);
  expect(sharing).toEqual({ world: 1, a: 2, b: 2, c: 2, last: 1 });
});

test("a stage that diverges takes its dependents along, and nobody else", async () => {
  const [bad, good] = [held("bad"), held("good")];
  const [after, other] = [held("after", [bad]), held("other", [good])];
  const { summary, until } = start([bad, good, after, other], 2);
  bad.release(new DivergedError("the loss is NaN", 1, "b", Number.NaN));
  await until("skipped after");
  good.release();
  other.release();
  const { ran, diverged, skipped } = await summary;
  expect([ran, diverged, skipped].map((list) => list.map(({ name }) => name))).toEqual([
    ["good", "other"],
    ["bad"],
    ["after"],
  ]);
});

test("a fault of one stage stops the others, and is the error to tell", async () => {
  const [bad, slow, next] = [held("bad"), held("slow"), held("next")];
  const { summary, log, until } = start([bad, slow, next], 2);
  await until("started slow");
  bad.release(new UserError("The disk is full."));
  await expect(summary).rejects.toThrow("The disk is full.");
  expect(log).not.toContain("started next");
});

test("stopped, nothing more begins and every stage in hand is given up", async () => {
  const [a, b, c] = [held("a"), held("b"), held("c")];
  const controller = new AbortController();
  const { summary, log, until } = start([a, b, c], 2, { signal: controller.signal });
  await until("started b");
  controller.abort(new UserError("The study was stopped."));
  const { interrupted, ran } = await summary;
  expect(interrupted).toBe(true);
  expect(ran).toEqual([]);
  expect(log).toEqual(["started a", "started b", "interrupted a"]);
});
