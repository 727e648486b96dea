import { latin1 } from "./onnx/builder.js";
import { emitOnnx } from "./onnx/emit.js";
import type { Program } from "./program.js";
import type { Runtime, RuntimeTensor, Session, TensorData } from "./runtime.js";
import { formatShape } from "./shapes.js";
import { sizeOf, type Tensor } from "./tensor.js";

/** A compiled program. */
export interface Executable<I extends string = string, O extends string = string> {
  readonly program: Program<I, O>;
  /**
   * Runs once. Arrays are row-major, of the input's size and dtype; outputs are new arrays.
   * Throws a TypeError that names the program, the input and both sizes when an array does not fit.
   */
  run(feeds: Readonly<Record<I, TensorData>>): Promise<Record<O, TensorData>>;
}

/** Compiles programs on one runtime; programs of one structure share one session. */
export interface Engine {
  readonly runtime: Runtime;
  compile<I extends string, O extends string>(program: Program<I, O>): Promise<Executable<I, O>>;
  /** Frees every session. */
  release(): Promise<void>;
}

const ARRAY_TYPE = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const;

function feed(program: Program, feeds: Readonly<Record<string, TensorData>>): Record<string, RuntimeTensor> {
  const result: Record<string, RuntimeTensor> = {};
  for (const [name, { shape, dtype }] of Object.entries(program.inputs)) {
    const data = feeds[name];
    if (!(data instanceof ARRAY_TYPE[dtype]) || data.length !== sizeOf(shape)) {
      const got = data === undefined ? "nothing" : `${data.constructor.name} of ${data.length}`;
      throw new TypeError(
        `program ${program.name}: input "${name}" wants ${dtype} ${formatShape(shape)} (${sizeOf(shape)} values), got ${got}`,
      );
    }
    result[name] = { dtype, shape, data };
  }
  return result;
}

export function createEngine(runtime: Runtime): Engine {
  const sessions = new Map<string, Promise<Session>>();
  return {
    runtime,
    async compile<I extends string, O extends string>(program: Program<I, O>): Promise<Executable<I, O>> {
      const model = emitOnnx(program, { device: runtime.device });
      const key = latin1(model);
      let session = sessions.get(key);
      if (session === undefined) {
        // ONNX Runtime fuses x sigmoid(x) into an operator that has no float64 kernel and then fails.
        const fuse = !Object.values<Tensor>({ ...program.inputs, ...program.outputs }).some(
          ({ dtype }) => dtype === "float64",
        );
        session = runtime.createSession(model, { fuse });
        sessions.set(key, session);
      }
      const compiled = await session;
      return {
        program,
        run: async (feeds) => (await compiled.run(feed(program, feeds))) as Record<O, TensorData>,
      };
    },
    async release() {
      const open = [...sessions.values()];
      sessions.clear();
      for (const session of open) await (await session).release();
    },
  };
}
