import { describe, expect, test } from "vitest";
import { formatPlan, jsonView, linesView } from "../../src/cli/progress.js";
import type { StudyEvent, StudyPlan } from "../../src/study/observer.js";
import type { Stage } from "../../src/study/stage.js";
import { memoryIo } from "./memoryIo.js";

const stage = (name: string, steps?: number): Stage => ({
  ...{ kind: "k", name, version: 1, config: null, inputs: [], run: async () => {} },
  ...(steps !== undefined && { steps, estimateSeconds: 250 }),
});
const world = stage("world");
const pretrain = stage("pretrain seed 0", 2250);
const plan: StudyPlan = {
  ...{ runFolder: "runs/quick", steps: 2250, estimateSeconds: 250, estimateBytes: 300 * 2 ** 20 },
  stages: [
    { stage: world, identity: "a", folder: "x", done: true },
    { stage: pretrain, identity: "b", folder: "y", done: false },
  ],
};
const step = (number: number, note: string): StudyEvent => ({
  ...{ type: "progress", stage: pretrain, step: number, total: 2250, rate: 21.34, secondsLeft: 53, note },
});
const started: StudyEvent = { type: "started", stage: pretrain, identity: "b", index: 1, of: 1 };
const finished: StudyEvent = { type: "finished", stage: pretrain, identity: "b", seconds: 106 };

test("the plan names stages, steps, time and memory, and marks what is done", () => {
  expect(formatPlan(plan)).toBe(
    [
      "Plan for runs/quick: 1 of 2 stages to run, 2,250 steps, about 4 min 10 s, about 300 MiB of memory",
      "  done  world",
      "  run   pretrain seed 0                 2,250 steps, about 4 min 10 s",
      "",
    ].join("\n"),
  );
});

test("a long plan is cut, and says by how much", () => {
  const stages = Array.from({ length: 100 }, (_, i) => ({ ...plan.stages[1]!, stage: stage(`s${i}`) }));
  expect(formatPlan({ ...plan, stages })).toMatch(/\n {2}\.\.\. and 60 more\n$/);
});

describe("plain lines", () => {
  test("progress comes at once, then every five seconds, and at the end; with step, rate, time left and the note", () => {
    const { io, written } = memoryIo();
    let time = 0;
    const view = linesView(io, () => time);
    view.observer(started);
    for (const [at, event] of [
      [0, step(1, "loss 3")],
      [4999, step(2, "loss 2")],
      [5000, step(3, "loss 1")],
      [5001, step(2250, "loss 0")],
    ] as const) {
      time = at;
      view.observer(event);
    }
    view.observer(finished);
    view.close();
    expect(written.out.split("\n")).toEqual([
      "[1/1] pretrain seed 0",
      "[1/1] pretrain seed 0  1/2,250  21.3 steps/s  53 s left  loss 3",
      "[1/1] pretrain seed 0  3/2,250  21.3 steps/s  53 s left  loss 1",
      "[1/1] pretrain seed 0  2,250/2,250  21.3 steps/s  loss 0",
      "[1/1] pretrain seed 0  finished in 1 min 46 s",
      "",
    ]);
  });

  test("nothing to do is said, so are damage, divergence and what it takes along; foreign text is cleaned", () => {
    const { io, written } = memoryIo();
    const { observer } = linesView(io);
    observer({ type: "plan", plan: { ...plan, stages: [plan.stages[0]!] } });
    observer({ type: "rejected", folder: "/a/b/k-123", reason: "x is\u001b[2J missing" });
    observer({ type: "diverged", stage: pretrain, identity: "b", message: "the loss is NaN at step 7" });
    observer({ type: "skipped", stage: world, because: pretrain });
    expect(written.out.split("\n")).toEqual([
      "Everything is done already: 1 stage verified, none to run.",
      "Skipped k-123, it is made again: x is[2J missing.",
      "DIVERGED pretrain seed 0: the loss is NaN at step 7",
      "Skipped world: pretrain seed 0 diverged.",
      "",
    ]);
  });
});

test("on a terminal one line is rewritten in place, never wider than the terminal, and cleared for what follows", () => {
  const { io, written } = memoryIo({ terminal: true, columns: 40 });
  let time = 0;
  const view = linesView(io, () => time);
  view.observer(started);
  view.observer(step(1, "loss 3"));
  time = 99;
  view.observer(step(2, "loss 2"));
  time = 100;
  view.observer(step(3, "loss 1"));
  view.observer(finished);
  const live = written.out.split("\r\u001b[2K").slice(1);
  expect(live.map((part) => part.split("\n")[0]!.length <= 40)).toEqual([true, true, false]); // the last is a line of its own
  expect(live[1]).toMatch(/^\[1\/1\] pretrain seed 0 {2}3\/2,250/);
  expect(live[2]).toBe("[1/1] pretrain seed 0  finished in 1 min 46 s\n");
});

test("events for machines are one JSON object a line, stages by name, progress once a second", () => {
  const { io, written } = memoryIo();
  let time = 0;
  const view = jsonView(io, () => time);
  view.observer({ type: "plan", plan });
  view.observer(started);
  for (const at of [0, 500, 1000]) {
    time = at;
    view.observer(step(at + 1, "loss 3"));
  }
  view.observer(finished);
  const events = written.out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(events.map((event) => event.event)).toEqual(["plan", "started", "progress", "progress", "finished"]);
  expect(events[0]).toMatchObject({
    stages: [
      { name: "world", done: true },
      { name: "pretrain seed 0", steps: 2250 },
    ],
  });
  expect(events[2]).toEqual({
    event: "progress",
    stage: "pretrain seed 0",
    step: 1,
    total: 2250,
    rate: 21.34,
    secondsLeft: 53,
    note: "loss 3",
  });
});
