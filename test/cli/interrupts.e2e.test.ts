import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { command, runBytes, studyWords } from "./builtCommand.js";
import { tinyWorld } from "./tinyWorld.js";

let folder: string;
let undisturbed: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-interrupts-"));
  await writeFile(join(folder, "tiny.json"), JSON.stringify(tinyWorld));
  expect((await ended(start(studyWords("undisturbed")))).code).toBe(0);
  undisturbed = await bytes("undisturbed");
});
afterAll(() => rm(folder, { recursive: true }));

const bytes = (name: string) => runBytes(join(folder, "runs", name));
const start = (words: readonly string[]) =>
  spawn(process.execPath, [command, ...words], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
/** A shell's line; `$NULLSCOPE` is the command. */
const shell = (line: string, words: readonly string[]) =>
  spawn("bash", ["-c", line, "bash", process.execPath, command, ...words], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });

async function ended(child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  const text = { out: "", err: "" };
  child.stdout?.on("data", (part: Buffer) => (text.out += part.toString()));
  child.stderr?.on("data", (part: Buffer) => (text.err += part.toString()));
  const code = await new Promise<number | null>((done) => child.on("close", done));
  return { code, ...text };
}

/** Names in `stages/` of a run, also before there is any. */
const stageNames = (name: string) => readdir(join(folder, "runs", name, "stages")).catch((): string[] => []);

/** Waits until training is under way: its first steps are written. */
async function trains(name: string): Promise<void> {
  await expect
    .poll(
      async () => {
        const attempt = (await stageNames(name)).find((one) => /^\.pretrain-.*attempt-\d+$/.test(one));
        const path = join(folder, "runs", name, "stages", attempt ?? "", "metrics.jsonl");
        return (await readFile(path, "utf8").catch(() => "")).split("\n").length;
      },
      { timeout: 300_000, interval: 2 },
    )
    .toBeGreaterThan(10);
}

/** The process that holds a run. */
const holderOf = async (name: string): Promise<number> =>
  (JSON.parse(await readFile(join(folder, "runs", name, "lock.json"), "utf8")) as { pid: number }).pid;

const gone = (pid: number) => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

/** The run was stopped in the middle of its pretraining, and saved it; the same command goes on from there to the bytes of an undisturbed run. */
async function expectSavedAndGoesOn(name: string): Promise<void> {
  const left = await stageNames(name);
  const saved = left.find((one) => one.includes(".state-"));
  expect(saved).toMatch(/^\.pretrain-[0-9a-f]{12}\.attempt-1\.state-\d+$/);
  expect(left.filter((one) => one.startsWith("."))).toEqual([saved]);
  expect(await readdir(join(folder, "runs", name))).not.toContain("lock.json");
  const { code, out, err } = await ended(start(studyWords(name)));
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toContain(`goes on after step ${Number(/\d+$/.exec(saved!)![0])}\n`);
  expect(await bytes(name)).toBe(undisturbed);
}

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s once: the step in hand is finished and saved, exit %i, how to go on", async (signal, code) => {
  const name = `once-${signal}`;
  const child = start(studyWords(name));
  const end = ended(child);
  await trains(name);
  child.kill(signal);
  if (signal === "SIGTERM") child.kill(signal); // a scheduler may say it twice
  const { err, ...rest } = await end;
  expect(rest.code).toBe(code);
  expect(err).toMatch(
    /stopping after the step in hand[^\n]*\nnullscope: stopped; [^\n]+ Run the same command to go on\.\n$/,
  );
  await expectSavedAndGoesOn(name);
});

test("Ctrl-C twice: it ends now, and the same command goes on", async () => {
  const name = "twice";
  const child = start(studyWords(name));
  const end = ended(child);
  await trains(name);
  child.kill("SIGSTOP"); // so that both are there before it looks
  child.kill("SIGINT");
  spawnSync("sleep", ["0.2"]);
  child.kill("SIGCONT");
  child.kill("SIGINT");
  expect((await end).code).toBe(130);
  expect((await ended(start(studyWords(name)))).code).toBe(0);
  expect(await bytes(name)).toBe(undisturbed);
});

test("nobody reads the output any more (| head -1): it stops as at Ctrl-C, exit 141", async () => {
  const name = "head";
  const { code, out, err } = await ended(shell('"$@" | head -1; exit "$PIPESTATUS"', studyWords(name)));
  expect(out).toMatch(/^Plan for [^\n]+\n$/);
  expect(err).toContain("nobody reads the output any more, stopping after the step in hand");
  expect(code).toBe(141);
  const again = await ended(start(studyWords(name)));
  expect(again.code).toBe(0);
  expect(await bytes(name)).toBe(undisturbed);
});

test("a short answer to a reader that goes away is no error", async () => {
  const { code, err } = await ended(shell('"$@" | true; exit "$PIPESTATUS"', ["results", "undisturbed"]));
  expect({ code, err }).toEqual({ code: 0, err: "" });
});

test("errors that nobody can read stop nothing", async () => {
  const name = "deaf";
  const child = start(studyWords(name));
  child.stderr.destroy();
  const end = ended(child);
  await trains(name);
  child.kill("SIGTERM"); // it says so, to nobody
  expect((await end).code).toBe(143);
  await expectSavedAndGoesOn(name);
});

test("a reader that stands still holds up nothing: the run is finished, and told to stop it ends", async () => {
  // The pipe is full before the command begins; nobody takes anything out of it.
  const full = '(head -c 65536 /dev/zero; exec "$@") | sleep 600';
  const [whole, cut] = ["full", "full-cut"];
  const one = shell(full, studyWords(whole));
  await expect
    .poll(async () => (await readdir(join(folder, "runs", whole)).catch((): string[] => [])).join(), {
      timeout: 300_000,
    })
    .toMatch(/^(?!.*lock).*report\.html/);
  expect(await bytes(whole)).toBe(undisturbed);
  one.kill();
  const other = shell(full, studyWords(cut));
  await trains(cut);
  const pid = await holderOf(cut);
  process.kill(pid, "SIGTERM");
  await expect.poll(() => gone(pid), { timeout: 300_000 }).toBe(true);
  await expectSavedAndGoesOn(cut);
  other.kill();
});

const hasScript = spawnSync("script", ["--version"]).status === 0;
if (!hasScript) console.log('skipped: a closed terminal needs the command "script"');
test.skipIf(!hasScript)("the terminal is closed: it stops as at Ctrl-C and saves", async () => {
  const name = "closed";
  const words = [process.execPath, command, ...studyWords(name)].map((word) => `'${word}'`).join(" ");
  const terminal = spawn("script", ["-qfec", words, "/dev/null"], { cwd: folder, stdio: ["pipe", "pipe", "ignore"] });
  terminal.stdout.resume();
  await trains(name);
  const pid = await holderOf(name);
  terminal.kill("SIGKILL");
  await expect.poll(() => gone(pid), { timeout: 300_000 }).toBe(true);
  await expectSavedAndGoesOn(name);
});

test("without a terminal of its own it goes on when somebody's terminal is closed", async () => {
  const name = "nohup";
  const child = start(studyWords(name));
  const end = ended(child);
  await trains(name);
  child.kill("SIGHUP");
  expect((await end).code).toBe(0);
  expect(await bytes(name)).toBe(undisturbed);
});
