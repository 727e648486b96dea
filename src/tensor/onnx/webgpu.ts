import type { OperationOf, Tensor } from "../tensor.js";
import type { GraphBuilder } from "./builder.js";
import type { LoweringContext, LoweringTable } from "./loweringTable.js";

/**
 * What ONNX Runtime's WebGPU provider lacks, said in operators that it has. Each entry is here because the plain one fell back to
 * the CPU or failed there (version 1.30); `nullscope doctor --programs` prints what still falls back.
 */
export const webgpuLowerings: Partial<LoweringTable> = {
  logSoftmax,
  argmax,
  concat,
  inverseStd,
};

/** x - max - log(sum(e^(x - max))): there is no LogSoftmax, and log(softmax(x)) would underflow. */
function logSoftmax({ graph, name }: LoweringContext, node: Tensor): string {
  const x = name(node.inputs[0]!);
  const last = graph.ints([-1]);
  const shifted = graph.node("Sub", [x, graph.node("ReduceMax", [x, last])]);
  const total = graph.node("Log", [graph.node("ReduceSum", [graph.node("Exp", [shifted]), last])]);
  return graph.node("Sub", [shifted, total]);
}

/** The least index whose value is the largest: ArgMax gives int64, which the device cannot convert. */
function argmax({ graph, name }: LoweringContext, node: Tensor): string {
  const x = node.inputs[0]!;
  const size = x.shape.at(-1)!;
  const last = graph.ints([-1]);
  const largest = graph.node("Equal", [name(x), graph.node("ReduceMax", [name(x), last])]);
  const indices = graph.constant([...Array(size).keys()], [size], "int32");
  // Where no value equals the largest (it is NaN) the index is still inside the axis.
  const candidates = graph.node("Where", [largest, indices, graph.constant([size - 1], [], "int32")]);
  return graph.node("ReduceMin", [candidates, last], { attributes: { keepdims: 0 } });
}

/** Most tensors that one shader reads: the WebGPU standard promises 8 storage buffers, of which the output is one. */
const MAX_PARTS = 6;

function concat({ graph, name }: LoweringContext, node: Tensor, { axis }: OperationOf<"concat">): string {
  return join(graph, node.inputs.map(name), axis);
}

/** A tree of joins. */
function join(graph: GraphBuilder, parts: readonly string[], axis: number): string {
  if (parts.length === 1) return parts[0]!;
  if (parts.length <= MAX_PARTS) return graph.node("Concat", parts, { attributes: { axis } });
  const groups = Array.from({ length: Math.ceil(parts.length / MAX_PARTS) }, (_, group) =>
    join(graph, parts.slice(group * MAX_PARTS, (group + 1) * MAX_PARTS), axis),
  );
  return join(graph, groups, axis);
}

/** The provider's LayerNormalization gives its first output alone, so the gradient's factor is computed in the open. */
function inverseStd({ graph, name }: LoweringContext, node: Tensor, { epsilon }: OperationOf<"inverseStd">): string {
  const x = name(node.inputs[0]!);
  const last = graph.ints([-1]);
  const centred = graph.node("Sub", [x, graph.node("ReduceMean", [x, last])]);
  const variance = graph.node("ReduceMean", [graph.node("Mul", [centred, centred]), last]);
  const std = graph.node("Sqrt", [graph.node("Add", [variance, graph.constant([epsilon], [], node.dtype)])]);
  return graph.node("Reciprocal", [std]);
}
