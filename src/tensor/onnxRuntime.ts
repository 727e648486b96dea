import type { InferenceSession, Tensor as OrtTensor, TensorConstructor } from "onnxruntime-common";
import type { DeviceTensor, Runtime, RuntimeTensor, TensorData } from "./runtime.js";

/** The part of `onnxruntime-node` or `onnxruntime-web` that we use; either module fits. */
export interface OnnxRuntimeModule {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: TensorConstructor;
}

export interface OnnxRuntimeOptions {
  readonly device?: Runtime["device"];
  /** Threads inside one operation. The results do not depend on it. */
  readonly threads?: number;
  /** Where given, every session writes how long each node took to a file of this prefix, finished when the session is released. */
  readonly profilePrefix?: string;
}

/** ONNX Runtime as the engine's runtime. */
export function onnxRuntime(
  ort: OnnxRuntimeModule,
  { device = "cpu", threads = 1, profilePrefix }: OnnxRuntimeOptions = {},
): Runtime {
  const toOrt = (value: RuntimeTensor | DeviceTensor): OrtTensor =>
    "handle" in value
      ? (value.handle as OrtTensor)
      : new ort.Tensor(value.dtype, value.data as OrtTensor["data"], value.shape);
  const fromOrt = (value: OrtTensor): TensorData | DeviceTensor =>
    value.location === "gpu-buffer"
      ? {
          dtype: value.type as RuntimeTensor["dtype"],
          shape: value.dims,
          handle: value,
          release: () => value.dispose(),
        }
      : (value.data as TensorData);
  return {
    device,
    keeps: device === "webgpu",
    async createSession(model, { fuse, keep }) {
      const session = await ort.InferenceSession.create(model, {
        executionProviders: [device],
        graphOptimizationLevel: fuse ? "all" : "basic",
        ...(keep.length > 0 && {
          preferredOutputLocation: Object.fromEntries(keep.map((name) => [name, "gpu-buffer" as const])),
        }),
        ...(profilePrefix !== undefined && { enableProfiling: true, profileFilePrefix: profilePrefix }),
        executionMode: "sequential",
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        // Warnings about our own graphs (unused outputs of layer normalization) are of no use to a user.
        logSeverityLevel: 3,
        // A masked attention weight is exactly 0, and nothing crawls: one product with numbers below 1e-38 takes a CPU a hundred times as long.
        extra: { session: { set_denormal_as_zero: "1" } },
      });
      return {
        async run(feeds) {
          const results = await session.run(
            Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, toOrt(value)])),
          );
          return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, fromOrt(value)]));
        },
        async release() {
          if (profilePrefix !== undefined) session.endProfiling();
          await session.release();
        },
      };
    },
  };
}
