import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { main } from "../../src/cli/main.js";
import { TEST_SETS } from "../../src/world/index.js";
import { memoryIo } from "./memoryIo.js";
import { tinyWorld } from "./tinyWorld.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nullscope-data-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function nullscope(...argv: string[]) {
  const { io, written } = memoryIo();
  const code = await main(argv, io);
  return { code, ...written };
}

/** A world file in the test's folder. */
function worldFile(change: (file: ReturnType<typeof JSON.parse>) => void = () => {}): string {
  const file = structuredClone(tinyWorld);
  change(file);
  const path = join(folder, "world.json");
  writeFileSync(path, JSON.stringify(file));
  return path;
}

describe("nullscope data preview", () => {
  it.each(["pretrain", "tuning", ...TEST_SETS])(
    "prints %s samples with branch, operators, label and why",
    async (kind) => {
      const { code, out } = await nullscope("data", "preview", "--kind", kind, "--count", "3", "--seed", "4");
      expect(code).toBe(0);
      expect(out.match(/#[123] (safe|unsafe|no label), branch (A|B|mixed|root), grammar G1: .+/g)).toHaveLength(3);
      expect(out.match(/f\d+ f\d+ {2}[A-R]( [A-R])+\n +-> {2}[A-R]( [A-R])+\n/g)).toHaveLength(3);
      expect(out).not.toContain("\u001b");
    },
  );

  it("is coloured where people watch, unless NO_COLOR is set", async () => {
    const { io, written } = memoryIo({ terminal: true });
    const before = process.env.NO_COLOR;
    try {
      delete process.env.NO_COLOR;
      await main(["data", "preview", "--count", "1"], io);
      expect(written.out).toContain("\u001b[");
      written.out = "";
      process.env.NO_COLOR = "1";
      await main(["data", "preview", "--count", "1"], io);
      expect(written.out).not.toContain("\u001b[");
    } finally {
      if (before === undefined) delete process.env.NO_COLOR;
      else process.env.NO_COLOR = before;
    }
  });

  it("names the kinds when asked for one that is not there", async () => {
    expect(await nullscope("data", "preview", "--kind", "jb-co-tsk")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/no kind "jb-co-tsk"; did you mean "jb-co-task"\?/),
    });
    expect(await nullscope("data", "preview", "--world", "paper", "--kind", "jb-misgen-function")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/The world paper has no jb-misgen-function samples/),
    });
  });
});

describe("nullscope data export", () => {
  const exported = (out: string, ...more: string[]) =>
    nullscope("data", "export", "--kind", "jb-co-task", "--count", "40", "--seed", "3", "--out", out, ...more);

  it("writes the same rows as JSON lines and as Parquet, with a dataset card that names them", async () => {
    const out = join(folder, "set");
    expect((await exported(out)).code).toBe(0);
    const lines = readFileSync(join(out, "data/jb-co-task.jsonl"), "utf8").trimEnd().split("\n");
    const rows = lines.map((line) => JSON.parse(line));
    expect(rows).toHaveLength(40);
    expect(rows[0].input_ids).toHaveLength(30);
    expect(rows[0].input_ids.slice(0, 1)).toEqual([1]);
    const bytes = readFileSync(join(out, "data/jb-co-task.parquet"));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    expect(await parquetReadObjects({ file })).toEqual(rows);
    const card = readFileSync(join(out, "README.md"), "utf8");
    const header = parse(card.split("---\n")[1]!);
    expect(header.configs).toEqual([
      { config_name: "jb-co-task", data_files: [{ split: "test", path: "data/jb-co-task.parquet" }] },
    ]);
    for (const field of Object.keys(rows[0])) expect(card).toContain(field);
    expect(readdirSync(folder)).toEqual(["set"]);
  });

  it("makes the same bytes again, and only the format asked for", async () => {
    await exported(join(folder, "a"), "--format", "jsonl");
    await exported(join(folder, "b"), "--format", "jsonl");
    const file = "data/jb-co-task.jsonl";
    expect(readFileSync(join(folder, "a", file))).toEqual(readFileSync(join(folder, "b", file)));
    expect(readdirSync(join(folder, "a/data"))).toEqual(["jb-co-task.jsonl"]);
  });

  it("fills an empty folder and refuses one that holds anything", async () => {
    const out = join(folder, "set");
    mkdirSync(out);
    expect((await exported(out)).code).toBe(0);
    const again = await exported(out);
    expect(again.code).toBe(2);
    expect(again.err).toMatch(/is not an empty folder; choose another with --out/);
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect((await exported(file)).err).toMatch(/is not a folder/);
    expect((await exported(join(file, "below"))).code).toBe(2);
    expect(readdirSync(folder).sort()).toEqual(["file", "set"]);
  });

  it("refuses a format and a count that it does not know", async () => {
    expect(await exported(join(folder, "x"), "--format", "csv")).toMatchObject({ code: 2 });
    expect((await exported(join(folder, "x"), "--count", "0")).err).toMatch(/--count must be a whole number/);
    expect(existsSync(join(folder, "x"))).toBe(false);
  });
});

describe("nullscope world check", () => {
  it("prints lengths, overlap and the test sets of a sound world", async () => {
    const { code, out } = await nullscope("world", "check", "paper");
    expect(code).toBe(0);
    expect(out).toMatch(/grammar G4: 26 reachable symbols \(unreachable: none\)/);
    expect(out).toMatch(/A {4}p {6}expands to 54 \.\. 81 terminals, 67\.5 on average/);
    expect(out).toContain("Jaccard");
  });

  it.each<[string, (file: ReturnType<typeof JSON.parse>) => void, RegExp]>([
    [
      "a left-recursive grammar",
      (file) => file.skeleton.rules.s.push("s x"),
      /grammar "one" is left-recursive \(s -> s\)/,
    ],
    ["a grammar that cannot end", (file) => (file.skeleton.rules.s = ["x s"]), /cannot terminate/],
    ["an unknown key", (file) => (file.testshare = 1), /did you mean "testShare"/],
  ])("refuses %s in one sentence", async (_, change, message) => {
    const { code, out, err } = await nullscope("world", "check", worldFile(change));
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });
});

describe("nullscope world check --evidence", () => {
  it("measures what a text shows of its branch and how many texts of tests are in training", async () => {
    const { code, out } = await nullscope("world", "check", "smoke", "--evidence", "20");
    expect(code).toBe(0);
    expect(out).toMatch(
      /an ideal reader names the branch \(A, B\) rightly for (8\d|9\d|100)\.\d% of 20 texts of tuning/,
    );
    expect(out).toMatch(/of 20 texts of the set safe, \d+\.\d% occur, with other tasks, among 100,000 samples/);
  });
});

describe("a world file", () => {
  it("with a key twice is refused, though JSON.parse would keep the last", async () => {
    const path = worldFile();
    writeFileSync(path, readFileSync(path, "utf8").replace('"min":2', '"min":2,"min":3'));
    const { code, err } = await nullscope("world", "check", path);
    expect(code).toBe(2);
    expect(err).toMatch(/"min"/);
    expect(err).toMatch(/duplicate|twice/);
  });

  it("that is no JSON, or nested without end, is refused in one sentence", async () => {
    for (const text of ["{", "[".repeat(100_000), "\ufeff{}", "null", "[]"]) {
      const path = join(folder, "bad.json");
      writeFileSync(path, text);
      const { code, err } = await nullscope("world", "check", path);
      expect({ text: text.slice(0, 5), code }).toEqual({ text: text.slice(0, 5), code: 2 });
      expect(err.trimEnd().split("\n")).toHaveLength(1);
    }
  });
});

describe("nullscope world generate", () => {
  it("writes a world that checks, the same for the same seed, and never over a file", async () => {
    const make = (name: string) =>
      nullscope("world", "generate", "--seed", "5", "--grammars", "2", "--out", join(folder, name));
    expect((await make("a.json")).code).toBe(0);
    await make("b.json");
    expect(readFileSync(join(folder, "a.json"))).toEqual(readFileSync(join(folder, "b.json")));
    expect((await nullscope("world", "check", join(folder, "a.json"))).code).toBe(0);
    expect(await make("a.json")).toMatchObject({ code: 2, err: expect.stringMatching(/exists already/) });
  });

  it("draws worlds of more branches and operators", async () => {
    const { code, out } = await nullscope(
      ...["world", "generate", "--seed", "5", "--branches", "3", "--operators", "20"],
      ...["--out", join(folder, "three.json")],
    );
    expect(code).toBe(0);
    expect(out).toContain("56 tokens in the vocabulary"); // 6 specials, 20 operators, 30 terminals
    expect(out).toContain("branches: A, B, C\n");
    expect(await nullscope("world", "generate", "--seed", "5", "--branches", "7", "--out", "x")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/--branches must be a whole number from 2 to 6/),
    });
  });

  it("explains options that make no world", async () => {
    const { code, err } = await nullscope(
      ...["world", "generate", "--seed", "1", "--vocabulary", "6", "--branching", "2", "--grammars", "9"],
      ...["--overlap", "0", "--out", join(folder, "w.json")],
    );
    expect(code).toBe(2);
    expect(err).toMatch(/These options make no world/);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("a subcommand", () => {
  it("that is missing or misspelt is asked for by name", async () => {
    expect(await nullscope("data")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/"nullscope data" needs one of its commands: preview, export\./),
    });
    expect(await nullscope("data", "exprot")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/no command "data exprot"; did you mean "data export"\?/),
    });
  });
});
