import { formatShape, ShapeError } from "../shapes.js";
import { type DType, type Shape, sizeOf, type Tensor, tensor } from "../tensor.js";

/** A tensor of known values, row-major. Small ones only: each is part of the graph and costs session time. */
export function constant(data: ArrayLike<number>, shape: Shape, dtype: DType): Tensor {
  if (data.length !== sizeOf(shape))
    throw new ShapeError("constant", `${data.length} values do not fill shape ${formatShape(shape)}`);
  return tensor({ kind: "constant", data }, [], shape, dtype);
}

/** A 0-d constant. */
export function scalar(value: number, dtype: DType): Tensor {
  return constant([value], [], dtype);
}

/** The value of a constant that holds one number everywhere, else undefined. */
export function uniformValue(value: Tensor): number | undefined {
  if (value.operation.kind === "broadcast") return uniformValue(value.inputs[0]!);
  if (value.operation.kind !== "constant" || value.operation.data.length !== 1) return undefined;
  return value.operation.data[0];
}
