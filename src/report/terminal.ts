import type { ResultRow } from "../study/results.js";
import { visible } from "./html.js";
import { allBranches, distinct, orderCheckpoints, orderSets, overSeeds, select, shareInterval } from "./rows.js";
import { checkpointTitle, fixed, setTitle } from "./words.js";

const COLUMNS = [
  ["instruct", "success"],
  ["null", "refusal"],
  ["other", "other"],
] as const;

/**
 * Behaviour as lines of plain text, a row per set and checkpoint, shares with 95% intervals, no colour and no line break inside. Empty when the rows
 * hold no behaviour. Foreign names are stripped of control characters.
 */
export function summaryLines(rows: readonly ResultRow[]): string[] {
  const behaviour = overSeeds(allBranches(select(rows, { measure: "behaviour" })));
  const table = orderSets(distinct(behaviour, "set")).flatMap((set) =>
    orderCheckpoints(distinct(select(behaviour, { set }), "checkpoint")).map((checkpoint, i) => [
      i === 0 ? visible(setTitle(set)) : "",
      visible(checkpointTitle(checkpoint)),
      ...COLUMNS.map(([metric]) => share(select(behaviour, { set, checkpoint, metric })[0])),
    ]),
  );
  if (table.length === 0) return [];
  const lines = [["set", "checkpoint", ...COLUMNS.map(([, title]) => title)], ...table];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)));
  return lines.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

function share(row: ResultRow | undefined): string {
  if (!row) return "-";
  const bounds = shareInterval(row);
  return `${fixed(row.value)}${bounds ? ` [${fixed(bounds.low)}, ${fixed(bounds.high)}]` : ""}`;
}
