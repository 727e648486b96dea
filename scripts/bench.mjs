// npm run bench -- PART [--json FILE]: measures one part and prints a table. A part is a file bench/PART.mjs that exports
// run(), which resolves to { title, columns, rows }; it imports what it measures from dist/.
import { readdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";

const folder = new URL("../bench/", import.meta.url);
const parts = readdirSync(folder)
  .filter((name) => name.endsWith(".mjs"))
  .map((name) => name.slice(0, -".mjs".length))
  .sort();

/** Ends with one sentence about a mistake of the caller. */
function refuse(message) {
  console.error(`bench: ${message}`);
  process.exit(2);
}

let parsed;
try {
  parsed = parseArgs({ allowPositionals: true, options: { json: { type: "string" } } });
} catch (error) {
  refuse(`${error.message.split(". ")[0]}; use "npm run bench -- PART [--json FILE]", parts: ${parts.join(", ")}.`);
}
const { positionals, values } = parsed;
const [part, ...rest] = positionals;
if (part === undefined) refuse(`name a part: ${parts.join(", ")}.`);
if (rest.length > 0) refuse(`one part at a time, not also ${JSON.stringify(rest[0])}; parts: ${parts.join(", ")}.`);
if (!parts.includes(part)) refuse(`there is no part ${JSON.stringify(part)}; parts: ${parts.join(", ")}.`);

const { run } = await import(new URL(`${part}.mjs`, folder).href);
const { title, columns, rows } = await run();
const cell = (value) => (typeof value === "number" ? value.toLocaleString("en-US") : String(value ?? ""));
const widths = columns.map((column) => Math.max(column.length, ...rows.map((row) => cell(row[column]).length)));
const line = (row) =>
  columns
    .map((column, i) =>
      typeof row[column] === "number" ? cell(row[column]).padStart(widths[i]) : cell(row[column]).padEnd(widths[i]),
    )
    .join("  ")
    .trimEnd();
console.log(
  `${title} (${new Date().toISOString().slice(0, 10)}, ${availableParallelism()} cores, ${cpus()[0]?.model ?? "?"}, Node ${process.versions.node})`,
);
console.log(line(Object.fromEntries(columns.map((column) => [column, column]))));
for (const row of rows) console.log(line(row));
if (values.json !== undefined) {
  try {
    writeFileSync(values.json, `${JSON.stringify({ rows }, null, 2)}\n`);
  } catch (error) {
    refuse(`cannot write ${values.json} (${error.code}); choose a file that can be written.`);
  }
}
