import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/**
 * A table of a document that a test makes: printed, and compared with what stands between `<!-- made: NAME -->` and `<!-- end: NAME -->` in
 * `path` (from the repository's root). With NULLSCOPE_WRITE_TABLES=1 it is written there instead. The first row is the head.
 */
export async function madeTable(path: string, name: string, rows: readonly (readonly string[])[]): Promise<void> {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const [head, ...body] = rows;
  const table = [line(head!), line(head!.map(() => "---")), ...body.map(line)].join("\n");
  console.log(`${name}\n${table}`);
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const text = await readFile(file, "utf8");
  const [begin, end] = [`<!-- made: ${name} -->\n`, `\n<!-- end: ${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} has no place for the table "${name}"`);
  if (process.env.NULLSCOPE_WRITE_TABLES === "1")
    await writeFile(file, `${text.slice(0, from + begin.length)}${table}${text.slice(to)}`);
  else expect(text.slice(from + begin.length, to), `${path} is stale: NULLSCOPE_WRITE_TABLES=1 writes it`).toBe(table);
}
