import { uniformValue } from "./operations/constant.js";
import {
  abs,
  add,
  cast,
  cos,
  div,
  equal,
  lessEqual,
  mul,
  neg,
  not,
  sigmoid,
  sin,
  sub,
  where,
} from "./operations/elementwise.js";
import { gather, pick, scatterAdd, spread } from "./operations/indexing.js";
import { broadcastTo, concat, pad, reshape, slice, transpose } from "./operations/layout.js";
import { matmul } from "./operations/matmul.js";
import { inverseStd, normalize, softmax } from "./operations/normalization.js";
import { mean, sum, sumTo } from "./operations/reduction.js";
import { type GradientRule, isFloat, type OperationKind, type OperationOf, type Tensor } from "./tensor.js";

type RuleOf<K extends OperationKind> = (
  grad: Tensor,
  inputs: readonly Tensor[],
  output: Tensor,
  operation: OperationOf<K>,
) => readonly (Tensor | null)[];

/** Gradients of `a` and `b` of a broadcasting binary operation, each summed back to its operand's shape. */
function pairRule(
  toA: (grad: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor,
  toB: (grad: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor,
): GradientRule {
  return (grad, [a, b], y) => [sumTo(toA(grad, a!, b!, y), a!.shape), sumTo(toB(grad, a!, b!, y), b!.shape)];
}

const noGradient: GradientRule = (_, inputs) => inputs.map(() => null);

/** grad where the first operand won, 0 elsewhere; and the other way round. */
function selectRule(wins: (a: Tensor, b: Tensor) => Tensor): GradientRule {
  return pairRule(
    (grad, a, b) => where(wins(a, b), grad, 0),
    (grad, a, b) => where(wins(a, b), 0, grad),
  );
}

/**
 * How each operation passes a gradient to its inputs, in operations again, so that gradients have gradients. `y` is the
 * operation's own output. Inputs without a gradient (ids, masks) get null.
 */
const rules: { readonly [K in OperationKind]: RuleOf<K> } = {
  input: noGradient,
  constant: noGradient,
  neg: (g) => [neg(g)],
  exp: (g, _, y) => [mul(g, y)],
  log: (g, [x]) => [div(g, x!)],
  sqrt: (g, _, y) => [div(mul(g, 0.5), y)],
  abs: (g, [x], y) => [mul(g, where(equal(y, 0), 0, div(x!, where(equal(y, 0), 1, abs(x!)))))],
  sin: (g, [x]) => [mul(g, cos(x!))],
  cos: (g, [x]) => [neg(mul(g, sin(x!)))],
  tanh: (g, _, y) => [mul(g, sub(1, mul(y, y)))],
  sigmoid: (g, _, y) => [mul(g, mul(y, sub(1, y)))],
  softplus: (g, [x]) => [mul(g, sigmoid(x!))],
  add: pairRule(
    (g) => g,
    (g) => g,
  ),
  sub: pairRule(
    (g) => g,
    (g) => neg(g),
  ),
  mul: pairRule(
    (g, _, b) => mul(g, b),
    (g, a) => mul(g, a),
  ),
  div: pairRule(
    (g, _, b) => div(g, b),
    (g, _, b, y) => neg(div(mul(g, y), b)),
  ),
  maximum: selectRule((a, b) => lessEqual(b, a)),
  minimum: selectRule((a, b) => lessEqual(a, b)),
  equal: noGradient,
  less: noGradient,
  lessEqual: noGradient,
  greater: noGradient,
  greaterEqual: noGradient,
  and: noGradient,
  or: noGradient,
  not: noGradient,
  where: (g, [condition, a, b]) => [
    null,
    sumTo(where(condition!, g, 0), a!.shape),
    sumTo(where(not(condition!), g, 0), b!.shape),
  ],
  cast: (g, [x]) => [isFloat(x!.dtype) ? cast(g, x!.dtype) : null],
  sum: (g, [x]) => [broadcastTo(g, x!.shape)],
  amax: (g, [x], y, { axes }) => {
    const largest = cast(equal(x!, y), x!.dtype);
    return [mul(largest, div(g, sum(largest, { axis: axes, keepDims: true })))];
  },
  argmax: noGradient,
  reshape: (g, [x]) => [reshape(g, x!.shape)],
  transpose: (g, _inputs, _y, { permutation }) => [
    transpose(
      g,
      permutation.map((_, axis) => permutation.indexOf(axis)),
    ),
  ],
  broadcast: (g, [x]) => [sumTo(g, x!.shape)],
  slice: (g, [x], _, { axis, start, end }) => [pad(g, axis, start, x!.shape[axis]! - end)],
  pad: (g, [x], _, { axis, before }) => [slice(g, axis, before, before + x!.shape[axis]!)],
  concat: (g, parts, _, { axis }) => {
    let start = 0;
    return parts.map((part) => slice(g, axis, start, (start += part.shape[axis]!)));
  },
  matmul: (g, [a, b], _, { transposeA, transposeB, scale }) => [
    transposeA
      ? matmul(b!, g, { transposeA: transposeB, transposeB: true, scale })
      : matmul(g, b!, { transposeB: !transposeB, scale }),
    transposeB
      ? matmul(g, a!, { transposeA: true, transposeB: transposeA, scale })
      : matmul(a!, g, { transposeA: !transposeA, scale }),
  ],
  gather: (g, [table, ids]) => [scatterAdd(g, ids!, table!.shape[0]!), null],
  scatterAdd: (g, [, ids]) => [gather(g, ids!), null],
  pick: (g, [x, ids]) => [spread(g, ids!, x!.shape.at(-1)!), null],
  spread: (g, [, ids]) => [pick(g, ids!), null],
  softmax: (g, _, y) => {
    const weighted = mul(g, y);
    return [sub(weighted, mul(y, sum(weighted, { axis: -1, keepDims: true })))];
  },
  logSoftmax: (g, [x]) => [sub(g, mul(softmax(x!), sum(g, { axis: -1, keepDims: true })))],
  normalize: (g, [x], y, { epsilon }) => {
    const centred = sub(g, mean(g, { axis: -1, keepDims: true }));
    const along = mul(y, mean(mul(g, y), { axis: -1, keepDims: true }));
    return [mul(inverseStd(x!, epsilon), sub(centred, along))];
  },
  inverseStd: (g, [x], y, { epsilon }) => [mul(normalize(x!, epsilon), mul(g, mul(mul(y, y), -1 / x!.shape.at(-1)!)))],
  stopGradient: noGradient,
  withGradient: (g, inputs, y, { rule }) => rule(g, inputs, y),
};

function ruleFor(node: Tensor): GradientRule {
  const rule = rules[node.operation.kind] as RuleOf<OperationKind>;
  return (grad, inputs, output) => rule(grad, inputs, output, node.operation);
}

/** Gradients that `node` passes to its inputs. */
export function inputGradients(node: Tensor, grad: Tensor): readonly (Tensor | null)[] {
  return ruleFor(node)(grad, node.inputs, node);
}

/** The sum of two gradients; a known zero adds nothing, and neighbouring slices of one tensor are put side by side. */
export function accumulate(a: Tensor | undefined, b: Tensor): Tensor {
  return a === undefined || uniformValue(a) === 0 ? b : (besideEachOther(a, b) ?? add(a, b));
}

/**
 * Gradients of slices that cut one tensor into neighbours (queries, keys and values of one product) are zeros around each piece; their
 * sum is the pieces joined. Saves a pass over the whole tensor for each piece, and one for each sum.
 */
function besideEachOther(a: Tensor, b: Tensor): Tensor | undefined {
  const [first, second] = [a, b].map(asPiece);
  if (first === undefined || second === undefined || first.axis !== second.axis) return undefined;
  const { axis } = first;
  const [left, right] = first.start < second.start ? [first, second] : [second, first];
  if (left.end !== right.start) return undefined;
  const pieces = [left, right].flatMap(({ piece }) =>
    piece.operation.kind === "concat" && piece.operation.axis === axis ? piece.inputs : [piece],
  );
  return pad(concat(pieces, axis), axis, left.start, a.shape[axis]! - right.end);
}

/** A tensor that is zero but for one piece along one axis. */
function asPiece({ operation, inputs: [piece] }: Tensor) {
  if (operation.kind !== "pad" || piece === undefined) return undefined;
  const { axis, before } = operation;
  return { piece, axis, start: before, end: before + piece.shape[axis]! };
}
