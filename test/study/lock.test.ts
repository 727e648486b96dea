import { spawnSync } from "node:child_process";
import { link, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeFileSystem } from "../../src/study/fileSystem.js";
import { lockRun } from "../../src/study/lock.js";
import { faultyFileSystem } from "./faultyFileSystem.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-lock-"));
});
afterEach(() => rm(folder, { recursive: true }));

const lockOf = (fields: object) =>
  writeFile(
    join(folder, "lock.json"),
    JSON.stringify({
      pid: process.pid,
      host: hostname(),
      since: "2020-01-02T03:04:05.000Z",
      processStart: null,
      ...fields,
    }),
  );

/** The number of a process that has just ended. */
const deadPid = () => spawnSync(process.execPath, ["-e", ""]).pid;

test("a second taker is told who holds the run and since when, and gets it once it is given back", async () => {
  const release = await lockRun(nodeFileSystem, folder, new Date("2026-01-01T00:00:00Z"));
  await expect(lockRun(nodeFileSystem, folder)).rejects.toThrow(
    `in use by process ${process.pid} on ${hostname()} since 2026-01-01T00:00:00.000Z`,
  );
  await release();
  await (await lockRun(nodeFileSystem, folder))();
  expect(await readdir(folder)).toEqual([]);
});

test("the lock of a dead process of this machine is taken over", async () => {
  await lockOf({ pid: deadPid() });
  const release = await lockRun(nodeFileSystem, folder);
  expect(JSON.parse(await readFile(join(folder, "lock.json"), "utf8"))).toMatchObject({ pid: process.pid });
  await release();
  expect(await readdir(folder)).toEqual([]);
});

test("a process number that was used again does not keep a dead process's lock alive", async () => {
  await lockOf({ processStart: "boot:1" });
  const again = (start: string | null) => ({ exists: () => true, start: async () => start });
  for (const start of ["boot:1", null])
    await expect(lockRun(nodeFileSystem, folder, new Date(0), again(start))).rejects.toThrow("in use");
  await (await lockRun(nodeFileSystem, folder, new Date(0), again("boot:2")))();
});

test("a lock from another machine is respected, whatever its process number", async () => {
  await lockOf({ pid: deadPid(), host: "elsewhere" });
  await expect(lockRun(nodeFileSystem, folder)).rejects.toThrow("on elsewhere since 2020-01-02T03:04:05.000Z");
});

test("a lock that cannot be read is not removed", async () => {
  await writeFile(join(folder, "lock.json"), "{");
  await expect(lockRun(nodeFileSystem, folder)).rejects.toThrow("not a lock that can be read");
  expect(await readdir(folder)).toEqual(["lock.json"]);
});

test("giving back removes no lock but one's own", async () => {
  const release = await lockRun(nodeFileSystem, folder);
  await lockOf({ host: "elsewhere" });
  await release();
  expect(await readdir(folder)).toEqual(["lock.json"]);
});

test("the file of a dead process of the same number, a second name of its lock, is not written into", async () => {
  // Killed between taking the lock and removing the file it was written in; in containers the next process often has the same number.
  await lockOf({ processStart: "boot:1" });
  await link(join(folder, "lock.json"), join(folder, `lock.json.${hostname()}-${process.pid}.tmp`));
  const release = await lockRun(nodeFileSystem, folder, new Date(0), {
    exists: () => true,
    start: async () => "boot:2",
  });
  await release();
  expect(await readdir(folder)).toEqual([]);
});

test("a lock is durable before it is one: a power cut leaves none that cannot be read", async () => {
  const { files, operations } = faultyFileSystem(() => undefined);
  const release = await lockRun(files, folder);
  const names = operations.map((operation) => operation.split(" ")[0]);
  expect(names.indexOf("sync")).toBeGreaterThan(names.indexOf("write"));
  expect(names.indexOf("link")).toBeGreaterThan(names.indexOf("sync"));
  await release();
});

test("a slow process that saw the dead lock does not touch the lock of the quick one that took it over", async () => {
  await lockOf({ pid: deadPid() });
  const path = join(folder, "lock.json");
  let takeOver: Promise<() => Promise<void>> | undefined;
  const after: string[] = [];
  const slow = Object.fromEntries(
    Object.entries(nodeFileSystem).map(([name, call]) => [
      name,
      async (...parameters: unknown[]) => {
        const result = await (call as (...all: unknown[]) => Promise<unknown>)(...parameters);
        // Right after it has read the dead lock, another process takes the run.
        if (name === "read" && parameters[0] === path) takeOver ??= lockRun(nodeFileSystem, folder, new Date(1));
        if (takeOver !== undefined) {
          await takeOver;
          after.push(await readFile(path, "utf8").catch(() => "nothing"));
        }
        return result;
      },
    ]),
  ) as unknown as typeof nodeFileSystem;
  await expect(lockRun(slow, folder, new Date(2))).rejects.toThrow("since 1970-01-01T00:00:00.001Z");
  expect(new Set(after)).toEqual(new Set([await readFile(path, "utf8")]));
  await (await takeOver!)();
  expect(await readdir(folder)).toEqual([]);
});
