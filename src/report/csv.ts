import { RESULT_COLUMNS, type ResultRow } from "../study/results.js";

/** The rows as CSV (RFC 4180) with the columns that any of them uses, in the order of `results.parquet`. */
export function toCsv(rows: readonly ResultRow[]): string {
  const columns = RESULT_COLUMNS.filter((column) => rows.some((row) => row[column] !== undefined));
  const lines = rows.map((row) => columns.map((column) => cell(row[column])).join(","));
  return `${[columns.join(","), ...lines].join("\r\n")}\r\n`;
}

/** The rows as the address of a download that needs no server. */
export function csvLink(rows: readonly ResultRow[]): string {
  return `data:text/csv;charset=utf-8;base64,${Buffer.from(toCsv(rows), "utf8").toString("base64")}`;
}

function cell(value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  // A spreadsheet runs text that begins so as a formula; the apostrophe makes it text again.
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
