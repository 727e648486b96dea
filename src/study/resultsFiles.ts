import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { z } from "zod";
import { UserError } from "../errors.js";
import { type FileSystem, nodeFileSystem } from "./fileSystem.js";
import {
  type AppliedIntervention,
  RESULT_COLUMNS,
  RESULTS_SCHEMA,
  type ResultRow,
  type ResultsFile,
} from "./results.js";
import { writeIfChanged } from "./runStudy.js";
import { readSealedJson, sealJson } from "./seal.js";

/** All rows of a run in one file, for tools that read Parquet. */
export const PARQUET = "results.parquet";

const TEXT_COLUMNS = ["measure", "metric", "checkpoint", "set", "branch", "outcome", "matrix"] as const;
const WHOLE_COLUMNS = ["block", "index", "step", "seed", "n"] as const;

type Column = (typeof RESULT_COLUMNS)[number];
const isText = (column: Column) => (TEXT_COLUMNS as readonly string[]).includes(column);
const isWhole = (column: Column) => (WHOLE_COLUMNS as readonly string[]).includes(column);

/** Rows in the one order that every file has them: by the columns, absent first, numbers by size, text by code unit. */
export function sortRows(rows: readonly ResultRow[]): ResultRow[] {
  return [...rows].sort((a, b) => {
    for (const column of RESULT_COLUMNS) {
      const x = a[column];
      const y = b[column];
      if (x === y) continue;
      if (x === undefined) return -1;
      if (y === undefined) return 1;
      return x < y ? -1 : 1;
    }
    return 0;
  });
}

/**
 * `results/MEASURE.json` as text, sealed, one row a line, absent fields null, numbers in their shortest exact spelling.
 * @throws TypeError for NaN, infinities and rows of another measure: a number that is not defined has no row.
 */
export function resultsText(
  measure: string,
  stages: readonly string[],
  rows: readonly ResultRow[],
  interventions: readonly AppliedIntervention[] = [],
): string {
  const lines = sortRows(rows).map((row) => {
    if (row.measure !== measure) throw new TypeError(`a row of ${row.measure} among the results of ${measure}`);
    const cells = RESULT_COLUMNS.map((column) => {
      const cell = row[column] ?? null;
      if (typeof cell === "number" && !Number.isFinite(cell))
        throw new TypeError(`${measure} ${row.metric}: ${column} is ${cell}; leave out what is not defined`);
      return [column, cell] as const;
    });
    return `    ${JSON.stringify(Object.fromEntries(cells))}`;
  });
  const head = `  "schema": ${JSON.stringify(RESULTS_SCHEMA)},\n  "measure": ${JSON.stringify(measure)},\n  "stages": ${JSON.stringify([...stages].sort())},\n`;
  const applied = interventions.map((one) => `    ${JSON.stringify(one)}`);
  const list = applied.length === 0 ? "" : `  "interventions": [\n${applied.join(",\n")}\n  ],\n`;
  return sealJson(`{\n${head}${list}  "rows": [${lines.length === 0 ? "" : `\n${lines.join(",\n")}\n  `}]\n}\n`);
}

/** All rows as a Parquet file with every column of RESULT_COLUMNS: text, int64 and double, all but the first two and `value` nullable. */
export function resultsParquet(rows: readonly ResultRow[]): Uint8Array {
  const sorted = sortRows(rows);
  const columnData = RESULT_COLUMNS.map((column) => {
    const cells = sorted.map((row) => row[column] ?? null);
    const nullable = !["measure", "metric", "value"].includes(column);
    if (isText(column)) return { name: column, type: "STRING" as const, nullable, data: cells };
    if (isWhole(column))
      return {
        name: column,
        type: "INT64" as const,
        nullable,
        data: cells.map((cell) => (cell === null ? null : BigInt(cell))),
      };
    return { name: column, type: "DOUBLE" as const, nullable, data: cells };
  });
  return new Uint8Array(parquetWriteBuffer({ columnData, createdBy: "nullscope" }));
}

const cell = z.number().nullish();
const text = z.string().nullish();
const rowSchema = z.object({
  measure: z.string(),
  metric: z.string(),
  value: z.number(),
  ...{ checkpoint: text, set: text, branch: text, outcome: z.enum(["success", "failure"]).nullish(), matrix: text },
  ...{ block: cell, index: cell, alpha: cell, step: cell, seed: cell, n: cell, low: cell, high: cell, chance: cell },
});
const fileSchema = z.object({
  schema: z.literal(RESULTS_SCHEMA),
  measure: z.string(),
  stages: z.array(z.string()),
  rows: z.array(rowSchema),
});

/** Reads `results/MEASURE.json`; null cells become absent fields. @throws UserError for a file that is missing, not as it was written, or not a results file. */
export async function readResults(path: string, files: FileSystem = nodeFileSystem): Promise<ResultsFile> {
  const json = await readSealedJson(files, path, "run the study again, it rebuilds the file");
  if (json === undefined) throw new UserError(`There is no ${path}; run the study again, it rebuilds the file.`);
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success)
    throw new UserError(
      `${path} is not a ${RESULTS_SCHEMA} file (${parsed.error.issues[0]?.path.join(".") ?? "its form"} is wrong); run the study again.`,
    );
  const rows = parsed.data.rows.map((row) =>
    Object.fromEntries(Object.entries(row).filter(([, value]) => value != null)),
  );
  return { ...parsed.data, rows: rows as unknown as ResultRow[] };
}

/**
 * Writes `results/MEASURE.json` for each measure and `results/results.parquet` with all rows; files that have their content already stay
 * untouched. Returns the paths, from the run's folder, of what was damaged and had no seal to show it: a Parquet file that is
 * not that of the rows beside it.
 */
export async function writeResults(
  runFolder: string,
  results: readonly Omit<ResultsFile, "schema">[],
  files: FileSystem = nodeFileSystem,
): Promise<string[]> {
  const folder = join(runFolder, "results");
  await files.ensureFolder(folder);
  // Parquet first: a process killed in between leaves JSON files that are older, not a Parquet file that looks damaged.
  const parquet = join(folder, PARQUET);
  const before = await files.kind(parquet);
  const rewritten = await writeIfChanged(files, parquet, resultsParquet(results.flatMap((one) => one.rows)));
  let changed = false;
  for (const { measure, stages, rows, interventions } of results) {
    const text = resultsText(measure, stages, rows, interventions);
    changed = (await writeIfChanged(files, join(folder, `${measure}.json`), text)) || changed;
  }
  return rewritten && before === "file" && !changed ? [`results/${PARQUET}`] : [];
}
