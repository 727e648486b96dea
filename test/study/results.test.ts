import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parquetMetadata, parquetReadObjects, parquetSchema } from "hyparquet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { assembleResults, writeExamples, writeRows } from "../../src/study/assembleResults.js";
import { openRun } from "../../src/study/openRun.js";
import { type Example, RESULT_COLUMNS, type ResultRow } from "../../src/study/results.js";
import { readResults, resultsParquet, resultsText, sortRows, writeResults } from "../../src/study/resultsFiles.js";
import { runStudy } from "../../src/study/runStudy.js";
import { sealJson } from "../../src/study/seal.js";
import { type Stage, stageIdentity } from "../../src/study/stage.js";

let runFolder: string;
beforeEach(async () => {
  runFolder = await mkdtemp(join(tmpdir(), "nullscope-results-"));
});
afterEach(() => rm(runFolder, { recursive: true }));

const full: Required<ResultRow> = {
  ...{
    measure: "clusters",
    metric: "tau",
    checkpoint: "ssft-medium",
    set: "safe",
    branch: "A",
    outcome: "success",
    block: 2,
    matrix: "mlp.fc",
  },
  ...{ index: 1, alpha: 1.25, step: 500, seed: 0, value: 0.1 + 0.2, n: 500, low: -1e-300, high: 1e300, chance: 0.5 },
};
const bare: ResultRow = { measure: "clusters", metric: "auc", value: 1 };
const rows: ResultRow[] = [full, { ...bare, block: 10 }, { ...bare, block: 9 }, bare];

describe("results files", () => {
  test("rows come in one order, numbers by size, absent first", () => {
    expect(sortRows(rows)).toEqual([bare, { ...bare, block: 9 }, { ...bare, block: 10 }, full]);
  });

  test("the text does not depend on the order of rows or stages", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(rows, { minLength: rows.length }), (shuffled) => {
        expect(resultsText("clusters", ["b", "a"], shuffled)).toBe(resultsText("clusters", ["a", "b"], rows));
      }),
    );
  });

  test("JSON has every column, absent ones null, and gives back the rows exactly", async () => {
    await writeResults(runFolder, [{ measure: "clusters", stages: ["x"], rows }]);
    const path = join(runFolder, "results", "clusters.json");
    const json = JSON.parse(await readFile(path, "utf8")) as { rows: object[] };
    expect(json).toMatchObject({ schema: "nullscope/results@1", measure: "clusters", stages: ["x"] });
    for (const row of json.rows) expect(Object.keys(row)).toEqual([...RESULT_COLUMNS]);
    expect((await readResults(path)).rows).toEqual(sortRows(rows));
  });

  test("Parquet has the same rows, columns in order, nulls where a field is absent", async () => {
    const bytes = resultsParquet(rows);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    const columns = parquetSchema(parquetMetadata(file)).children.map((child) => child.element);
    expect(columns.map((column) => column.name)).toEqual([...RESULT_COLUMNS]);
    expect(columns.find((column) => column.name === "value")).toMatchObject({
      type: "DOUBLE",
      repetition_type: "REQUIRED",
    });
    expect(columns.find((column) => column.name === "block")).toMatchObject({
      type: "INT64",
      repetition_type: "OPTIONAL",
    });
    const read = await parquetReadObjects({ file });
    const plain = read.map((row) =>
      Object.fromEntries(
        Object.entries(row)
          .filter(([, cell]) => cell !== null && cell !== undefined)
          .map(([key, cell]) => [key, typeof cell === "bigint" ? Number(cell) : cell]),
      ),
    );
    expect(plain).toEqual(sortRows(rows));
    expect(resultsParquet([...rows].reverse())).toEqual(bytes);
  });

  test("a table without rows is still a Parquet file with every column", async () => {
    const bytes = resultsParquet([]);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    expect(await parquetReadObjects({ file })).toEqual([]);
    expect(parquetSchema(parquetMetadata(file)).children).toHaveLength(RESULT_COLUMNS.length);
  });

  test("what is not a number has no row", () => {
    expect(() => resultsText("clusters", [], [{ ...bare, value: Number.NaN }])).toThrow("value is NaN");
    expect(() => resultsText("behaviour", [], [bare])).toThrow("a row of clusters");
  });

  test.each([
    ["{", "no valid JSON"],
    ['{"schema":"nullscope/results@1"}', "it has no seal"],
    [resultsText("m", [], [{ measure: "m", metric: "x", value: 1 }]).replace('"value":1', '"value":2'), "was changed"],
    [sealJson('{"schema":"nullscope/results@2"}'), "is not a nullscope/results@1 file"],
    [
      sealJson(
        '{"schema":"nullscope/results@1","measure":"m","stages":[],"rows":[{"measure":"m","metric":"x","value":"1"}]}',
      ),
      "rows.0.value is wrong",
    ],
  ])("a damaged file %s is named", async (text, message) => {
    const path = join(runFolder, "m.json");
    await writeFile(path, text);
    await expect(readResults(path)).rejects.toThrow(message);
  });
});

const example: Example = {
  ...{ checkpoint: "instruct", set: "safe", seed: 0, branch: "A", label: "safe", operators: ["f0", "f1"] },
  ...{ text: ["a"], truth: ["b"], output: ["b"], outcome: "instruct" as const },
};

function measuring(measure: string, value: number): Stage {
  return {
    kind: "measure",
    name: `measure ${measure}`,
    version: 1,
    config: { measure, value },
    inputs: [],
    run: async (context) => {
      await writeRows(context, [{ ...bare, measure, value }]);
      await writeExamples(context, [example]);
    },
  };
}

describe("a run's results", () => {
  test("stages hand over rows and examples; a second assembly touches no file; a measure that is gone takes its file along", async () => {
    const stages = [measuring("clusters", 1), measuring("behaviour", 2)];
    await runStudy(stages, { runFolder, configText: "name: x\n", finish: () => assembleResults(stages, runFolder) });
    const results = join(runFolder, "results");
    expect((await readdir(results)).sort()).toEqual([
      "behaviour.json",
      "clusters.json",
      "examples.json",
      "results.parquet",
    ]);
    expect(JSON.parse(await readFile(join(results, "clusters.json"), "utf8"))).toMatchObject({
      stages: [stageIdentity(stages[0]!)],
    });
    expect(JSON.parse(await readFile(join(results, "examples.json"), "utf8"))).toMatchObject({
      schema: "nullscope/examples@1",
      examples: [example, example],
    });
    const inode = async () => (await stat(join(results, "results.parquet"))).ino; // an atomic write would change it
    const before = await inode();
    await assembleResults(stages, runFolder);
    expect(await inode()).toBe(before);
    await assembleResults(stages.slice(0, 1), runFolder);
    expect((await readdir(results)).sort()).toEqual(["clusters.json", "examples.json", "results.parquet"]);
  });

  test("openRun finds rows by any of their fields, and verified stages", async () => {
    await writeResults(runFolder, [{ measure: "clusters", stages: [], rows }]);
    const stage = measuring("clusters", 1);
    await runStudy([stage], { runFolder, configText: "name: x\n" });
    const run = await openRun(runFolder);
    expect(run).toMatchObject({ config: { name: "x" }, measures: ["clusters"] });
    expect(await run.results("clusters").where({ metric: "tau", checkpoint: "ssft-medium", block: 2 })).toEqual([full]);
    expect(await run.results("clusters").where({ block: [9, 10] })).toHaveLength(2);
    expect(await run.results("clusters").where({ block: undefined })).toEqual([bare]);
    expect(await run.results("clusters").rows()).toHaveLength(4);
    await expect(run.results("cluster").rows()).rejects.toThrow("it has clusters");
    expect((await run.stages()).whole.map((manifest) => manifest.identity)).toEqual([stageIdentity(stage)]);
  });

  test("a folder that is no run is refused", async () => {
    await expect(openRun(join(runFolder, "absent"))).rejects.toThrow("There is no run");
    await expect(openRun(runFolder)).rejects.toThrow("is not a run");
  });
});
