/** Differentiable tensor programs on ONNX Runtime: build, differentiate, compile, run. See docs/engine.md. */
export * from "./engine.js";
export * from "./functions.js";
export * from "./gradient.js";
export * from "./onnx/emit.js";
export * from "./onnxRuntime.js";
export * from "./operations/constant.js";
export * from "./operations/elementwise.js";
export * from "./operations/indexing.js";
export * from "./operations/layout.js";
export * from "./operations/matmul.js";
export * from "./operations/normalization.js";
export * from "./operations/reduction.js";
export * from "./parameters.js";
export * from "./program.js";
export * from "./runtime.js";
export { formatShape, ShapeError } from "./shapes.js";
export { type DType, type FloatDType, label, type Shape, sizeOf, type Tensor } from "./tensor.js";
