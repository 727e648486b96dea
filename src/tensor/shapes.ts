import type { DType, Shape, Tensor } from "./tensor.js";

/** Shapes or dtypes that do not fit. The message names the operation, both shapes and the line of the caller's code. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
  constructor(operation: string, problem: string) {
    super();
    this.message = `${operation}: ${problem}${callerLine(this.stack)}`;
  }
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** The first stack frame outside the engine: the user's line. Empty where the runtime gives no stack. */
function callerLine(stack: string | undefined): string {
  const frames = (stack ?? "").split("\n").filter((line) => /^\s+at |@/.test(line));
  const outside = frames.find((line) => !/[\\/](src|dist)[\\/]tensor[\\/]/.test(line));
  const place = outside?.match(/([^\s(]+:\d+:\d+)\)?$/)?.[1];
  return place === undefined ? "" : ` (at ${place})`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** NumPy broadcasting of two shapes. Throws ShapeError naming `operation` when they do not fit. */
export function broadcastShapes(operation: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const sizeA = a[axis - rank + a.length] ?? 1;
    const sizeB = b[axis - rank + b.length] ?? 1;
    if (sizeA !== sizeB && sizeA !== 1 && sizeB !== 1)
      throw new ShapeError(
        operation,
        `shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast at axis ${axis}`,
      );
    result.push(sizeA === 1 ? sizeB : sizeA);
  }
  return result;
}

/** Resolves a possibly negative axis. */
export function resolveAxis(operation: string, axis: number, shape: Shape): number {
  const resolved = axis < 0 ? axis + shape.length : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= shape.length)
    throw new ShapeError(operation, `axis ${axis} is outside shape ${formatShape(shape)}`);
  return resolved;
}

export function requireDType(operation: string, value: Tensor, allowed: readonly DType[]): void {
  if (!allowed.includes(value.dtype))
    throw new ShapeError(
      operation,
      `dtype ${value.dtype} of shape ${formatShape(value.shape)} is not ${allowed.join(" or ")}`,
    );
}

export const FLOATS = ["float32", "float64"] as const satisfies readonly DType[];
export const INTEGERS = ["int32", "int64"] as const satisfies readonly DType[];
