import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const built = (path: string) => new URL(`../../dist/study/${path}`, import.meta.url).href;

/** Takes the run again and again; who holds it looks whether another living process does. Now and then it dies while it holds it. */
const TAKER = `
import { readFileSync, rmSync, writeFileSync } from "node:fs";
const { FOLDER, DIES } = process.env;
const { lockRun } = await import(${JSON.stringify(built("lock.js"))});
const { nodeFileSystem } = await import(${JSON.stringify(built("fileSystem.js"))});
const held = FOLDER + ".held";
const alive = (pid) => { try { process.kill(pid, 0); return true; } catch { return false; } };
const pause = () => new Promise((resolve) => setTimeout(resolve, 1));
for (let taken = 0; taken < 8; ) {
  let release;
  try { release = await lockRun(nodeFileSystem, FOLDER); } catch (error) {
    if (error.name !== "UserError" && !/in use|being taken/.test(error.message)) throw error;
    await pause();
    continue;
  }
  taken++;
  let other;
  try { other = Number(readFileSync(held, "utf8")); } catch {}
  if (other && other !== process.pid && alive(other)) console.log("two hold it");
  writeFileSync(held, String(process.pid));
  console.log("taken");
  await pause();
  if (taken === Number(DIES)) process.kill(process.pid, "SIGKILL");
  rmSync(held, { force: true });
  await release();
}
`;

test("six processes at once, some dying while they hold the run: never do two hold it, and it is never lost", async () => {
  const root = await mkdtemp(join(tmpdir(), "nullscope-contention-"));
  const folder = join(root, "run");
  await mkdir(folder);
  const lines: string[] = [];
  const run = (dies: number) =>
    new Promise<void>((done) => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", TAKER], {
        env: { ...process.env, FOLDER: folder, DIES: String(dies) },
        stdio: ["ignore", "pipe", "pipe"],
      });
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (part: Buffer) => lines.push(...part.toString().trim().split("\n")));
      child.on("close", () => done());
    });
  await Promise.all([1, 2, 3, 4, 0, 0].map(run));
  expect(lines.filter((line) => line !== "taken")).toEqual([]);
  expect(lines).toHaveLength(1 + 2 + 3 + 4 + 8 + 8);
  expect((await readdir(folder)).filter((name) => name !== "lock.json")).toEqual([]);
  await rm(root, { recursive: true });
});
