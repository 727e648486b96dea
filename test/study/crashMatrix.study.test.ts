import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { UserError } from "../../src/errors.js";
import { type FileSystem, nodeFileSystem } from "../../src/study/fileSystem.js";
import type { Clock } from "../../src/study/progressMeter.js";
import { type RunStudyOptions, runStudy } from "../../src/study/runStudy.js";
import { type Stage, stageFolderName } from "../../src/study/stage.js";
import { madeTable } from "../madeTable.js";
import { Crash, faultyFileSystem, systemError, unsyncedFileSystem } from "./faultyFileSystem.js";
import { type Crashed, powerCutFileSystem } from "./powerCut.js";

const STEPS = 6;
const SAVED = [2, 4];

const world: Stage = {
  kind: "world",
  name: "world",
  version: 1,
  config: null,
  inputs: [],
  run: ({ folder }) => writeFile(join(folder, "world.txt"), "1"),
};

/** A training in small: what each step gives depends on all the steps before; a file is kept on the way; every second step is saved. */
const training: Stage = {
  kind: "train",
  name: "training",
  version: 1,
  config: null,
  inputs: [world],
  run: async ({ folder, input, metrics, progress, state }) => {
    const saved = await state.load();
    let weights = saved?.files.get("weights") ?? (await readFile(join(input(world), "world.txt")));
    for (let step = (saved?.step ?? 0) + 1; step <= STEPS; step++) {
      weights = createHash("sha256").update(weights).update(`step ${step}`).digest();
      metrics({ step, weight: weights[0]! });
      progress(step, STEPS);
      if (step === 3) {
        await mkdir(join(folder, "steps"));
        await writeFile(join(folder, "steps", "3"), weights);
      }
      if (SAVED.includes(step)) await state.save({ step, note: null, files: new Map([["weights", weights]]) });
    }
    await writeFile(join(folder, "model"), weights);
  },
};

const run = (runFolder: string, options: Partial<RunStudyOptions> = {}) =>
  runStudy([training], {
    runFolder,
    configText: "name: matrix\n",
    finish: async () => {
      // Results are gathered from the stages, as the command does it.
      const model = await readFile(join(runFolder, "stages", stageFolderName(training), "model"));
      await (options.files ?? nodeFileSystem).write(join(runFolder, "results.json"), model);
    },
    ...options,
  });
let root: string;
let runs: string;
let count = 0;
let expected: string;
let deadPid: number;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nullscope-matrix-"));
  deadPid = spawnSync(process.execPath, ["-e", ""]).pid;
  const folder = await fresh();
  await run(folder, { files: unsyncedFileSystem });
  expected = await bytesOf(folder);
});
afterAll(() => rm(root, { recursive: true }));

/** A run folder that is not there yet, in an empty folder `runs` of its own. */
async function fresh(): Promise<string> {
  runs = join(root, String(count++));
  await mkdir(runs);
  return join(runs, "run");
}

/** A run folder whose training was killed right after its second state, and now lies there as that process left it. */
async function cutOff(): Promise<string> {
  const folder = await fresh();
  const { files } = faultyFileSystem(() => undefined, unsyncedFileSystem);
  const killed: FileSystem = {
    ...files,
    rename: async (from, to) => {
      await files.rename(from, to);
      if (to.endsWith(".state-4")) throw new Crash();
    },
    remove: async (path) => {
      if (!path.includes(".attempt-")) await files.remove(path); // a dead process does not clean up
    },
  };
  await expect(run(folder, { files: killed })).rejects.toThrow(Crash);
  expect((await readdir(join(folder, "stages"))).sort()).toEqual(
    [
      `.${stageFolderName(training)}.attempt-1`,
      `.${stageFolderName(training)}.attempt-1.state-2`,
      `.${stageFolderName(training)}.attempt-1.state-4`,
      stageFolderName(world),
    ].sort(),
  );
  return folder;
}

/** Every file of a run but the manifests, which hold times, in one text: names, and hashes of what is in them. */
async function bytesOf(folder: string): Promise<string> {
  const lines: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && entry.name !== "manifest.json")
      lines.push(
        `${path.slice(folder.length)} ${createHash("sha256")
          .update(await readFile(path))
          .digest("hex")}`,
      );
    else if (entry.isDirectory()) lines.push(path.slice(folder.length));
  }
  return lines.sort().join("\n");
}

/** The lock of a process that is gone names a process that is gone. */
async function buryHolder(folder: string): Promise<void> {
  const path = join(folder, "lock.json");
  if ((await nodeFileSystem.kind(path)) !== "file") return;
  const lock = JSON.parse(await readFile(path, "utf8")) as object;
  await writeFile(path, JSON.stringify({ ...lock, pid: deadPid }));
}

/** Runs, and says where the training began: at "0", after a step, or not at all ("done"); and whether something was passed over as damaged. */
async function runFrom(folder: string, options: Partial<RunStudyOptions>): Promise<string> {
  let from = "done";
  let damaged = "";
  await run(folder, {
    ...options,
    observer: (event) => {
      if (event.type === "started" && event.stage === training) from = "0";
      if (event.type === "resumed") from = String(event.step);
      if (event.type === "rejected") damaged = ", one is damaged";
    },
  });
  return from + damaged;
}

/** The same command once more: where it goes on. Its bytes must be those of an undisturbed run. */
async function goOn(folder: string): Promise<string> {
  await buryHolder(folder);
  const from = await runFrom(folder, { files: unsyncedFileSystem });
  expect(await bytesOf(folder)).toBe(expected);
  return from;
}

/** What the user sees of a fault, and where the same command goes on once its cause is gone. */
async function outcome(folder: string, options: Partial<RunStudyOptions>): Promise<string> {
  let error: unknown;
  const from = await runFrom(folder, options).catch((thrown: unknown) => {
    error = thrown;
    return "";
  });
  if (error === undefined) {
    const again = await goOn(folder); // "done", unless the run was deleted when it had been looked at for the last time
    const passedOver = from.includes(",") ? `passed over, ${from.split(",")[0]}` : "-";
    return again === "done" ? passedOver : `${passedOver}, ${again}`;
  }
  expect(error).toBeInstanceOf(UserError);
  return `error, ${await goOn(folder)}`;
}

const CRASHES: readonly Crashed[] = ["killed", "unsynced lost", "unsynced emptied", "torn"];
const ERRORS = ["ENOSPC", "EIO", "EACCES", "EROFS"];
const HEAD = ["operation", ...CRASHES, "disk error", "folder deleted", "clock set back"];

/** An operation as the table calls it. */
function label(operation: string): string {
  return operation
    .replace(/\brun\//, "")
    .replace(/ run$/, " the run's folder")
    .replace(stageFolderName(world), "WORLD")
    .replace(stageFolderName(training), "TRAINING")
    .replace(/(lock\.json|config\.yaml)\.[^/ ]+-\d+\.tmp$/, "$1.HOST-PID.tmp");
}

/** One row of the matrix: a fault at operation `at` of a run that begins as `begin` makes its folder. */
async function faultsAt(at: number, operation: string, begin: () => Promise<string>): Promise<string[]> {
  const cells: string[] = [];
  // What only looks leaves the disk as the operation before it left it.
  const looks = /^(list|kind|read|digest|stamp) /.test(operation);
  if (looks) cells.push(...CRASHES.map(() => '"'));
  for (const crashed of looks ? [] : CRASHES) {
    const folder = await begin();
    await buryHolder(folder);
    const image = `${runs}-image`;
    const { files } = await powerCutFileSystem(runs, at, crashed, image);
    await run(folder, { files }).then(
      () => expect(operation).toBe("remove run/lock.json"), // giving the lock back is the one thing that may fail
      (error: unknown) => expect(error).toBeInstanceOf(Crash),
    );
    cells.push(await goOn(join(image, "run")));
  }
  const counted = async (fault: (folder: string) => Error | undefined, clock?: Clock) => {
    const folder = await begin();
    await buryHolder(folder);
    const { files } = faultyFileSystem((number) => (number === at ? fault(folder) : undefined), unsyncedFileSystem);
    return outcome(folder, { files, ...(clock && { clock }) });
  };
  const errors = new Set<string>();
  for (const code of ERRORS) errors.add(await counted(() => systemError(code)));
  cells.push([...errors].join(" / "));
  cells.push(
    await counted((folder) => {
      rmSync(folder, { recursive: true, force: true });
      return undefined;
    }),
  );
  let year = 2030;
  const clock = { now: () => performance.now(), date: () => new Date(Date.UTC(year)) };
  cells.push(
    await counted(() => {
      year = 2020;
      return undefined;
    }, clock),
  );
  return [label(operation), ...cells];
}

/** The operations of a run that nothing disturbs. */
async function operationsOf(begin: () => Promise<string>): Promise<string[]> {
  const folder = await begin();
  await buryHolder(folder);
  const { files, operations } = await powerCutFileSystem(runs, -1, "killed", "");
  await run(folder, { files });
  expect(await bytesOf(folder)).toBe(expected);
  return operations;
}

test("every operation of a run, every fault: the same command ends in the same bytes", async () => {
  const operations = await operationsOf(fresh);
  // config.yaml, two states, two stages.
  expect(operations.filter((operation) => operation.startsWith("rename"))).toHaveLength(5);
  const rows: string[][] = [];
  for (const [at, operation] of operations.entries()) rows.push(await faultsAt(at, operation, fresh));
  await madeTable("docs/reliability.md", "crash matrix", [HEAD, ...rows]);
});

test("the same for a run that goes on from the state of one that was killed", async () => {
  const operations = await operationsOf(cutOff);
  const first = operations.findIndex((operation) => /^makeFolder .*attempt-2$/.test(operation));
  const rows: string[][] = [];
  for (const [at, operation] of operations.entries()) if (at >= first) rows.push(await faultsAt(at, operation, cutOff));
  await madeTable("docs/reliability.md", "crash matrix of a run that goes on", [HEAD, ...rows]);
});
