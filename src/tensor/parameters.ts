import { concat, reshape, slice } from "./operations/layout.js";
import { formatShape, ShapeError } from "./shapes.js";
import { type Shape, sizeOf, type Tensor } from "./tensor.js";

/** One parameter's place in the flat vector. */
export interface ParameterSlot {
  readonly name: string;
  readonly shape: Shape;
  readonly offset: number;
  readonly size: number;
}

/**
 * How a model's parameters lie in one flat vector, in order. Weights, gradients and moments of the whole model are then one array each:
 * clipping, AdamW, dW and interpolation are one line.
 */
export interface ParameterLayout {
  readonly slots: readonly ParameterSlot[];
  readonly size: number;
}

export function parameterLayout(
  parameters: readonly { readonly name: string; readonly shape: Shape }[],
): ParameterLayout {
  let size = 0;
  const slots = parameters.map(({ name, shape }) => {
    const slot = { name, shape, offset: size, size: sizeOf(shape) };
    size += slot.size;
    return slot;
  });
  return { slots, size };
}

/** The slot of one parameter. Throws a RangeError that names it when the layout has none. */
export function slotOf(layout: ParameterLayout, name: string): ParameterSlot {
  const slot = layout.slots.find((candidate) => candidate.name === name);
  if (slot === undefined)
    throw new RangeError(`no parameter "${name}" in this model; it has ${layout.slots.map((s) => s.name).join(", ")}`);
  return slot;
}

/** The parameters by name, cut from the flat vector. [size] -> each its shape */
export function unflatten(flat: Tensor, layout: ParameterLayout): ReadonlyMap<string, Tensor> {
  if (flat.shape.length !== 1 || flat.shape[0] !== layout.size)
    throw new ShapeError("unflatten", `shape ${formatShape(flat.shape)} is not the layout's [${layout.size}]`);
  return new Map(
    layout.slots.map(
      ({ name, shape, offset, size }) => [name, reshape(slice(flat, 0, offset, offset + size), shape)] as const,
    ),
  );
}

/** The flat vector of tensors in the layout's order. */
export function flatten(values: readonly Tensor[]): Tensor {
  return concat(
    values.map((value) => reshape(value, [-1])),
    0,
  );
}

/** A view (no copy) of one parameter in a flat array. */
export function parameterView<T extends Float32Array | Float64Array>(
  flat: T,
  layout: ParameterLayout,
  name: string,
): T {
  const { offset, size } = slotOf(layout, name);
  return flat.subarray(offset, offset + size) as T;
}
