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
