/** Every operation as a function to check: gradients against finite differences, float32 against float64, device against device. */
import {
  abs,
  add,
  amax,
  attention,
  broadcastTo,
  concat,
  constant,
  cos,
  div,
  exp,
  gather,
  gelu,
  greater,
  inverseStd,
  layerNorm,
  linear,
  log,
  logSigmoid,
  logSoftmax,
  matmul,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  normalize,
  pad,
  pick,
  reshape,
  rmsNorm,
  rotary,
  scatterAdd,
  sigmoid,
  silu,
  sin,
  sizeOf,
  slice,
  softmax,
  softplus,
  split,
  spread,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  tanh,
  tokenNll,
  transpose,
  weightedMean,
  where,
} from "../../src/tensor/index.js";

/** A differentiable function to check: shapes of its float inputs, and its body. */
export interface Case {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  /** Inputs are drawn from this range. */
  readonly range?: readonly [number, number];
  readonly body: (...x: Tensor[]) => Tensor;
}

const ids = (values: number[], shape: number[]) => constant(values, shape, "int32");

export const cases: readonly Case[] = [
  { name: "neg", shapes: [[2, 3]], body: (x) => neg(x!) },
  { name: "exp", shapes: [[2, 3]], body: (x) => exp(x!) },
  { name: "log", shapes: [[2, 3]], range: [0.5, 2], body: (x) => log(x!) },
  { name: "sqrt", shapes: [[2, 3]], range: [0.5, 2], body: (x) => sqrt(x!) },
  { name: "abs", shapes: [[2, 3]], range: [0.2, 2], body: (x) => abs(sub(x!, 3)) },
  { name: "sin", shapes: [[5]], body: (x) => sin(x!) },
  { name: "cos", shapes: [[5]], body: (x) => cos(x!) },
  { name: "tanh", shapes: [[5]], body: (x) => tanh(x!) },
  { name: "sigmoid", shapes: [[5]], body: (x) => sigmoid(x!) },
  { name: "softplus", shapes: [[5]], body: (x) => softplus(x!) },
  { name: "logSigmoid", shapes: [[5]], body: (x) => logSigmoid(x!) },
  { name: "silu", shapes: [[5]], body: (x) => silu(x!) },
  {
    name: "attention",
    shapes: [
      [2, 3, 4],
      [2, 5, 4],
      [2, 5, 4],
    ],
    body: (queries, keys, values) =>
      attention({
        queries: queries!,
        keys: keys!,
        values: values!,
        bias: constant([0, -1, 0, -9, 0], [5], queries!.dtype),
        scale: 0.7,
      }).output,
  },
  { name: "gelu", shapes: [[5]], body: (x) => gelu(x!) },
  { name: "square", shapes: [[5]], body: (x) => square(x!) },
  {
    name: "add with broadcasting",
    shapes: [
      [2, 1, 3],
      [4, 1],
    ],
    body: (a, b) => add(a!, b!),
  },
  { name: "sub with broadcasting", shapes: [[3], [2, 3]], body: (a, b) => sub(a!, b!) },
  { name: "mul with broadcasting", shapes: [[2, 3], []], body: (a, b) => mul(a!, b!) },
  {
    name: "div with broadcasting",
    shapes: [
      [2, 3],
      [2, 1],
    ],
    range: [0.5, 2],
    body: (a, b) => div(a!, b!),
  },
  { name: "maximum", shapes: [[7], [7]], body: (a, b) => maximum(a!, b!) },
  { name: "minimum", shapes: [[7], [7]], body: (a, b) => minimum(a!, b!) },
  { name: "where", shapes: [[2, 3], [3]], body: (a, b) => where(greater(a!, b!), mul(a!, a!), mul(b!, 3)) },
  { name: "sum over one axis", shapes: [[2, 3, 4]], body: (x) => sum(x!, { axis: 1 }) },
  { name: "mean over all axes", shapes: [[2, 3]], body: (x) => mean(x!) },
  { name: "mean keeping axes", shapes: [[2, 3]], body: (x) => mean(x!, { axis: [0, -1], keepDims: true }) },
  { name: "amax", shapes: [[3, 5]], body: (x) => amax(x!, { axis: -1 }) },
  { name: "reshape", shapes: [[2, 6]], body: (x) => reshape(x!, [3, -1]) },
  { name: "transpose", shapes: [[2, 3, 4]], body: (x) => transpose(x!, [2, 0, 1]) },
  { name: "broadcastTo", shapes: [[3, 1]], body: (x) => broadcastTo(x!, [2, 3, 4]) },
  { name: "slice", shapes: [[4, 5]], body: (x) => slice(x!, 1, 1, -1) },
  { name: "pad", shapes: [[2, 3]], body: (x) => pad(x!, 0, 1, 2) },
  {
    name: "concat",
    shapes: [
      [2, 3],
      [2, 1],
    ],
    body: (a, b) => concat([a!, b!, a!], 1),
  },
  {
    name: "split",
    shapes: [[2, 6]],
    body: (x) => split(x!, 1, [1, 2, 3]).reduce((t, part) => add(t, sum(square(part))), sum(x!)),
  },
  ...[false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB) =>
      [[], [2, 3]].map((lead) => ({
        name: `matmul ${transposeA ? "Aᵀ" : "A"} ${transposeB ? "Bᵀ" : "B"} with ${lead.length} leading axes`,
        shapes: [
          [...lead, ...(transposeA ? [4, 3] : [3, 4])],
          [...lead, ...(transposeB ? [5, 4] : [4, 5])],
        ],
        body: (a?: Tensor, b?: Tensor) => matmul(a!, b!, { transposeA, transposeB, scale: 0.3 }),
      })),
    ),
  ),
  {
    name: "matmul of a stack with one matrix",
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
    body: (a, b) => matmul(a!, b!),
  },
  { name: "linear", shapes: [[2, 3, 4], [5, 4], [5]], body: (x, w, b) => linear(x!, w!, b!) },
  { name: "gather", shapes: [[5, 3]], body: (x) => gather(x!, ids([0, 4, 4, 2], [2, 2])) },
  { name: "gather in a long table", shapes: [[1500, 2]], body: (x) => gather(x!, ids([0, 1499, 7, 7], [2, 2])) },
  { name: "scatterAdd", shapes: [[2, 2, 3]], body: (x) => scatterAdd(x!, ids([0, 3, 3, 1], [2, 2]), 5) },
  { name: "pick", shapes: [[2, 3, 4]], body: (x) => pick(x!, ids([0, 3, 1, 2, 2, 0], [2, 3])) },
  { name: "spread", shapes: [[2, 3]], body: (x) => spread(x!, ids([0, 3, 1, 2, 2, 0], [2, 3]), 4) },
  { name: "softmax", shapes: [[3, 5]], body: (x) => softmax(x!) },
  { name: "logSoftmax", shapes: [[3, 5]], body: (x) => logSoftmax(x!) },
  { name: "tokenNll", shapes: [[2, 3, 5]], body: (x) => tokenNll(x!, ids([0, 3, 1, 2, 2, 4], [2, 3])) },
  { name: "normalize", shapes: [[3, 6]], body: (x) => normalize(x!, 1e-3) },
  { name: "inverseStd", shapes: [[3, 6]], body: (x) => inverseStd(x!, 1e-3) },
  { name: "layerNorm", shapes: [[3, 6], [6], [6]], body: (x, w, b) => layerNorm(x!, w!, b!) },
  { name: "rmsNorm", shapes: [[3, 6], [6]], body: (x, w) => rmsNorm(x!, w!) },
  {
    name: "rotary",
    shapes: [
      [2, 3, 4],
      [3, 4],
      [3, 4],
    ],
    body: (x, c, s) => rotary(x!, c!, s!),
  },
  {
    name: "weightedMean",
    shapes: [
      [2, 3],
      [2, 3],
    ],
    range: [0.2, 1],
    body: (x, w) => weightedMean(x!, w!),
  },
];

/** Numbers that look random, are the same everywhere, and need no generator: a Weyl sequence. */
export function numbers(count: number, [low, high]: readonly [number, number], offset: number): Float64Array {
  return Float64Array.from(
    { length: count },
    (_, i) => low + (high - low) * (((i + 1 + 7.3 * offset) * 0.6180339887498949) % 1),
  );
}

/** Weighted sum of all elements, so that no gradient cancels by symmetry (softmax rows sum to one). */
export function probe(y: Tensor, offset = 3): Tensor {
  return sum(mul(y, constant(numbers(sizeOf(y.shape), [0.5, 1.5], offset), y.shape, y.dtype)));
}

/** Inputs x0, x1, ... of the given shapes. */
export const specs = (shapes: Case["shapes"], dtype: "float32" | "float64") =>
  Object.fromEntries(shapes.map((shape, index) => [`x${index}`, { shape, dtype }]));
