import type { DType, Shape } from "./tensor.js";

/** Values of a tensor, row-major: the array type that its dtype says. `bool` is one byte each. */
export type TensorData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;

export interface RuntimeTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: TensorData;
}

/** A compiled graph that can be run again and again. */
export interface Session {
  run(feeds: Readonly<Record<string, RuntimeTensor>>): Promise<Readonly<Record<string, TensorData>>>;
  release(): Promise<void>;
}

export interface SessionOptions {
  /** Whether the runtime may fuse operators into its own (ONNX Runtime has some of those in float32 only). */
  readonly fuse: boolean;
}

/** What runs ONNX graphs. Handed to the engine from outside, so that nothing here knows Node from a browser. */
export interface Runtime {
  readonly device: "cpu" | "webgpu" | "cuda";
  createSession(model: Uint8Array, options: SessionOptions): Promise<Session>;
}

/** A zeroed array of the type that holds `dtype`. */
export function allocate(dtype: DType, size: number): TensorData {
  switch (dtype) {
    case "float32":
      return new Float32Array(size);
    case "float64":
      return new Float64Array(size);
    case "int32":
      return new Int32Array(size);
    case "int64":
      return new BigInt64Array(size);
    case "bool":
      return new Uint8Array(size);
  }
}
