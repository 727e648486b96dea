import { broadcastShapes, formatShape, resolveAxis, ShapeError, sameShape } from "../shapes.js";
import { type Shape, sizeOf, type Tensor, tensor } from "../tensor.js";

/** The same elements in another shape; one size may be -1 (inferred). */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.filter((size) => size !== -1);
  const inferred = sizeOf(x.shape) / sizeOf(known);
  const full = shape.map((size) => (size === -1 ? inferred : size));
  if (shape.length - known.length > 1 || sizeOf(full) !== sizeOf(x.shape) || !full.every(Number.isInteger))
    throw new ShapeError(
      "reshape",
      `${formatShape(x.shape)} has ${sizeOf(x.shape)} elements and does not fit ${formatShape(shape)}`,
    );
  if (sameShape(full, x.shape)) return x;
  // A reshape of a reshape is one reshape.
  const source = x.operation.kind === "reshape" ? x.inputs[0]! : x;
  return sameShape(full, source.shape) ? source : tensor({ kind: "reshape" }, [source], full, x.dtype);
}

/** Reorders axes; by default swaps the last two. */
export function transpose(x: Tensor, permutation?: readonly number[]): Tensor {
  const rank = x.shape.length;
  const order = permutation ?? [...Array(rank - 2).keys(), rank - 1, rank - 2];
  if (rank < 2 && permutation === undefined)
    throw new ShapeError("transpose", `shape ${formatShape(x.shape)} has no two axes to swap`);
  if (order.length !== rank || new Set(order).size !== rank || order.some((axis) => axis < 0 || axis >= rank))
    throw new ShapeError("transpose", `[${order.join(", ")}] is no permutation of the axes of ${formatShape(x.shape)}`);
  if (order.every((axis, index) => axis === index)) return x;
  return tensor(
    { kind: "transpose", permutation: order },
    [x],
    order.map((axis) => x.shape[axis]!),
    x.dtype,
  );
}

/** Repeats along axes of size 1 (and new leading axes) to `shape`. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes("broadcastTo", x.shape, shape), shape))
    throw new ShapeError("broadcastTo", `shape ${formatShape(x.shape)} does not broadcast to ${formatShape(shape)}`);
  return tensor({ kind: "broadcast" }, [x], shape, x.dtype);
}

/** Elements start..end-1 of one axis; negative bounds count from the end, `end` undefined means all the rest. */
export function slice(x: Tensor, axis: number, start: number, end?: number): Tensor {
  const resolved = resolveAxis("slice", axis, x.shape);
  const size = x.shape[resolved]!;
  const from = start < 0 ? start + size : start;
  const to = end === undefined ? size : end < 0 ? end + size : end;
  if (!(from >= 0 && from <= to && to <= size) || !Number.isInteger(from) || !Number.isInteger(to))
    throw new ShapeError("slice", `${start}..${end ?? size} is outside axis ${resolved} of ${formatShape(x.shape)}`);
  if (from === 0 && to === size) return x;
  return tensor(
    { kind: "slice", axis: resolved, start: from, end: to },
    [x],
    x.shape.with(resolved, to - from),
    x.dtype,
  );
}

/** Zeros before and after along one axis. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  const resolved = resolveAxis("pad", axis, x.shape);
  if (before < 0 || after < 0)
    throw new ShapeError("pad", `negative padding ${before}, ${after} of ${formatShape(x.shape)}`);
  if (before === 0 && after === 0) return x;
  return tensor(
    { kind: "pad", axis: resolved, before, after },
    [x],
    x.shape.with(resolved, x.shape[resolved]! + before + after),
    x.dtype,
  );
}

/** Joins along one axis; all other sizes are equal. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0];
  if (first === undefined) throw new ShapeError("concat", "nothing to join");
  if (parts.length === 1) return first;
  const resolved = resolveAxis("concat", axis, first.shape);
  for (const part of parts)
    if (
      part.dtype !== first.dtype ||
      part.shape.length !== first.shape.length ||
      !sameShape(part.shape.with(resolved, 0), first.shape.with(resolved, 0))
    )
      throw new ShapeError(
        "concat",
        `${part.dtype} ${formatShape(part.shape)} does not join ${first.dtype} ${formatShape(first.shape)} along axis ${resolved}`,
      );
  const total = parts.reduce((sum, part) => sum + part.shape[resolved]!, 0);
  return tensor({ kind: "concat", axis: resolved }, parts, first.shape.with(resolved, total), first.dtype);
}

/** Cuts one axis into pieces of the given sizes. */
export function split(x: Tensor, axis: number, sizes: readonly number[]): Tensor[] {
  const resolved = resolveAxis("split", axis, x.shape);
  if (sizes.reduce((sum, size) => sum + size, 0) !== x.shape[resolved])
    throw new ShapeError(
      "split",
      `sizes [${sizes.join(", ")}] do not add up to axis ${resolved} of ${formatShape(x.shape)}`,
    );
  let start = 0;
  return sizes.map((size) => slice(x, resolved, start, (start += size)));
}
