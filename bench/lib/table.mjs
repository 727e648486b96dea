/** A cell as people read it: whole numbers grouped, others to three digits or two places, nothing for what was not measured. */
function cell(value) {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Rows as aligned lines under their columns' names: numbers to the right, words to the left. */
export function formatTable(columns, rows) {
  const numeric = columns.map((column) => rows.some((row) => typeof row[column] === "number"));
  const body = [columns, ...rows.map((row) => columns.map((column) => cell(row[column])))];
  const widths = columns.map((_, i) => Math.max(...body.map((cells) => cells[i].length)));
  return body
    .map((cells) =>
      cells
        .map((text, i) => (numeric[i] ? text.padStart(widths[i]) : text.padEnd(widths[i])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
