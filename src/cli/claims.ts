import type { Command } from "commander";
import { UserError } from "../errors.js";
import {
  allRows,
  type ClaimRow,
  type ClaimsResults,
  claimsText,
  decideAll,
  loadClaims,
} from "../study/claims/index.js";
import { openRun } from "../study/openRun.js";
import { clean, type Io, jsonSafe } from "./io.js";
import { findRun, gather } from "./options.js";

interface ClaimsOptions {
  readonly claims?: readonly string[];
  readonly json?: true;
  readonly runs: string;
}

/** Adds `nullscope claims`. */
export function registerClaims(program: Command, io: Io): void {
  program
    .command("claims")
    .description("Print the verdicts on a run's claims: supported, contradicted or undecided, each with its effect.")
    .argument("<run>", "a run's name, or its folder")
    .option("--claims <file>", "decide these by the run's results, after the fact; may be repeated", gather)
    .option("--json", "print results/claims.json")
    .option("--runs <dir>", "folder of the runs", "runs")
    .addHelpText(
      "after",
      `
Examples:
  nullscope claims quick
  nullscope claims quick --json
  nullscope claims quick --claims my-claims.yaml      nothing is written: a claim is fixed before its run
  nullscope study quick --claims paper --claims my-claims.yaml --name mine`,
    )
    .action(async (run: string, options: ClaimsOptions) => {
      const folder = await findRun(run, options.runs);
      const study = await openRun(folder);
      const claims =
        options.claims === undefined
          ? await study.claims()
          : decideAll(await loadClaims(options.claims), await allRows(folder));
      if (claims === undefined)
        throw new UserError(
          `The run ${run} has no verdicts yet; finish it with "nullscope study", or decide claims by its results with --claims paper.`,
        );
      io.out(
        options.json ? jsonSafe(claimsText(claims)) : `${claimsTable(claims, io.terminal ? io.columns : undefined)}\n`,
      );
    });
}

/**
 * The verdicts as lines of text: a line per part with its effect, interval, null, n and seeds, and its statement; then the claims in words, and how to
 * read it. `columns`: where a statement is cut.
 */
export function claimsTable({ claims, rows, files }: ClaimsResults, columns = Number.POSITIVE_INFINITY): string {
  const table = [
    ["id", "verdict", "effect", "95% interval", "null", "n", "seeds", "statement"],
    ...rows.map((row) => [
      clean(row.id),
      row.corrected === row.verdict ? row.verdict : `${row.verdict} *`,
      number(row.value),
      row.low === undefined || row.high === undefined ? "-" : `[${number(row.low)}, ${number(row.high)}]`,
      number(row.chance),
      row.n === undefined ? "-" : String(row.n),
      row.seeds === 0 ? "-" : String(row.seeds),
      clean(row.reason === undefined ? row.statement : `${row.statement} (${row.reason})`),
    ]),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)));
  const lines = table.map((cells) =>
    cells
      .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column]!)))
      .join("  ")
      .slice(0, columns)
      .trimEnd(),
  );
  const seeds = Math.max(0, ...rows.map((row) => row.seeds));
  const tested = rows.filter((row) => row.pHolm !== undefined).length;
  return [
    "Claims",
    ...lines,
    "",
    ...claims.map(({ id, verdict, corrected, parts, statement }) =>
      `${clean(id)} ${verdict}${corrected === verdict ? "" : ` (after Holm: ${corrected})`}, ${partsInWords(parts, rows)}: ${clean(statement)}`.slice(
        0,
        columns,
      ),
    ),
    `${
      seeds <= 1
        ? "One seed: intervals are over test samples, and another training run may differ."
        : `${seeds} seeds: intervals are Student's, over seeds.`
    } * not after Holm's correction over the ${tested} parts with an interval${files.length > 1 ? ", each file apart" : ""}.`,
  ].join("\n");
}

function partsInWords(parts: readonly string[], rows: readonly ClaimRow[]): string {
  const own = rows.filter((row) => parts.includes(row.id));
  const counts = (["supported", "contradicted", "undecided"] as const).flatMap((verdict) => {
    const count = own.filter((row) => row.verdict === verdict).length;
    return count === 0 ? [] : [`${count} ${verdict}`];
  });
  return counts.join(", ");
}

/** Three significant digits, few characters. */
function number(value: number | undefined): string {
  if (value === undefined) return "-";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1);
  return size >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
