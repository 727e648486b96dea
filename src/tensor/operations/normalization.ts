import { FLOATS, requireDType, ShapeError } from "../shapes.js";
import { type Operation, type Tensor, tensor } from "../tensor.js";

function lastAxis(
  operation: Operation & { kind: "softmax" | "logSoftmax" | "normalize" | "inverseStd" },
  x: Tensor,
  size?: number,
): Tensor {
  requireDType(operation.kind, x, FLOATS);
  if (x.shape.length === 0) throw new ShapeError(operation.kind, "a 0-d tensor has no last axis");
  return tensor(operation, [x], size === undefined ? x.shape : x.shape.with(-1, size), x.dtype);
}

/** e^x / sum(e^x) along the last axis. */
export function softmax(x: Tensor): Tensor {
  return lastAxis({ kind: "softmax" }, x);
}

/** log softmax(x) along the last axis, without overflow. */
export function logSoftmax(x: Tensor): Tensor {
  return lastAxis({ kind: "logSoftmax" }, x);
}

/** (x - mean) / sqrt(variance + epsilon) along the last axis (biased variance, as in layer norm). */
export function normalize(x: Tensor, epsilon: number): Tensor {
  return lastAxis({ kind: "normalize", epsilon }, x);
}

/** 1 / sqrt(variance + epsilon) along the last axis, which stays with size 1. */
export function inverseStd(x: Tensor, epsilon: number): Tensor {
  return lastAxis({ kind: "inverseStd", epsilon }, x, 1);
}
