import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { main } from "../../src/cli/main.js";
import { runToEnd } from "../../src/cli/study.js";
import { DivergedError } from "../../src/errors.js";
import { writeRows } from "../../src/study/assembleResults.js";
import type { ResultRow } from "../../src/study/results.js";
import { writeResults } from "../../src/study/resultsFiles.js";
import type { Stage } from "../../src/study/stage.js";
import { memoryIo } from "./memoryIo.js";
import { tinyWorld as tiny } from "./tinyWorld.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-cli-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function worldFile(change: object = {}): Promise<string> {
  const path = join(folder, "tiny.json");
  await writeFile(path, JSON.stringify({ ...tiny, ...change }));
  return path;
}

async function run(...argv: string[]) {
  const { io, written } = memoryIo();
  return { code: await main(argv, io), ...written };
}

describe("help", () => {
  test("it is printed without a command, and names every command with examples and exit codes", async () => {
    for (const argv of [[], ["--help"], ["-h"]]) {
      const { code, out, err } = await run(...argv);
      expect(code).toBe(0);
      expect(err).toBe("");
      for (const part of ["study", "report", "results", "graph", "Examples:", "Exit codes:"])
        expect(out).toContain(part);
    }
  });

  test.each(["study", "report", "results", "graph"])("%s has its own, with examples", async (command) => {
    const { code, out } = await run(command, "--help");
    expect(code).toBe(0);
    expect(out).toContain("Examples:");
    expect(out).not.toContain("[]"); // an empty default says nothing to people
  });

  test("--version is the package's", async () => {
    const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect(await run("--version")).toMatchObject({ code: 0, out: `${version}\n` });
  });
});

describe("a mistake is one clear sentence, exit code 2, and leaves nothing behind", () => {
  // Each gets --runs below the test's folder, which must be as empty afterwards as before.
  test.each<[string, string[], string]>([
    ["an unknown command", ["studdy"], 'There is no command "studdy"; did you mean "study"?'],
    ["an unknown preset", ["study", "qick"], 'There is no preset "qick"; did you mean "quick"?'],
    ["an unknown key", ["study", "--set", "tune.step=1"], '"tune.step" is not a setting; did you mean "tune.steps"?'],
    ["a run name with ..", ["study", "--name", "../up"], "name must be 1 to 64 letters"],
    ["an unknown option", ["study", "--seads", "3"], "Unknown option '--seads'; Did you mean --seeds?"],
    ["a second argument", ["study", "a", "b"], "Too many arguments"],
    [
      "a seed that is no number",
      ["study", "--seed", "x"],
      '--seed must be a whole number from 0 to 4294967295, not "x".',
    ],
    ["no seeds", ["study", "--seeds", "0"], "--seeds must be a whole number"],
    [
      "a world file that is not there",
      ["study", "--set", "world=/nowhere/w.json"],
      "Cannot read the world file /nowhere/w.json",
    ],
    ["a run that is not there", ["results", "absent"], 'There is no run "absent"'],
    ["a missing argument", ["results"], "Missing required argument 'run'"],
    ["a format that is none", ["results", "x", "--format", "xml"], "Allowed choices are table, json, csv."],
    ["a field that is none", ["results", "x", "--where", "metrik=tau"], 'no field "metrik"; did you mean "metric"?'],
    ["a number that is none", ["results", "x", "--where", "block=two"], 'block is a number, and "two" is none'],
  ])("%s", async (_what, argv, message) => {
    const options = argv[0] === "studdy" ? [] : ["--runs", join(folder, "runs")];
    const { code, out, err } = await run(...argv, ...options);
    expect(err).toContain(message);
    expect(err).toMatch(/^nullscope: [^\n]*\n$/);
    expect(out).toBe("");
    expect(code).toBe(2);
    expect(await readdir(folder)).toEqual([]);
  });

  test("an unreadable grammar", async () => {
    const path = join(folder, "w.json");
    for (const text of ["{", "[]", '"\u00ff', JSON.stringify({ ...tiny, skeleton: 7 })]) {
      await writeFile(path, text);
      const { code, err } = await run("study", "--set", `world=${path}`, "--runs", join(folder, "runs"));
      expect(err).toMatch(/^nullscope: [^\n]*w\.json[^\n]*\n$/);
      expect(code).toBe(2);
      expect(await readdir(folder)).toEqual(["w.json"]);
    }
  });

  test("a left-recursive grammar", async () => {
    const path = await worldFile({
      skeleton: { ...tiny.skeleton, rules: { ...tiny.skeleton.rules, s: ["s x", "y x"] } },
    });
    const { code, err } = await run("study", "--set", `world=${path}`, "--runs", join(folder, "runs"));
    expect(err).toMatch(/^nullscope: [^\n]*left[- ]recurs[^\n]*\n$/);
    expect(code).toBe(2);
    expect(await readdir(folder)).toEqual(["tiny.json"]);
  });

  test("a folder that cannot be written: below a file, and in the kernel's own folder", async () => {
    const file = join(folder, "file");
    await writeFile(file, "");
    for (const runs of [join(file, "runs"), "/proc/nullscope"]) {
      const { io, written } = memoryIo();
      const stages: Stage[] = [];
      const error = await runToEnd(stages, join(runs, "x"), "", false, io).catch((thrown: unknown) => thrown);
      expect(String(error)).toMatch(
        /^UserError: Cannot use the run folder .*; choose another|^UserError: Cannot use the run folder .*not there/,
      );
      expect(written.out).toBe("");
    }
    expect(await readdir(folder)).toEqual(["file"]);
  });
});

test("control characters of foreign text do not reach the terminal", async () => {
  const { err } = await run("study", "\u001b[2Jquick");
  expect(err).not.toContain("\u001b");
});

test("study --plan prints the plan and writes nothing", async () => {
  const path = await worldFile();
  const argv = ["study", "smoke", "--set", `world=${path}`, "--runs", join(folder, "runs"), "--plan"];
  const lines = await run(...argv);
  expect(lines).toMatchObject({ code: 0, err: "" });
  expect(lines.out).toMatch(/^Plan for .*runs\/smoke: /);
  expect((await run("study", "--preset", ...argv.slice(1))).out).toBe(lines.out);
  expect(await run(...argv, "--preset", "quick")).toMatchObject({
    code: 2,
    err: 'nullscope: Give "smoke" or --preset quick, not both.\n',
  });
  const { out } = await run(...argv, "--json");
  const plan = JSON.parse(out) as {
    event: string;
    stages: { name: string; done: boolean; steps?: number }[];
    steps: number;
  };
  expect(plan).toMatchObject({ event: "plan", runFolder: join(folder, "runs", "smoke") });
  expect(plan.stages[0]).toMatchObject({ name: "world", done: false });
  expect(plan.steps).toBe(plan.stages.reduce((sum, stage) => sum + (stage.steps ?? 0), 0));
  expect(await readdir(folder)).toEqual(["tiny.json"]);
});

describe("a study in front of people", () => {
  const stage = (name: string, work: Stage["run"], inputs: Stage[] = []): Stage => ({
    ...{ kind: "test", name, version: 1, config: name, inputs, run: work },
  });

  test("it ends with exit code 0 and says where the results are; run again it says that nothing is to do", async () => {
    const stages = [stage("a", async ({ folder }) => writeFile(join(folder, "x"), "x"))];
    const runFolder = join(folder, "run");
    const first = memoryIo();
    await runToEnd(stages, runFolder, "name: run\n", false, first.io);
    expect(first.io.exitCode).toBe(0);
    expect(first.written.out).toMatch(/Plan for [\s\S]*\[1\/1\] a {2}finished in [\s\S]*Results: .*results\n$/);
    expect(await readFile(join(runFolder, "config.yaml"), "utf8")).toBe("name: run\n");
    const second = memoryIo();
    await runToEnd(stages, runFolder, "name: run\n", false, second.io);
    expect(second.written.out).toMatch(/^Everything is done already: 1 stage verified, none to run\.\nResults: /);
  });

  test("a diverged stage ends it with exit code 3 and names what could not be run", async () => {
    const bad = stage("bad", async () => {
      throw new DivergedError("the loss is NaN at step 3", 3, "batch", Number.NaN);
    });
    const { io, written } = memoryIo();
    await runToEnd([bad, stage("after", async () => {}, [bad])], join(folder, "run"), "", false, io);
    expect(io.exitCode).toBe(3);
    expect(written.out).toContain("DIVERGED bad: the loss is NaN at step 3");
    expect(written.err).toContain('"bad" diverged and "after" could not be run');
  });

  test("Ctrl-C once stops after the step in hand with exit code 130 and how to go on; twice quits now", async () => {
    const { io, written, interrupt } = memoryIo();
    const slow = stage("slow", async ({ signal }) => {
      interrupt();
      expect(written.quit).toBeUndefined();
      interrupt();
      signal.throwIfAborted();
    });
    await runToEnd([slow], join(folder, "run"), "", false, io);
    expect(written.quit).toBe(130);
    expect(io.exitCode).toBe(130);
    expect(written.err).toMatch(/stopping after the step in hand[\s\S]*Run the same command to go on/);
    interrupt(); // nobody listens any more
    expect(written.err.match(/stopping/g)).toHaveLength(1);
  });

  test("--json prints nothing but events, the last with every stage's fate", async () => {
    const { io, written } = memoryIo();
    await runToEnd([stage("a", async ({ progress }) => progress(1, 1, "loss 1"))], join(folder, "run"), "", true, io);
    const events = written.out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string });
    expect(events.map((event) => event.event)).toEqual(["plan", "started", "progress", "finished", "end"]);
    expect(events.at(-1)).toEqual({
      event: "end",
      ran: ["a"],
      already: [],
      diverged: [],
      skipped: [],
      interrupted: false,
      disk: { stages: 1, bytes: 0, checkpoints: 0, states: 0, freed: 0 },
    });
  });
});

describe("report", () => {
  test("it is written anew from the results, and by the study that has any", async () => {
    const stages: Stage[] = [
      {
        ...{ kind: "test", name: "measure", version: 1, config: null, inputs: [] },
        run: (context) =>
          writeRows(context, [
            { measure: "behaviour", metric: "null", checkpoint: "instruct", set: "safe", value: 0.5, n: 10 },
          ]),
      },
    ];
    const runFolder = join(folder, "quick");
    const { io, written } = memoryIo();
    await runToEnd(stages, runFolder, "name: quick\n", false, io);
    expect(written.out).toMatch(/Report: \S+report\.html\n$/);
    const page = await readFile(join(runFolder, "report.html"));
    await rm(join(runFolder, "report.html"));
    expect(await run("report", "quick", "--runs", folder)).toMatchObject({
      code: 0,
      err: "",
      out: expect.stringContaining("report.html"),
    });
    expect((await readFile(join(runFolder, "report.html"))).equals(page)).toBe(true);
  });

  test("a run without results is one clear sentence", async () => {
    await runToEnd([], join(folder, "empty"), "name: empty\n", false, memoryIo().io);
    const { code, err } = await run("report", "empty", "--runs", folder);
    expect(code).toBe(2);
    expect(err).toMatch(/^nullscope: [^\n]*no results[^\n]*\n$/);
  });
});

describe("results", () => {
  const rows: ResultRow[] = [
    {
      measure: "clusters",
      metric: "auc",
      checkpoint: "instruct",
      block: 1,
      value: 0.51234567,
      n: 1000,
      low: 0.48,
      high: 0.54,
      chance: 0.5,
    },
    { measure: "clusters", metric: "auc", checkpoint: "ssft-medium", block: 3, value: 0.98, n: 1000 },
    { measure: "clusters", metric: "tau", checkpoint: 'evil\u001b[2J,"name"', value: 1 },
  ];
  const results = async (...argv: string[]) => {
    await writeResults(join(folder, "quick"), [{ measure: "clusters", stages: [], rows }]);
    return run("results", "quick", "--runs", folder, ...argv);
  };

  test("a table has aligned columns, four digits, and no column that is empty", async () => {
    const { out } = await results("--where", "metric=auc");
    expect(out).toBe(
      [
        "measure   metric  checkpoint   block   value     n   low  high  chance",
        "clusters  auc     instruct         1  0.5123  1000  0.48  0.54     0.5",
        "clusters  auc     ssft-medium      3    0.98  1000",
        "",
      ].join("\n"),
    );
  });

  test("conditions narrow, a comma means either, empty means absent", async () => {
    const values = async (...where: string[]) =>
      (
        JSON.parse((await results("--format", "json", ...where.flatMap((one) => ["--where", one]))).out) as ResultRow[]
      ).map((row) => row.value);
    expect(await values("block=1,3")).toEqual([0.51234567, 0.98]);
    expect(await values("block=1,3", "checkpoint=instruct")).toEqual([0.51234567]);
    expect(await values("block=")).toEqual([1]);
    expect(await values("block=7")).toEqual([]);
  });

  test("CSV has every column, full precision, and quotes what needs it; tables show no control character", async () => {
    const { out } = await results("--format", "csv");
    expect(out.split("\n")[0]).toBe(
      "measure,metric,checkpoint,set,branch,outcome,block,matrix,index,alpha,step,seed,value,n,low,high,chance",
    );
    expect(out).toContain("clusters,auc,instruct,,,,1,,,,,,0.51234567,1000,0.48,0.54,0.5\n");
    expect(out).toContain('"evil\u001b[2J,""name"""');
    expect((await results()).out).not.toContain("\u001b");
  });

  test("a measure that the run has not is named beside those it has", async () => {
    expect(await results("--measure", "behavior")).toMatchObject({
      code: 2,
      err: expect.stringContaining("it has clusters"),
    });
  });
});
