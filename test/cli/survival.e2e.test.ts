import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyWorld } from "./tinyWorld.js";

// The built command, in processes of their own: they are killed for good.
const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

let folder: string;
let undisturbed: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-survival-"));
  await writeFile(join(folder, "tiny.json"), JSON.stringify(tinyWorld));
  expect((await study("undisturbed").ended).code).toBe(0);
  undisturbed = await fingerprint("undisturbed");
});
afterAll(() => rm(folder, { recursive: true }));

type Event = { event: string; stage?: string; step?: number; ran?: string[]; already?: string[] };

/** Starts a small study; `watch` sees each event as it comes. */
function study(name: string, watch: (event: Event, child: ChildProcess) => void = () => {}) {
  const changes = [
    "world=tiny.json",
    "pretrain.steps=30",
    "pretrain.warmup=5",
    "tune.steps=10",
    // A method with pairs and one without, with a step that is kept on the way, and one stage of every kind that differs in what it writes.
    "tune.methods=[ssft, dpo]",
    "measures=[behaviour, clusters, sensitivity]",
    "attacks.run=[prefix]",
    "interventions.run=[path]",
    "tune.rates.small=null",
    "tune.controls.methods=[]",
    "tune.dynamics.fractions=[0.5]",
    "evaluate.samples=20",
    "evaluate.dynamicsSamples=8",
    "evaluate.batch=10",
  ];
  const words = ["study", "smoke", "--name", name, "--json", ...changes.flatMap((change) => ["--set", change])];
  const child = spawn(process.execPath, [command, ...words], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const events: Event[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    events.push(JSON.parse(line) as Event);
    watch(events.at(-1)!, child);
  });
  let err = "";
  child.stderr.on("data", (text: Buffer) => (err += text.toString()));
  const ended = new Promise<{ code: number | null; events: Event[]; err: string }>((done) => {
    child.on("close", (code) => done({ code, events, err }));
  });
  return { child, ended };
}

/** sha256 of every file of results and stages but the manifests, which hold times. */
async function hashes(name: string): Promise<Map<string, string>> {
  const run = join(folder, "runs", name);
  const all = new Map<string, string>();
  for (const part of ["results", "stages"])
    for (const entry of (await readdir(join(run, part), { recursive: true, withFileTypes: true }))
      .filter((one) => one.isFile() && one.name !== "manifest.json")
      .map((one) => join(one.parentPath, one.name))
      .sort())
      all.set(
        relative(run, entry),
        createHash("sha256")
          .update(await readFile(entry))
          .digest("hex"),
      );
  return all;
}

/** All of them as one. */
const fingerprint = async (name: string) => JSON.stringify([...(await hashes(name))]);

test("kill -9 at the beginning of a stage of any kind or in the middle of one: the same command ends with the same bytes", async () => {
  const name = "killed";
  const killedAt: string[] = [];
  for (;;) {
    // Each time it gets one event further than the last time, so every kind of moment is met once: of each kind of stage its start and its progress.
    const { events, code, err } = await study(name, (event, child) => {
      const moment = `${event.event} ${event.stage?.split(" ")[0]}`;
      if ((event.event !== "started" && event.event !== "progress") || killedAt.includes(moment)) return;
      killedAt.push(moment);
      child.kill("SIGKILL");
    }).ended;
    if (events.at(-1)?.event === "end") {
      expect(code).toBe(0);
      break;
    }
    expect(code).toBeNull();
    expect(err).toBe(""); // its workers end without a word
  }
  expect(killedAt.length).toBeGreaterThan(10);
  expect(await fingerprint(name)).toBe(undisturbed);
  expect((await readdir(join(folder, "runs", name))).sort()).toEqual(
    (await readdir(join(folder, "runs", "undisturbed"))).sort(),
  );
});

test.skipIf(!existsSync("/proc/self/task"))(
  "a worker that is killed is one sentence, no process is left behind, and the same command goes on",
  async () => {
    const name = "worker";
    let workers: number[] = [];
    const { code, err } = await study(name, (event, { pid }) => {
      if (event.event !== "progress" || workers.length > 0) return;
      workers = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
      process.kill(workers[0]!, "SIGKILL");
    }).ended;
    expect(workers.length).toBeGreaterThan(0);
    expect(code).toBe(2);
    expect(err).toMatch(
      /^nullscope: The process that ran the stage "[^"]+" ended \(SIGKILL\); [^\n]+ again to go on\.\n$/,
    );
    await expect.poll(() => workers.filter((pid) => existsSync(`/proc/${pid}`)), { timeout: 300_000 }).toEqual([]);
    expect((await study(name).ended).code).toBe(0);
    expect(await fingerprint(name)).toBe(undisturbed);
  },
);

test("Ctrl-C ends with 130 and how to go on; a second process is told who holds the run; the same command goes on", async () => {
  const name = "stopped";
  let second: ReturnType<typeof study> | undefined;
  const first = await study(name, (event, child) => {
    if (event.event !== "progress" || second !== undefined) return;
    second = study(name);
    void second.ended.then(() => child.kill("SIGINT"));
    child.kill("SIGSTOP"); // it stands still, and holds the run, until the second has been refused
    void second.ended.then(() => child.kill("SIGCONT"));
  }).ended;
  const refused = await second!.ended;
  expect(refused.code).toBe(2);
  expect(refused.err).toMatch(/^nullscope: The run \S+ is in use by process \d+ on \S+ since \S+; [^\n]*\n$/);
  expect(first.code).toBe(130);
  expect(first.err).toContain("Run the same command to go on");
  const last = await study(name).ended;
  expect(last.events.at(-1)?.already).toContain("world");
  expect(await fingerprint(name)).toBe(undisturbed);
});

test("run again it does nothing; another seed has other bytes", async () => {
  const again = await study("undisturbed").ended;
  expect(again.events.at(-1)).toMatchObject({ event: "end", ran: [] });
  const other = spawn(
    process.execPath,
    [command, "study", "runs/undisturbed/config.yaml", "--name", "other", "--seed", "1"],
    { cwd: folder, stdio: "ignore" },
  );
  expect(await new Promise((done) => other.on("close", done))).toBe(0);
  const [before, after] = [await hashes("undisturbed"), await hashes("other")];
  for (const [path, hash] of before) if (path.startsWith("results")) expect(after.get(path), path).not.toBe(hash);
  const weights = (all: Map<string, string>) =>
    [...all].filter(([path]) => path.endsWith("model.safetensors")).map(([, hash]) => hash);
  expect(weights(before).length).toBeGreaterThan(0);
  expect(weights(after).filter((hash) => weights(before).includes(hash))).toEqual([]);
});
