import { createStream, randomKey } from "../../random/index.js";
import { type Label, thresholdAccuracy } from "./balance.js";
import type { Cells } from "./balancedCells.js";

export interface LengthMatch {
  /** Best accuracy of a threshold on the length, over all texts of the kept pairs. */
  readonly accuracy: number;
  readonly kept: boolean[][];
}

/** Cycles tried for each one that goes. */
const TRIES = 400;

type Pair = readonly [row: number, column: number];

/**
 * Drops pairs until length alone tells the label no better than `most`, without touching the balance. With unsafe pairs read as arcs operator → operand and
 * safe ones as operand → operator, a cycle is unsafe as often as safe in each of its operators and operands, so a whole cycle may go. Of random cycles
 * the one goes that brings the two length distributions nearest for each pair it costs (area between the cumulative ones, Wasserstein's distance);
 * it ends when none brings them nearer, and never with nothing left.
 * kept, unsafe [operators][operands]; lengths [operators][operands][templates].
 */
export function matchLengths(
  { kept, unsafe, lengths }: { kept: Cells; unsafe: Cells; lengths: readonly (readonly (readonly number[])[])[] },
  { most, seed, attempt }: { most: number; seed: number; attempt: number },
): LengthMatch {
  const left = kept.map((row) => [...row]);
  const longest = lengths.reduce((most, row) => row.reduce((m, cell) => Math.max(m, ...cell), most), 0);
  /** Unsafe texts less safe texts of each length. */
  const excess = new Float64Array(longest + 1);
  const add = ([row, column]: Pair, sign: number) => {
    for (const length of lengths[row]![column]!) excess[length]! += unsafe[row]![column]! ? sign : -sign;
  };
  for (const [row, cells] of left.entries())
    for (const [column, isKept] of cells.entries()) if (isKept) add([row, column], 1);
  const stream = createStream(randomKey(seed, "prompts: lengths"), attempt);
  let accuracy = lengthAccuracy({ kept: left, unsafe, lengths });
  while (accuracy > most) {
    const graph = arcs(left, unsafe);
    let best: readonly Pair[] | undefined;
    let bestGain = 0;
    const before = area(excess);
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const cycle = randomCycle(graph, (bound) => stream.integer(bound));
      if (cycle.length >= graph.count) continue;
      for (const pair of cycle) add(pair, -1);
      const gain = (before - area(excess)) / cycle.length;
      for (const pair of cycle) add(pair, 1);
      if (gain > bestGain) [best, bestGain] = [cycle, gain];
    }
    if (best === undefined) break;
    for (const pair of best) {
      add(pair, -1);
      left[pair[0]]![pair[1]] = false;
    }
    accuracy = lengthAccuracy({ kept: left, unsafe, lengths });
  }
  return { kept: left, accuracy };
}

interface Arcs {
  readonly rows: number;
  /** Kept pairs. */
  readonly count: number;
  /** Nodes with arcs; in a balanced set each that is entered can be left. */
  readonly starts: readonly number[];
  /** Of operator i, node i, and of operand j, node rows + j: the nodes that its arcs lead to. */
  readonly leaving: readonly (readonly number[])[];
}

function arcs(kept: Cells, unsafe: Cells): Arcs {
  const rows = kept.length;
  const leaving: number[][] = Array.from({ length: rows + (kept[0]?.length ?? 0) }, () => []);
  let count = 0;
  for (const [row, cells] of kept.entries())
    for (const [column, isKept] of cells.entries()) {
      if (!isKept) continue;
      count++;
      if (unsafe[row]![column]!) leaving[row]!.push(rows + column);
      else leaving[rows + column]!.push(row);
    }
  return { rows, count, starts: leaving.flatMap((to, node) => (to.length === 0 ? [] : [node])), leaving };
}

/** Walks at random until a node comes again; what lies between is a cycle. */
function randomCycle({ rows, starts, leaving }: Arcs, integer: (bound: number) => number): Pair[] {
  const path = [starts[integer(starts.length)]!];
  const at = new Map([[path[0]!, 0]]);
  for (;;) {
    const out = leaving[path.at(-1)!]!;
    const next = out[integer(out.length)]!;
    const since = at.get(next);
    if (since !== undefined) {
      const nodes = [...path.slice(since), next];
      return nodes.slice(1).map((to, i) => (to < rows ? [to, nodes[i]! - rows] : [nodes[i]!, to - rows]));
    }
    at.set(next, path.length);
    path.push(next);
  }
}

/** How well the length of a text alone tells its label, over the kept pairs; NaN where there are none. */
export function lengthAccuracy({
  kept,
  unsafe,
  lengths,
}: {
  kept: Cells;
  unsafe: Cells;
  lengths: readonly (readonly (readonly number[])[])[];
}): number {
  const values: number[] = [];
  const labels: Label[] = [];
  for (const [row, cells] of kept.entries())
    for (const [column, isKept] of cells.entries())
      if (isKept)
        for (const length of lengths[row]![column]!) {
          values.push(length);
          labels.push(unsafe[row]![column]! ? "unsafe" : "safe");
        }
  return values.length === 0 ? Number.NaN : thresholdAccuracy(values, labels);
}

function area(excess: Float64Array): number {
  let [below, total] = [0, 0];
  for (const one of excess) {
    below += one;
    total += Math.abs(below);
  }
  return total;
}
