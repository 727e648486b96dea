import type { DType, Shape } from "./tensor.js";

/** Values of a tensor, row-major: the array type that its dtype says. `bool` is one byte each. */
export type TensorData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;

export interface RuntimeTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: TensorData;
}

/** A tensor in the device's own memory. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  /** The runtime's own object. */
  readonly handle: object;
  /** Gives the memory back. */
  release(): void;
}

/** A compiled graph that can be run again and again. */
export interface Session {
  run(
    feeds: Readonly<Record<string, RuntimeTensor | DeviceTensor>>,
  ): Promise<Readonly<Record<string, TensorData | DeviceTensor>>>;
  release(): Promise<void>;
}

export interface SessionOptions {
  /** Whether the runtime may fuse operators into its own (ONNX Runtime has some of those in float32 only). */
  readonly fuse: boolean;
  /** Outputs that stay in the device's memory, where the runtime has `keeps`. */
  readonly keep: readonly string[];
}

/** What runs ONNX graphs. Handed to the engine from outside, so that nothing here knows Node from a browser. */
export interface Runtime {
  readonly device: "cpu" | "webgpu" | "cuda";
  /** Whether outputs can stay in a memory of the device's own and be fed again. */
  readonly keeps: boolean;
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
