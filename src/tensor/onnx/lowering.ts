import { GELU_CUBIC, GELU_SCALE } from "../functions.js";
import { broadcastShapes, sameShape } from "../shapes.js";
import { type DType, type OperationKind, sizeOf, type Tensor } from "../tensor.js";
import { CONTRIB_DOMAIN, type GraphBuilder, onnxDataType, type Target } from "./builder.js";
import type { Lowering, LoweringContext, LoweringTable } from "./loweringTable.js";
import { webgpuLowerings } from "./webgpu.js";

/** An operation that is one ONNX operator with the same inputs. */
function direct(type: string): Lowering<OperationKind> {
  return ({ graph, name }, node) => graph.node(type, node.inputs.map(name));
}

/** The operand as it was before a broadcast that ONNX's own broadcasting makes needless. */
function unbroadcast(operand: Tensor, other: Tensor, node: Tensor): Tensor {
  if (operand.operation.kind !== "broadcast") return operand;
  const source = operand.inputs[0]!;
  return sameShape(broadcastShapes(node.operation.kind, source.shape, other.shape), node.shape) ? source : operand;
}

function binary(type: string): Lowering<OperationKind> {
  return ({ graph, name }, node) => {
    const [a, b] = node.inputs as [Tensor, Tensor];
    const left = unbroadcast(a, b, node);
    return graph.node(type, [name(left), name(unbroadcast(b, left, node))]);
  };
}

/** a b + bias as one Gemm, where the product serves nothing else. */
const add: Lowering<"add"> = (context, node, operation) => {
  const { graph, name, uses } = context;
  const [product, bias] = node.inputs as [Tensor, Tensor];
  const inner = product.operation;
  const fits =
    product.shape.length === 2 &&
    (bias.shape.length === 1 || bias.shape.length === 2) &&
    sameShape(product.shape, node.shape);
  if (inner.kind !== "matmul" || !fits || uses(product) > 1 || !exactAlpha(product, inner.scale))
    return layerNormalization(context, node) ?? binary("Add")(context, node, operation);
  return graph.node("Gemm", [...product.inputs.map(name), name(bias)], {
    attributes: { transA: Number(inner.transposeA), transB: Number(inner.transposeB), alpha: { float: inner.scale } },
  });
};

/** x sigmoid(x (b + a x²)) with GELU's a and b as one operator. Where its gradient is asked for too, the gate serves both and stands in the open. */
const mul: Lowering<"mul"> = (context, node, operation) => {
  const { graph, name, uses } = context;
  const [x, gate] = node.inputs as [Tensor, Tensor];
  const alone = (value: Tensor | undefined, kind: OperationKind) =>
    value?.operation.kind === kind && uses(value) === 1 ? value.inputs : undefined;
  const plain = () => binary("Mul")(context, node, operation);
  if (node.dtype !== "float32" || graph.target.device !== "cpu") return plain();
  const [inside] = alone(gate, "sigmoid") ?? [];
  const [sameX, slope] = (inside && alone(inside, "mul")) ?? [];
  const [curved, b] = (slope && alone(slope, "add")) ?? [];
  const [xx, a] = (curved && alone(curved, "mul")) ?? [];
  const squared = xx && alone(xx, "mul");
  const isGelu =
    sameX === x && squared?.every((one) => one === x) && near(a, GELU_SCALE * GELU_CUBIC) && near(b, GELU_SCALE);
  return isGelu ? graph.node("FastGelu", [name(x)], { domain: CONTRIB_DOMAIN }) : plain();
};

/** Whether a tensor is this number everywhere. */
function near(value: Tensor | undefined, number: number): boolean {
  const source = value?.operation.kind === "broadcast" ? value.inputs[0] : value;
  if (source?.operation.kind !== "constant" || source.operation.data.length !== 1) return false;
  return Math.abs(Number(source.operation.data[0]) / number - 1) < 1e-6;
}

/** Gemm's alpha is a float32 attribute: exact for float64 only where the scale is. */
function exactAlpha({ dtype }: Tensor, scale: number): boolean {
  return dtype === "float32" || Math.fround(scale) === scale;
}

/** normalize(x) weight + bias as one operator; its gradient still asks for normalize(x) itself, which is a node of its own. */
function layerNormalization({ graph, name, uses }: LoweringContext, node: Tensor): string | undefined {
  const [scaled, bias] = node.inputs as [Tensor, Tensor];
  if (scaled.operation.kind !== "mul" || uses(scaled) > 1 || node.dtype !== "float32") return undefined;
  const [normal, weight] = scaled.inputs as [Tensor, Tensor];
  const vector = [node.shape.at(-1)!];
  if (normal.operation.kind !== "normalize" || !sameShape(weight.shape, vector) || !sameShape(bias.shape, vector))
    return undefined;
  const attributes = { axis: -1, epsilon: { float: normal.operation.epsilon } };
  return graph.node("LayerNormalization", [normal.inputs[0]!, weight, bias].map(name), { attributes });
}

const matmul: Lowering<"matmul"> = ({ graph, name }, node, { transposeA, transposeB, scale }) => {
  const [a, b] = node.inputs as [Tensor, Tensor];
  if (node.shape.length === 2 && exactAlpha(node, scale))
    return graph.node("Gemm", [name(a), name(b)], {
      attributes: { transA: Number(transposeA), transB: Number(transposeB), alpha: { float: scale } },
    });
  if (node.dtype === "float32" && graph.target.device === "cpu") {
    const attributes = { transA: Number(transposeA), transB: Number(transposeB), alpha: { float: scale } };
    return graph.node("FusedMatMul", [name(a), name(b)], { attributes, domain: CONTRIB_DOMAIN });
  }
  const flipped = (value: Tensor, flip: boolean) =>
    flip ? swapLastAxes(graph, name(value), value.shape.length) : name(value);
  const product = graph.node("MatMul", [flipped(a, transposeA), flipped(b, transposeB)]);
  return scale === 1 ? product : graph.node("Mul", [product, graph.constant([scale], [], node.dtype)]);
};

function swapLastAxes(graph: GraphBuilder, value: string, rank: number): string {
  const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return graph.node("Transpose", [value], { attributes: { perm } });
}

/** One-hot rows of ids along a new last axis. Equal + Cast, since OneHot is missing on some devices. [..., size] */
function oneHot(context: LoweringContext, ids: Tensor, size: number, dtype: DType): string {
  const { graph, name } = context;
  const column = graph.node("Reshape", [name(ids), graph.ints([...ids.shape, 1])]);
  const classes = graph.constant(
    Array.from({ length: size }, (_, id) => id),
    [size],
    ids.dtype,
  );
  return graph.node("Cast", [graph.node("Equal", [column, classes])], { attributes: { to: onnxDataType(dtype) } });
}

/** Above this many rows a one-hot product costs more than a scatter. */
const ONE_HOT_ROWS = 1024;
/** Largest one-hot matrix on WebGPU: 128 MiB of float32, the standard's limit for one buffer of a shader. */
const ONE_HOT_ELEMENTS = 2 ** 25;

const scatterAdd: Lowering<"scatterAdd"> = (context, node) => {
  const { graph, name } = context;
  const [updates, ids] = node.inputs as [Tensor, Tensor];
  const rows = node.shape[0]!;
  const count = ids.shape.reduce((product, size) => product * size, 1);
  const width = node.shape.slice(1).reduce((product, size) => product * size, 1);
  // ScatterND wants int64 ids, which WebGPU does not have; and it adds in no fixed order there.
  const dense = graph.target.device === "webgpu" && rows * count <= ONE_HOT_ELEMENTS;
  if (rows <= ONE_HOT_ROWS || dense) {
    const hot = graph.node("Reshape", [oneHot(context, ids, rows, node.dtype), graph.ints([count, rows])]);
    const flat = graph.node("Reshape", [name(updates), graph.ints([count, width])]);
    const total = graph.node("Gemm", [hot, flat], { attributes: { transA: 1 } });
    return graph.node("Reshape", [total, graph.ints(node.shape)]);
  }
  const zeros = graph.node("Expand", [graph.constant([0], [1], node.dtype), graph.ints(node.shape)]);
  const wide = graph.node("Cast", [name(ids)], { attributes: { to: onnxDataType("int64") } });
  const places = graph.node("Reshape", [wide, graph.ints([...ids.shape, 1])]);
  return graph.node("ScatterND", [zeros, places, name(updates)], { attributes: { reduction: "add" } });
};

/** Layer normalization's three outputs; `normalize` and `inverseStd` of one tensor share the node. */
function normalized(
  { graph, name }: LoweringContext,
  x: Tensor,
  epsilon: number,
): { value: string; inverseStd: string } {
  const size = x.shape.at(-1)!;
  if (x.dtype === "float32") {
    const ones = graph.constant(new Float32Array(size).fill(1), [size], "float32");
    const [value, , inverseStd] = graph.nodes("LayerNormalization", [name(x), ones], {
      outputs: 3,
      attributes: { axis: -1, epsilon: { float: epsilon } },
    });
    return { value: value!, inverseStd: inverseStd! };
  }
  // The operator keeps its statistics in float32; in float64 they are computed in the open.
  const last = graph.ints([-1]);
  const centred = graph.node("Sub", [name(x), graph.node("ReduceMean", [name(x), last])]);
  const variance = graph.node("ReduceMean", [graph.node("Mul", [centred, centred]), last]);
  const inverseStd = graph.node("Reciprocal", [
    graph.node("Sqrt", [graph.node("Add", [variance, graph.constant([epsilon], [], x.dtype)])]),
  ]);
  return { value: graph.node("Mul", [centred, inverseStd]), inverseStd };
}

const reduction =
  (type: "ReduceSum" | "ReduceMax"): Lowering<"sum" | "amax"> =>
  ({ graph, name }, node, { axes }) =>
    graph.node(type, [name(node.inputs[0]!), graph.ints(axes)], { attributes: { keepdims: 1 } });

/** A sum over all leading axes (a bias's gradient) as a product with ones, which runs at the matrix rate; ReduceSum walks with a stride. */
const sumOperation: Lowering<"sum"> = (context, node, operation) => {
  const { graph, name } = context;
  const x = node.inputs[0]!;
  const { axes } = operation;
  const leading = axes.every((axis, index) => axis === index) && axes.length === x.shape.length - 1;
  const rows = sizeOf(x.shape) / x.shape.at(-1)!;
  if (!leading || x.dtype !== "float32" || rows < ROWS_FOR_PRODUCT)
    return reduction("ReduceSum")(context, node, operation);
  const flat = graph.node("Reshape", [name(x), graph.ints([rows, x.shape.at(-1)!])]);
  const ones = graph.constant(new Float32Array(rows).fill(1), [1, rows], "float32");
  return graph.node("Reshape", [graph.node("Gemm", [ones, flat]), graph.ints(node.shape)]);
};

/** Below this many rows the call costs more than the walk. */
const ROWS_FOR_PRODUCT = 64;

const alias: Lowering<OperationKind> = ({ name }, node) => name(node.inputs[0]!);

/** How each operation becomes ONNX, wherever the device's own table does not say otherwise. */
const lowerings: LoweringTable = {
  input: ({ graph }, node, { name }) => graph.input(name, node.shape, node.dtype),
  constant: ({ graph }, node, { data }) => graph.constant(data, node.shape, node.dtype),
  neg: direct("Neg"),
  exp: direct("Exp"),
  log: direct("Log"),
  sqrt: direct("Sqrt"),
  abs: direct("Abs"),
  sin: direct("Sin"),
  cos: direct("Cos"),
  tanh: direct("Tanh"),
  sigmoid: direct("Sigmoid"),
  // max(x, 0) + log(1 + e^-|x|): the operator itself exists in float32 only.
  softplus: ({ graph, name }, node) => {
    const x = name(node.inputs[0]!);
    const one = graph.constant([1], [], node.dtype);
    const tail = graph.node("Log", [
      graph.node("Add", [one, graph.node("Exp", [graph.node("Neg", [graph.node("Abs", [x])])])]),
    ]);
    return graph.node("Add", [graph.node("Max", [x, graph.constant([0], [], node.dtype)]), tail]);
  },
  add,
  sub: binary("Sub"),
  mul,
  div: binary("Div"),
  maximum: binary("Max"),
  minimum: binary("Min"),
  equal: binary("Equal"),
  less: binary("Less"),
  lessEqual: binary("LessOrEqual"),
  greater: binary("Greater"),
  greaterEqual: binary("GreaterOrEqual"),
  and: binary("And"),
  or: binary("Or"),
  not: direct("Not"),
  where: direct("Where"),
  cast: ({ graph, name }, node) =>
    graph.node("Cast", [name(node.inputs[0]!)], { attributes: { to: onnxDataType(node.dtype) } }),
  sum: sumOperation,
  amax: reduction("ReduceMax"),
  argmax: ({ graph, name }, node) => {
    const index = graph.node("ArgMax", [name(node.inputs[0]!)], { attributes: { axis: -1, keepdims: 0 } });
    return graph.node("Cast", [index], { attributes: { to: onnxDataType("int32") } });
  },
  reshape: ({ graph, name }, node) =>
    graph.node("Reshape", [name(node.inputs[0]!), graph.ints(node.shape)], { attributes: { allowzero: 1 } }),
  transpose: ({ graph, name }, node, { permutation }) =>
    graph.node("Transpose", [name(node.inputs[0]!)], { attributes: { perm: permutation } }),
  broadcast: ({ graph, name }, node) => graph.node("Expand", [name(node.inputs[0]!), graph.ints(node.shape)]),
  slice: ({ graph, name }, node, { axis, start, end }) =>
    graph.node("Slice", [name(node.inputs[0]!), graph.ints([start]), graph.ints([end]), graph.ints([axis])]),
  pad: ({ graph, name }, node, { axis, before, after }) =>
    graph.node("Pad", [
      name(node.inputs[0]!),
      graph.ints([before, after]),
      graph.constant([0], [], node.dtype),
      graph.ints([axis]),
    ]),
  concat: ({ graph, name }, node, { axis }) => graph.node("Concat", node.inputs.map(name), { attributes: { axis } }),
  matmul,
  gather: ({ graph, name }, node) => graph.node("Gather", node.inputs.map(name), { attributes: { axis: 0 } }),
  scatterAdd,
  pick: ({ graph, name }, node) => {
    const [x, ids] = node.inputs as [Tensor, Tensor];
    const column = graph.node("Reshape", [name(ids), graph.ints([...ids.shape, 1])]);
    const picked = graph.node("GatherElements", [name(x), column], { attributes: { axis: -1 } });
    return graph.node("Reshape", [picked, graph.ints(ids.shape)]);
  },
  spread: (context, node) => {
    const { graph, name } = context;
    const [values, ids] = node.inputs as [Tensor, Tensor];
    const column = graph.node("Reshape", [name(values), graph.ints([...values.shape, 1])]);
    return graph.node("Mul", [oneHot(context, ids, node.shape.at(-1)!, node.dtype), column]);
  },
  softmax: ({ graph, name }, node) => graph.node("Softmax", [name(node.inputs[0]!)], { attributes: { axis: -1 } }),
  logSoftmax: ({ graph, name }, node) =>
    graph.node("LogSoftmax", [name(node.inputs[0]!)], { attributes: { axis: -1 } }),
  normalize: (context, node, { epsilon }) => normalized(context, node.inputs[0]!, epsilon).value,
  inverseStd: (context, node, { epsilon }) => normalized(context, node.inputs[0]!, epsilon).inverseStd,
  stopGradient: alias,
  withGradient: alias,
};

/** What a device has to have otherwise. */
const ownLowerings: Readonly<Record<Target["device"], Partial<LoweringTable>>> = {
  cpu: {},
  webgpu: webgpuLowerings,
  cuda: {},
};

export function lower(context: LoweringContext, node: Tensor): string {
  const { kind } = node.operation;
  const lowering = ownLowerings[context.graph.target.device][kind] ?? lowerings[kind];
  return (lowering as Lowering<OperationKind>)(context, node, node.operation);
}
