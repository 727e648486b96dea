import { permutation, randomKey } from "../../random/index.js";

/** A matrix of operators by operands: what stands in each pair. [operators][operands] */
export type Cells = readonly (readonly boolean[])[];

/**
 * The largest set of pairs in which every operator, and every operand, is unsafe as often as safe, so that neither alone says anything of the label.
 *
 * Read an unsafe pair as an arc operator → operand and a safe one as operand → operator: a set is balanced exactly when as many arcs of it enter each node as
 * leave it. What must go is then a flow of fewest arcs from the nodes that too many leave to those that too many enter: minimum-cost flow of unit
 * capacities by shortest paths with potentials (Ahuja, Magnanti and Orlin 1993, §9.7). Of several largest sets seed and attempt choose.
 * unsafe [operators][operands]; returns which pairs are kept [operators][operands].
 */
export function balancedCells(unsafe: Cells, seed: number, attempt = 0): boolean[][] {
  const rows = unsafe.length;
  const columns = unsafe[0]?.length ?? 0;
  const nodes = rows + columns;
  const removed = unsafe.map((row) => row.map(() => false));
  const key = randomKey(seed, "prompts: balance");
  // The order in which a node's arcs are tried.
  const neighbours = Array.from({ length: nodes }, (_, node) =>
    node < rows
      ? Array.from(permutation(key, attempt * nodes + node, columns), (column) => rows + column)
      : Array.from(permutation(key, attempt * nodes + node, rows)),
  );
  /** Arcs that leave less arcs that enter; the flow of removed arcs must carry it away. */
  const surplus = new Int32Array(nodes);
  for (const [row, cells] of unsafe.entries())
    for (const [column, isUnsafe] of cells.entries()) {
      surplus[row]! += isUnsafe ? 1 : -1;
      surplus[rows + column]! += isUnsafe ? -1 : 1;
    }

  /** Cost of one more unit from node to node: 1 removes a pair, −1 takes one back; undefined where the pair's arc points the other way. */
  const cost = (from: number, to: number): number | undefined => {
    const [row, column] = from < rows ? [from, to - rows] : [to, from - rows];
    const gone = removed[row]![column]!;
    const forward = unsafe[row]![column]! === from < rows;
    return forward === gone ? undefined : gone ? -1 : 1;
  };
  const flip = (from: number, to: number) => {
    const [row, column] = from < rows ? [from, to - rows] : [to, from - rows];
    removed[row]![column] = !removed[row]![column];
  };

  const potential = new Float64Array(nodes);
  let sinkPotential = 0;
  for (;;) {
    const { distance, toSink } = shortest();
    if (toSink === Infinity) break;
    for (let node = 0; node < nodes; node++) potential[node]! += Math.min(distance[node]!, toSink);
    sinkPotential += toSink;
    augment();
  }
  return removed.map((row) => row.map((gone) => !gone));

  /** Dijkstra over the reduced costs, from all nodes with a surplus to the nearest with a deficit. */
  function shortest() {
    const distance = new Float64Array(nodes).fill(Infinity);
    for (let node = 0; node < nodes; node++) if (surplus[node]! > 0) distance[node] = -potential[node]!;
    const done = new Uint8Array(nodes);
    let toSink = Infinity;
    for (;;) {
      let near = -1;
      for (let node = 0; node < nodes; node++)
        if (done[node] === 0 && distance[node]! < (near < 0 ? toSink : distance[near]!)) near = node;
      if (near < 0) return { distance, toSink };
      done[near] = 1;
      if (surplus[near]! < 0) toSink = Math.min(toSink, distance[near]! + potential[near]! - sinkPotential);
      for (const next of neighbours[near]!) {
        const step = cost(near, next);
        if (step === undefined) continue;
        const through = distance[near]! + step + potential[near]! - potential[next]!;
        if (through < distance[next]!) distance[next] = through;
      }
    }
  }

  /** Sends units along shortest paths (those of reduced cost 0) until none is left. */
  function augment() {
    const dead = new Uint8Array(nodes);
    const reach = (node: number): boolean => {
      dead[node] = 1;
      if (surplus[node]! < 0 && potential[node] === sinkPotential) {
        surplus[node]!++;
        dead[node] = 0;
        return true;
      }
      for (const next of neighbours[node]!) {
        if (dead[next] === 1) continue;
        const step = cost(node, next);
        if (step === undefined || step + potential[node]! - potential[next]! !== 0) continue;
        if (reach(next)) {
          flip(node, next);
          dead[node] = 0;
          return true;
        }
      }
      return false;
    };
    for (let node = 0; node < nodes; node++)
      while (surplus[node]! > 0 && potential[node] === 0 && reach(node)) surplus[node]!--;
  }
}
