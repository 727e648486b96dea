import { inheritedLabels, topologicalOrder } from "../graph.js";
import type { Program } from "../program.js";
import type { Tensor } from "../tensor.js";
import { createGraphBuilder, type Target } from "./builder.js";
import { lower } from "./lowering.js";

/** The program as one ONNX model. The same program gives the same bytes. */
export function emitOnnx(program: Program, target: Target): Uint8Array {
  const outputs = Object.entries(program.outputs);
  const order = topologicalOrder(outputs.map(([, value]) => value));
  const readers = new Map<Tensor, number>();
  for (const node of order) for (const input of node.inputs) readers.set(input, (readers.get(input) ?? 0) + 1);
  for (const [, value] of outputs) readers.set(value, (readers.get(value) ?? 0) + 1);

  const graph = createGraphBuilder(target);
  const names = new Map<Tensor, string>();
  // Declared inputs come first and in the program's order, read or not: what a caller must feed is what it declared.
  for (const input of Object.values(program.inputs))
    names.set(input, lower({ graph, name: () => "", uses: () => 0 }, input));

  const context = {
    graph,
    name: (value: Tensor) => names.get(value)!,
    uses: (value: Tensor) => readers.get(value) ?? 0,
  };
  const labels = inheritedLabels(order);
  for (const node of order) {
    if (names.has(node)) continue;
    graph.setLabel(labels.get(node));
    names.set(node, lower(context, node));
  }
  for (const [key, value] of outputs) graph.output(key, names.get(value)!, value.shape, value.dtype);
  return graph.finish(program.name);
}
