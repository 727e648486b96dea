import { topologicalOrder } from "./graph.js";
import { ShapeError } from "./shapes.js";
import { type DType, type Shape, type Tensor, tensor } from "./tensor.js";

export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** A traced function: named inputs, named outputs, and between them the graph that `outputs` hold by reference. */
export interface Program<I extends string = string, O extends string = string> {
  readonly name: string;
  readonly inputs: Readonly<Record<I, Tensor>>;
  readonly outputs: Readonly<Record<O, Tensor>>;
}

/**
 * Traces `body` over symbolic inputs of the given shapes. `body` is an ordinary function of tensors; it runs once, now.
 * Throws ShapeError when shapes do not fit or when an output depends on an input of another program.
 */
export function program<I extends string, O extends string>(
  name: string,
  specs: Readonly<Record<I, TensorSpec>>,
  body: (inputs: Readonly<Record<I, Tensor>>) => Readonly<Record<O, Tensor>>,
): Program<I, O> {
  const inputs = Object.fromEntries(
    Object.entries<TensorSpec>(specs).map(([key, { shape, dtype }]) => [
      key,
      tensor({ kind: "input", name: key }, [], shape, dtype),
    ]),
  ) as Record<I, Tensor>;
  const outputs = body(inputs);
  const declared = new Set<Tensor>(Object.values(inputs));
  for (const node of topologicalOrder(Object.values(outputs)))
    if (node.operation.kind === "input" && !declared.has(node))
      throw new ShapeError(name, `an output depends on input "${node.operation.name}" of another program`);
  const clash = Object.keys(outputs).find((key) => key in inputs);
  if (clash !== undefined) throw new ShapeError(name, `"${clash}" names both an input and an output`);
  return { name, inputs, outputs };
}
