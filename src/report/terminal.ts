import type { ResultRow } from "../study/results.js";
import { attackOrders, type Difference, PAPER_ORDER } from "./attackOrder.js";
import { checkpointTitle, orderCheckpoints } from "./checkpoints.js";
import { visible } from "./html.js";
import { allBranches, distinct, finalRows, orderSets, overSeeds, select, shareInterval } from "./rows.js";
import { fixed, setTitle } from "./words.js";

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
  const behaviour = overSeeds(allBranches(finalRows(select(rows, { measure: "behaviour" }))));
  const table = orderSets(distinct(behaviour, "set")).flatMap((set) =>
    orderCheckpoints(distinct(select(behaviour, { set }), "checkpoint")).map((checkpoint, i) => [
      i === 0 ? visible(setTitle(set)) : "",
      visible(checkpointTitle(checkpoint)),
      ...COLUMNS.map(([metric]) => share(select(behaviour, { set, checkpoint, metric })[0])),
    ]),
  );
  if (table.length === 0) return [];
  return aligned([["set", "checkpoint", ...COLUMNS.map(([, title]) => title)], ...table]);
}

/**
 * The jailbreak sets by their success against each method at the medium rate, strongest first, and which neighbours differ beyond noise; then what
 * the paper found. Plain lines; empty where no jailbreak set was measured on a tuned checkpoint.
 */
export function attackOrderLines(rows: readonly ResultRow[]): string[] {
  const orders = attackOrders(rows).filter(({ ranked }) => ranked.length > 0);
  if (orders.length === 0) return [];
  const table = orders.flatMap(({ checkpoint, ranked, paperContrast }) => [
    ...ranked.map(({ set, row, overNext }, i) => [
      i === 0 ? visible(checkpointTitle(checkpoint)) : "",
      String(i + 1),
      visible(setTitle(set)),
      share(row),
      overNext ? `${sign(overNext)} ${difference(overNext)}` : "",
    ]),
    ...(paperContrast
      ? [["", "", "CO-Text - CO-Task", "", `${sign(paperContrast)} ${difference(paperContrast)}`]]
      : []),
  ]);
  const { strongest, weakest } = PAPER_ORDER;
  return [
    "Order of attack success. Last column: the lead over the next; > or < beyond noise, ~ within it.",
    ...aligned([["checkpoint", "", "set", "success", "lead"], ...table]),
    `The paper (DPO medium): ${setTitle(strongest.set)} strongest, about ${fixed(strongest.success)}; ${setTitle(weakest.set)} weakest, about ${fixed(weakest.success)}.`,
  ];
}

function sign({ value, beyondNoise }: Difference): string {
  return beyondNoise ? (value > 0 ? ">" : "<") : "~";
}

function difference({ value, interval }: Difference): string {
  return `${fixed(value)}${interval ? ` [${fixed(interval.low)}, ${fixed(interval.high)}]` : ""}`;
}

/** Rows of cells as lines with their columns aligned. */
function aligned(lines: readonly (readonly string[])[]): string[] {
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
