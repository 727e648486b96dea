import type { Command } from "commander";
import { Option } from "commander";
import { closest } from "fastest-levenshtein";
import { UserError } from "../errors.js";
import { openRun, type RowFilter } from "../study/openRun.js";
import { overSeeds } from "../study/overSeeds.js";
import { RESULT_COLUMNS, type ResultRow } from "../study/results.js";
import { clean, type Io, jsonText } from "./io.js";
import { findRun, gather } from "./options.js";

interface ResultsOptions {
  readonly measure?: readonly string[];
  readonly where?: readonly string[];
  readonly format: "table" | "json" | "csv";
  readonly overSeeds?: true;
  readonly runs: string;
}

/** Adds `nullscope results`. */
export function registerResults(program: Command, io: Io): void {
  program
    .command("results")
    .description("Print a run's numbers: every measure's rows, or those you ask for.")
    .argument("<run>", "a run's name, or its folder")
    .option("--measure <name>", "only this measure; may be repeated", gather)
    .option(
      "--where <field=value>",
      "only rows with this value; a,b means either; empty means absent; may be repeated",
      gather,
    )
    .option("--over-seeds", "one row per quantity: mean over seeds, n seeds, Student's interval")
    .addOption(new Option("--format <format>", "how to print").choices(["table", "json", "csv"]).default("table"))
    .option("--runs <dir>", "folder of the runs", "runs")
    .addHelpText(
      "after",
      `
Examples:
  nullscope results quick --measure behaviour
  nullscope results quick --measure clusters --where metric=auc --where checkpoint=instruct,ssft-medium
  nullscope results three-seeds --measure behaviour --over-seeds
  nullscope results runs/quick --format csv > quick.csv`,
    )
    .action(async (run: string, options: ResultsOptions) => {
      const filter = parseFilter(options.where ?? []);
      const study = await openRun(await findRun(run, options.runs));
      const measures = options.measure ?? study.measures;
      const rows: ResultRow[] = [];
      for (const measure of measures) rows.push(...(await study.results(measure).where(filter)));
      io.out(FORMATS[options.format](options.overSeeds ? overSeeds(rows, { count: "seeds" }) : rows));
    });
}

const TEXT_FIELDS = new Set<keyof ResultRow>(["measure", "metric", "checkpoint", "set", "branch", "outcome", "matrix"]);

/** `["metric=tau", "block=2,3"]` as a filter. @throws UserError for an unknown field, naming the nearest, and for a number that is none. */
export function parseFilter(conditions: readonly string[]): RowFilter {
  return Object.fromEntries(
    conditions.map((condition) => {
      const equals = condition.indexOf("=");
      const field = condition.slice(0, Math.max(0, equals));
      if (equals < 0)
        throw new UserError(`--where ${condition}: a condition is written field=value, as in --where metric=tau.`);
      if (!isColumn(field))
        throw new UserError(
          `--where ${condition}: rows have no field ${JSON.stringify(field)}; did you mean ${JSON.stringify(closest(field, [...RESULT_COLUMNS]))}?`,
        );
      const values = condition.slice(equals + 1).split(",");
      return [field, values.map((value) => cellOf(field, value, condition))];
    }),
  );
}

function isColumn(field: string): field is keyof ResultRow {
  return (RESULT_COLUMNS as readonly string[]).includes(field);
}

function cellOf(field: keyof ResultRow, text: string, condition: string): string | number | undefined {
  if (text === "") return undefined;
  if (TEXT_FIELDS.has(field)) return text;
  const value = Number(text);
  if (Number.isNaN(value))
    throw new UserError(`--where ${condition}: ${field} is a number, and ${JSON.stringify(text)} is none.`);
  return value;
}

const FORMATS = { table: formatTable, json: formatJson, csv: formatCsv };

/** Aligned columns; those that no row uses are left out, numbers have four significant digits. */
export function formatTable(rows: readonly ResultRow[]): string {
  if (rows.length === 0) return "No rows.\n";
  const columns = RESULT_COLUMNS.filter((column) => rows.some((row) => row[column] !== undefined));
  const show = (cell: string | number | undefined) =>
    cell === undefined
      ? ""
      : typeof cell === "string"
        ? clean(cell)
        : Number.isInteger(cell)
          ? String(cell)
          : String(Number(cell.toPrecision(4)));
  const table = [columns as readonly string[], ...rows.map((row) => columns.map((column) => show(row[column])))];
  const widths = columns.map((_, i) => Math.max(...table.map((cells) => cells[i]!.length)));
  const numeric = columns.map((column) => !TEXT_FIELDS.has(column));
  const lines = table.map((cells) =>
    cells
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

/** A JSON array, one row a line, absent fields left out. */
export function formatJson(rows: readonly ResultRow[]): string {
  return rows.length === 0 ? "[]\n" : `[\n${rows.map((row) => `  ${jsonText(row)}`).join(",\n")}\n]\n`;
}

/** Every column, full precision, quoted as RFC 4180 asks. */
export function formatCsv(rows: readonly ResultRow[]): string {
  const quote = (cell: string | number | undefined) => {
    const text = cell === undefined ? "" : String(cell);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = rows.map((row) => RESULT_COLUMNS.map((column) => quote(row[column])).join(","));
  return `${[RESULT_COLUMNS.join(","), ...lines].join("\n")}\n`;
}
