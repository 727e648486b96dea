/** Element types. `float32` and `float64` differentiate; ids are `int32` (or `int64`); masks are `bool`. */
export type DType = "float32" | "float64" | "int32" | "int64" | "bool";
export type FloatDType = "float32" | "float64";
export type Shape = readonly number[];

export type UnaryKind = "neg" | "exp" | "log" | "sqrt" | "abs" | "sin" | "cos" | "tanh" | "sigmoid" | "softplus";
export type BinaryKind = "add" | "sub" | "mul" | "div" | "maximum" | "minimum";
export type CompareKind = "equal" | "less" | "lessEqual" | "greater" | "greaterEqual";
export type LogicalKind = "and" | "or";

/** Gradient of one output with respect to each listed input; `null` where there is none. */
export type GradientRule = (grad: Tensor, inputs: readonly Tensor[], output: Tensor) => readonly (Tensor | null)[];

/** What a tensor is computed by: a closed list, so that a new operation without a gradient or a lowering does not compile. */
export type Operation =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "constant"; readonly data: ArrayLike<number> }
  | { readonly kind: UnaryKind }
  | { readonly kind: BinaryKind }
  | { readonly kind: CompareKind }
  | { readonly kind: LogicalKind }
  | { readonly kind: "not" }
  | { readonly kind: "where" }
  | { readonly kind: "cast" }
  | { readonly kind: "sum"; readonly axes: readonly number[] }
  | { readonly kind: "amax"; readonly axes: readonly number[] }
  | { readonly kind: "argmax" }
  | { readonly kind: "reshape" }
  | { readonly kind: "transpose"; readonly permutation: readonly number[] }
  | { readonly kind: "broadcast" }
  | { readonly kind: "slice"; readonly axis: number; readonly start: number; readonly end: number }
  | { readonly kind: "pad"; readonly axis: number; readonly before: number; readonly after: number }
  | { readonly kind: "concat"; readonly axis: number }
  | { readonly kind: "matmul"; readonly transposeA: boolean; readonly transposeB: boolean; readonly scale: number }
  | { readonly kind: "gather" }
  | { readonly kind: "scatterAdd" }
  | { readonly kind: "pick" }
  | { readonly kind: "spread" }
  | { readonly kind: "softmax" }
  | { readonly kind: "logSoftmax" }
  | { readonly kind: "normalize"; readonly epsilon: number }
  | { readonly kind: "inverseStd"; readonly epsilon: number }
  | { readonly kind: "stopGradient" }
  | { readonly kind: "withGradient"; readonly rule: GradientRule };

export type OperationKind = Operation["kind"];
/** The member of `Operation` whose kinds include `K`. */
export type OperationOf<K extends OperationKind> = Operation extends infer O
  ? O extends { readonly kind: infer Kinds }
    ? K extends Kinds
      ? O
      : never
    : never
  : never;

/** A symbolic tensor: a value of a program that is yet to run. Shape and dtype are known while tracing. */
export interface Tensor {
  readonly operation: Operation;
  readonly inputs: readonly Tensor[];
  readonly shape: Shape;
  readonly dtype: DType;
  /** Name for graph viewers (`blocks.3.mlp.post`); it changes no result. The one field that may be set after creation. */
  label?: string;
}

export function tensor(operation: Operation, inputs: readonly Tensor[], shape: Shape, dtype: DType): Tensor {
  return { operation, inputs, shape, dtype };
}

export function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === "float32" || dtype === "float64";
}

/** Number of elements: the product of the shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Names `value` for graph viewers and profiles and returns it. */
export function label(value: Tensor, name: string): Tensor {
  value.label ??= name;
  return value;
}
