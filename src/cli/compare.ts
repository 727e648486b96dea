import type { Command } from "commander";
import { compareRuns, LEVEL, type RunComparison } from "../study/compareRuns.js";
import { openRun } from "../study/openRun.js";
import { RESULT_COLUMNS, type ResultRow } from "../study/results.js";
import { clean, formatCount, type Io, jsonText } from "./io.js";
import { findRun, gather } from "./options.js";

/** How many rows people are shown; `--json` has them all. */
const SHOWN = 20;

/** Adds `nullscope compare`. */
export function registerCompare(program: Command, io: Io): void {
  program
    .command("compare")
    .description("What differs between two runs: settings, checkpoints, rows, and which numbers differ beyond noise.")
    .argument("<run-a>", "a run's name, or its folder")
    .argument("<run-b>", "another")
    .option("--measure <name>", "only this measure; may be repeated", gather)
    .option("--runs <dir>", "folder of the runs", "runs")
    .option("--json", "the whole comparison as JSON")
    .addHelpText(
      "after",
      `
Examples:
  nullscope compare quick faster
  nullscope compare quick three-seeds --measure behaviour --measure clusters
  nullscope compare runs/a runs/b --json`,
    )
    .action(
      async (
        a: string,
        b: string,
        options: { readonly measure?: readonly string[]; readonly runs: string; readonly json?: true },
      ) => {
        const first = await openRun(await findRun(a, options.runs));
        const second = await openRun(await findRun(b, options.runs));
        const found = await compareRuns(first, second, { measures: options.measure });
        io.out(options.json ? `${jsonText(found)}\n` : formatComparison(found, [first.name, second.name]));
      },
    );
}

/** A comparison for people. `names`: of the two runs. */
export function formatComparison(found: RunComparison, names: readonly [string, string]): string {
  const [a, b] = names.map(clean) as [string, string];
  if (found.identical)
    return `${a} and ${b} are identical: the same settings, and ${formatCount(found.matched)} quantities with the same values.\n`;
  const lines: string[] = [];
  if (found.config.length > 0) {
    lines.push(`Settings (${a} -> ${b})`);
    for (const { key, first = "absent", second = "absent" } of found.config)
      lines.push(`  ${clean(key)}: ${clean(first)} -> ${clean(second)}`);
  } else lines.push("The settings are the same.");
  for (const [name, checkpoints, rows] of [
    [a, found.checkpoints.onlyFirst, found.rows.onlyFirst],
    [b, found.checkpoints.onlySecond, found.rows.onlySecond],
  ] as const) {
    if (checkpoints.length > 0) lines.push(`Checkpoints only in ${name}: ${checkpoints.map(clean).join(", ")}.`);
    if (Object.keys(rows).length > 0) lines.push(`Quantities only in ${name}: ${countsOf(rows)}.`);
  }
  lines.push(
    `Quantities in both: ${formatCount(found.matched)}, ${formatCount(found.same)} of them with the same values.`,
  );
  if (Object.keys(found.unjudged).length > 0)
    lines.push(`Different, and without an interval to judge by: ${countsOf(found.unjudged)}.`);
  lines.push(
    `Compared with intervals: ${formatCount(found.compared.length)}. p < ${LEVEL}: ${formatCount(found.flagged)}, by chance alone about ${found.flaggedByChance.toFixed(1)}. ` +
      `Beyond noise after ${found.correction}'s correction: ${formatCount(found.beyondNoise)}.`,
  );
  const shown = found.compared.filter(({ adjusted }) => adjusted < LEVEL).slice(0, SHOWN);
  for (const { quantity, first, second, difference, low, high, adjusted, by } of shown) {
    const what = RESULT_COLUMNS.flatMap((column) => {
      const cell = (quantity as Partial<ResultRow>)[column];
      if (cell === undefined) return [];
      return [typeof cell === "string" ? clean(cell) : `${column} ${cell}`];
    }).join(" ");
    lines.push(
      `  ${what}: ${number(first)} -> ${number(second)}, difference ${number(difference)} [${number(low)}, ${number(high)}], adjusted p ${adjusted.toPrecision(2)} (${by})`,
    );
  }
  if (found.beyondNoise > SHOWN) lines.push(`  and ${found.beyondNoise - SHOWN} more; --json has them all.`);
  return `${lines.join("\n")}\n`;
}

const number = (value: number) => String(Number(value.toPrecision(3)));

function countsOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([measure, count]) => `${clean(measure)} ${formatCount(count)}`)
    .join(", ");
}
