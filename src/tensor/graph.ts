import type { Tensor } from "./tensor.js";

/** Every tensor that `outputs` depend on, each after its inputs. Iterative: programs are thousands of operations deep. */
export function topologicalOrder(outputs: readonly Tensor[]): Tensor[] {
  const order: Tensor[] = [];
  const seen = new Set<Tensor>();
  const stack: { readonly node: Tensor; next: number }[] = [];
  for (const output of outputs) {
    if (seen.has(output)) continue;
    seen.add(output);
    stack.push({ node: output, next: 0 });
    while (stack.length > 0) {
      const frame = stack.at(-1)!;
      const input = frame.node.inputs[frame.next++];
      if (input === undefined) {
        order.push(frame.node);
        stack.pop();
      } else if (!seen.has(input)) {
        seen.add(input);
        stack.push({ node: input, next: 0 });
      }
    }
  }
  return order;
}

/**
 * The label of every tensor of `order` that has one, or else its reader's: what an activation is made of goes by the activation's name.
 * @param order as topologicalOrder gives it.
 */
export function inheritedLabels(order: readonly Tensor[]): ReadonlyMap<Tensor, string> {
  const labels = new Map<Tensor, string>();
  for (let index = order.length - 1; index >= 0; index--) {
    const node = order[index]!;
    const label = node.label ?? labels.get(node);
    if (label === undefined) continue;
    labels.set(node, label);
    for (const input of node.inputs) if (!labels.has(input)) labels.set(input, label);
  }
  return labels;
}
