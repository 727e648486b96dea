import { FLOATS, INTEGERS, requireDType, resolveAxis, ShapeError, sameShape } from "../shapes.js";
import { type Shape, sizeOf, type Tensor, tensor } from "../tensor.js";
import { div } from "./elementwise.js";
import { reshape } from "./layout.js";

export interface ReductionOptions {
  /** Axes to reduce; all by default. */
  readonly axis?: number | readonly number[];
  /** Keep reduced axes with size 1. */
  readonly keepDims?: boolean;
}

function resolveAxes(operation: string, x: Tensor, axis: ReductionOptions["axis"]): number[] {
  const axes = axis === undefined ? [...x.shape.keys()] : typeof axis === "number" ? [axis] : axis;
  return [...new Set(axes.map((a) => resolveAxis(operation, a, x.shape)))].sort((a, b) => a - b);
}

/** Reductions keep their axes inside the program; dropping them is a reshape. */
function reduce(kind: "sum" | "amax", x: Tensor, { axis, keepDims = false }: ReductionOptions): Tensor {
  requireDType(kind, x, [...FLOATS, ...INTEGERS]);
  const axes = resolveAxes(kind, x, axis);
  if (axes.length === 0) return x;
  const kept = x.shape.map((size, a) => (axes.includes(a) ? 1 : size));
  const reduced = sameShape(kept, x.shape) ? x : tensor({ kind, axes }, [x], kept, x.dtype);
  return keepDims
    ? reduced
    : reshape(
        reduced,
        x.shape.filter((_, a) => !axes.includes(a)),
      );
}

export function sum(x: Tensor, options: ReductionOptions = {}): Tensor {
  return reduce("sum", x, options);
}

/** Arithmetic mean over the axes. */
export function mean(x: Tensor, options: ReductionOptions = {}): Tensor {
  const total = sum(x, options);
  return div(total, sizeOf(x.shape) / sizeOf(total.shape));
}

/** Largest value over the axes; where several are largest, each gets the whole gradient's equal share. */
export function amax(x: Tensor, options: ReductionOptions = {}): Tensor {
  return reduce("amax", x, options);
}

/** Index (int32) of the largest value along the last axis; the first where several are. [..., n] -> [...] */
export function argmax(x: Tensor): Tensor {
  if (x.shape.length === 0) throw new ShapeError("argmax", "a 0-d tensor has no axis");
  requireDType("argmax", x, FLOATS);
  return tensor({ kind: "argmax" }, [x], x.shape.slice(0, -1), "int32");
}

/** Sums out what broadcasting added, so that a gradient gets its operand's shape. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.shape.length - shape.length;
  const axes = [...x.shape.keys()].filter((axis) => axis < lead || (shape[axis - lead] === 1 && x.shape[axis] !== 1));
  return reshape(sum(x, { axis: axes, keepDims: true }), shape);
}
