import { broadcastShapes, FLOATS, formatShape, requireDType, ShapeError, sameShape } from "../shapes.js";
import {
  type BinaryKind,
  type CompareKind,
  type DType,
  isFloat,
  type LogicalKind,
  type Shape,
  type Tensor,
  tensor,
  type UnaryKind,
} from "../tensor.js";
import { scalar, uniformValue } from "./constant.js";
import { broadcastTo } from "./layout.js";

/** A tensor or a number, which takes the other operand's dtype. */
export type Operand = Tensor | number;

function unary(kind: UnaryKind) {
  return (x: Tensor): Tensor => {
    requireDType(kind, x, FLOATS);
    return tensor({ kind }, [x], x.shape, x.dtype);
  };
}

export const neg = unary("neg");
export const exp = unary("exp");
export const log = unary("log");
export const sqrt = unary("sqrt");
export const abs = unary("abs");
export const sin = unary("sin");
export const cos = unary("cos");
export const tanh = unary("tanh");
/** 1 / (1 + e^-x) */
export const sigmoid = unary("sigmoid");
/** log(1 + e^x), without overflow. */
export const softplus = unary("softplus");

/** Makes both operands tensors of one dtype. */
function pair(operation: string, a: Operand, b: Operand): readonly [Tensor, Tensor] {
  if (typeof a === "number" && typeof b === "number")
    throw new ShapeError(operation, "two numbers; one operand must be a tensor");
  const left = typeof a === "number" ? scalar(a, (b as Tensor).dtype) : a;
  const right = typeof b === "number" ? scalar(b, left.dtype) : b;
  if (left.dtype !== right.dtype)
    throw new ShapeError(
      operation,
      `dtypes ${left.dtype} and ${right.dtype} of shapes ${formatShape(left.shape)} and ${formatShape(right.shape)} differ`,
    );
  return [left, right];
}

/** What `x` becomes when the other operand changes nothing but the shape. */
function unchanged(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : broadcastTo(x, shape);
}

function binary(kind: BinaryKind, simplify?: (a: Tensor, b: Tensor, shape: Shape) => Tensor | undefined) {
  return (a: Operand, b: Operand): Tensor => {
    const [left, right] = pair(kind, a, b);
    if (left.dtype === "bool")
      throw new ShapeError(kind, `dtype bool of shape ${formatShape(left.shape)} is not a number`);
    const shape = broadcastShapes(kind, left.shape, right.shape);
    return simplify?.(left, right, shape) ?? tensor({ kind }, [left, right], shape, left.dtype);
  };
}

export const add = binary("add", (a, b, shape) =>
  uniformValue(b) === 0 ? unchanged(a, shape) : uniformValue(a) === 0 ? unchanged(b, shape) : undefined,
);
export const sub = binary("sub", (a, b, shape) => (uniformValue(b) === 0 ? unchanged(a, shape) : undefined));
export const mul = binary("mul", (a, b, shape) =>
  uniformValue(b) === 1 ? unchanged(a, shape) : uniformValue(a) === 1 ? unchanged(b, shape) : undefined,
);
export const div = binary("div", (a, b, shape) => (uniformValue(b) === 1 ? unchanged(a, shape) : undefined));
/** Larger of the two; where equal, the gradient goes to the first. */
export const maximum = binary("maximum");
/** Smaller of the two; where equal, the gradient goes to the first. */
export const minimum = binary("minimum");

function compare(kind: CompareKind) {
  return (a: Operand, b: Operand): Tensor => {
    const [left, right] = pair(kind, a, b);
    return tensor({ kind }, [left, right], broadcastShapes(kind, left.shape, right.shape), "bool");
  };
}

export const equal = compare("equal");
export const less = compare("less");
export const lessEqual = compare("lessEqual");
export const greater = compare("greater");
export const greaterEqual = compare("greaterEqual");

function logical(kind: LogicalKind) {
  return (a: Tensor, b: Tensor): Tensor => {
    requireDType(kind, a, ["bool"]);
    requireDType(kind, b, ["bool"]);
    return tensor({ kind }, [a, b], broadcastShapes(kind, a.shape, b.shape), "bool");
  };
}

export const and = logical("and");
export const or = logical("or");

export function not(a: Tensor): Tensor {
  requireDType("not", a, ["bool"]);
  return tensor({ kind: "not" }, [a], a.shape, "bool");
}

/** `a` where the condition holds, else `b`; all three broadcast. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  requireDType("where", condition, ["bool"]);
  const [left, right] = pair("where", a, b);
  const shape = broadcastShapes("where", condition.shape, broadcastShapes("where", left.shape, right.shape));
  return tensor({ kind: "where" }, [condition, left, right], shape, left.dtype);
}

/** Converts to another dtype; between floats it differentiates. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : tensor({ kind: "cast" }, [x], x.shape, dtype);
}

/** x * x */
export function square(x: Tensor): Tensor {
  return mul(x, x);
}

/** The same value, through which no gradient flows. */
export function stopGradient(x: Tensor): Tensor {
  return tensor({ kind: "stopGradient" }, [x], x.shape, x.dtype);
}

/**
 * The value of `output` with a gradient of its own: `rule` gives the gradient for each of `wrt`, the tensors that `output`
 * was computed from. For functions whose gradient is cheaper written by hand than derived; no operation is added to the graph.
 */
export function withGradient(
  output: Tensor,
  wrt: readonly Tensor[],
  rule: (grad: Tensor) => readonly (Tensor | null)[],
): Tensor {
  if (!isFloat(output.dtype)) throw new ShapeError("withGradient", `dtype ${output.dtype} has no gradient`);
  return tensor(
    { kind: "withGradient", rule: (grad) => [null, ...rule(grad)] },
    [output, ...wrt],
    output.shape,
    output.dtype,
  );
}
