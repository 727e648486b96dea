import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RECIPES } from "../../src/train/index.js";
import { command, runBytes, studyWords } from "./builtCommand.js";
import { tinyWorld } from "./tinyWorld.js";

// The built command, killed for good. Every boundary in the process: test/study/resume.study.test.ts.

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-resume-"));
  await writeFile(join(folder, "tiny.json"), JSON.stringify(tinyWorld));
});
afterAll(() => rm(folder, { recursive: true }));

const METHODS = [...RECIPES.keys()];
const STEPS = 50;
/** Fifty steps of pretraining and of every method; a state after each. */
const everyStep = (name: string, ...more: string[]) =>
  studyWords(
    name,
    ...[`pretrain.steps=${STEPS}`, `tune={steps: ${STEPS}, methods: [${METHODS.join(", ")}]}`, "saveSteps=1"].flatMap(
      (change) => ["--set", change],
    ),
    ...more,
  );

interface Event {
  readonly event: string;
  readonly stage?: string;
  readonly step?: number;
}

function start(words: readonly string[]) {
  const child = spawn(process.execPath, [command, ...words, "--json"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const events: Event[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => events.push(JSON.parse(line) as Event));
  let err = "";
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  const ended = new Promise<{ code: number | null; events: Event[]; err: string }>((done) =>
    child.on("close", (code) => done({ code, events, err })),
  );
  return { child, ended };
}

const stages = (name: string) => join(folder, "runs", name, "stages");
const names = (name: string) => readdir(stages(name)).catch((): string[] => []);
const bytes = (name: string) => runBytes(join(folder, "runs", name));

test("kill -9 in the middle of pretraining and of every method: the same command goes on from a saved step, to the same bytes", async () => {
  expect((await start(everyStep("whole")).ended).code).toBe(0);
  const expected = await bytes("whole");
  const name = "killed";
  // Another boundary for each training, from the first to nearly the last.
  const due = new Map([...METHODS.keys(), METHODS.length].map((index) => [index, 1 + 7 * index]));
  const killed = new Set<string>();
  const from: number[] = [];
  for (;;) {
    const { child, ended } = start(everyStep(name));
    let open = true;
    void ended.then(() => (open = false));
    while (open) {
      const states = (await names(name)).map((one) =>
        /^\.((?:pretrain|tune)-\w+)\.attempt-\d+\.state-(\d+)$/.exec(one),
      );
      const reached = states.find((one) => one && !killed.has(one[1]!) && Number(one[2]) >= due.get(killed.size)!);
      if (reached) {
        killed.add(reached[1]!);
        child.kill("SIGKILL");
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const { code, events } = await ended;
    from.push(...events.filter((event) => event.event === "resumed").map((event) => event.step!));
    if (code === null) continue;
    expect(code).toBe(0);
    break;
  }
  expect(killed.size).toBe(1 + METHODS.length);
  expect(from.length).toBeGreaterThanOrEqual(killed.size);
  expect(new Set(from).size).toBeGreaterThan(3);
  expect(await bytes(name)).toBe(expected);
  expect((await names(name)).filter((one) => one.startsWith("."))).toEqual([]);
});

test("an old attempt that comes back loses: it overwrites nothing, and says what to do", async () => {
  const name = "late";
  const old = start(studyWords(name, "--workers", "1", "--set", "saveSteps=1"));
  const lines = async () => {
    const attempt = (await names(name)).find((one) => /^\.pretrain-.*attempt-\d+$/.test(one));
    return (await readFile(join(stages(name), attempt ?? "", "metrics.jsonl"), "utf8").catch(() => "")).split("\n")
      .length;
  };
  await expect.poll(lines, { timeout: 300_000, interval: 2 }).toBeGreaterThan(10);
  old.child.kill("SIGSTOP");
  // As after a machine that fell off the network: its user removes the lock, and starts again elsewhere.
  await rm(join(folder, "runs", name, "lock.json"));
  const newer = await start(studyWords(name)).ended;
  expect(newer.code).toBe(0);
  expect(newer.events.some((event) => event.event === "resumed")).toBe(true); // from what the old one had saved
  const expected = await bytes(name);
  old.child.kill("SIGCONT");
  const late = await old.ended;
  expect(late.code).toBe(2);
  expect(late.err).toMatch(/^nullscope: [^\n]+ again\.\n$/i);
  expect(await bytes(name)).toBe(expected);
  expect((await names(name)).filter((one) => one.startsWith("."))).toEqual([]);
  const again = await start(studyWords(name)).ended;
  expect(again.events.at(-1)).toMatchObject({ event: "end", ran: [] });
});
