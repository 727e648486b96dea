import { latin1 } from "./onnx/builder.js";
import { emitOnnx } from "./onnx/emit.js";
import { stopGradient } from "./operations/elementwise.js";
import { type Program, program } from "./program.js";
import type { DeviceTensor, Runtime, RuntimeTensor, Session, TensorData } from "./runtime.js";
import { formatShape, sameShape } from "./shapes.js";
import { type DType, type Shape, sizeOf, type Tensor } from "./tensor.js";

/**
 * A value that stays where it was computed: in a GPU's memory, or, on the CPU, simply an array. State that goes from step to step
 * (weights, moments) is held so.
 */
export interface Resident {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Its values; copied where they are on another device. */
  read(): Promise<TensorData>;
  /** Gives its memory back; it must not be used any more. */
  release(): void;
}

/** A compiled program. `K`: the outputs that stay on the device. */
export interface Executable<I extends string = string, O extends string = string, K extends O = never> {
  readonly program: Program<I, O>;
  /**
   * Runs once. Arrays are row-major, of the input's size and dtype; outputs are new arrays.
   * Throws a TypeError that names the program, the input and both sizes when an array does not fit.
   */
  run(
    feeds: Readonly<Record<I, TensorData | Resident>>,
  ): Promise<Record<Exclude<O, K>, TensorData> & Record<K, Resident>>;
}

/** Compiles programs on one runtime; programs of one structure share one session. */
export interface Engine {
  readonly runtime: Runtime;
  /** `keep`: outputs that stay on the device, to be fed again. */
  compile<I extends string, O extends string, K extends O = never>(
    program: Program<I, O>,
    options?: { readonly keep?: readonly K[] },
  ): Promise<Executable<I, O, K>>;
  /** Brings an array to the device, where it stays. */
  place(data: TensorData, dtype: DType, shape: Shape): Promise<Resident>;
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

const wrapped = new WeakMap<Resident, RuntimeTensor | DeviceTensor>();

function feed(
  program: Program,
  feeds: Readonly<Record<string, TensorData | Resident>>,
): Record<string, RuntimeTensor | DeviceTensor> {
  const result: Record<string, RuntimeTensor | DeviceTensor> = {};
  for (const [name, { shape, dtype }] of Object.entries(program.inputs)) {
    const given = feeds[name];
    const fail = (got: string) =>
      new TypeError(
        `program ${program.name}: input "${name}" wants ${dtype} ${formatShape(shape)} (${sizeOf(shape)} values), got ${got}`,
      );
    if (given !== undefined && "read" in given) {
      const inside = wrapped.get(given);
      if (inside === undefined) throw fail("a value that was released");
      if (given.dtype !== dtype || !sameShape(given.shape, shape))
        throw fail(`${given.dtype} ${formatShape(given.shape)}`);
      result[name] = inside;
    } else if (given instanceof ARRAY_TYPE[dtype] && given.length === sizeOf(shape))
      result[name] = { dtype, shape, data: given };
    else throw fail(given === undefined ? "nothing" : `${given.constructor.name} of ${given.length}`);
  }
  return result;
}

/** Hands a value through unchanged: what copies it between the host and a device. */
const copyProgram = (shape: Shape, dtype: DType) =>
  program("copy", { value: { shape, dtype } }, ({ value }) => ({ copy: stopGradient(value) }));

/** A session, and how many runs it is in the middle of. */
interface OpenSession {
  readonly session: Promise<Session>;
  running: number;
}

export interface EngineOptions {
  /**
   * How many sessions stay open, 4 by default. Each keeps the memory of its largest run, so the one that was idle longest is closed for a new
   * one, and opened anew when its program runs again. All by default where outputs stay on the device: they are their session's.
   */
  readonly openSessions?: number;
}

export function createEngine(
  runtime: Runtime,
  { openSessions = runtime.keeps ? Number.POSITIVE_INFINITY : 4 }: EngineOptions = {},
): Engine {
  // In the order of their last use.
  const sessions = new Map<string, OpenSession>();

  /** The session of this key, opened where it is not, and now the last one used. */
  function sessionOf(key: string, open: () => Promise<Session>): OpenSession {
    const found = sessions.get(key) ?? { session: open(), running: 0 };
    sessions.delete(key);
    sessions.set(key, found);
    for (const [other, { session, running }] of sessions) {
      if (sessions.size <= openSessions) break;
      if (other === key || running > 0) continue;
      sessions.delete(other);
      void session.then(
        (one) => one.release(),
        () => {}, // whoever asked for it was told
      );
    }
    return found;
  }

  function resident(value: RuntimeTensor | DeviceTensor): Resident {
    const { dtype, shape } = value;
    const self: Resident = {
      dtype,
      shape,
      read: async () => {
        if (!("handle" in value)) return value.data;
        return (await (await engine.compile(copyProgram(shape, dtype))).run({ value: self })).copy;
      },
      release: () => {
        if ("handle" in value && wrapped.has(self)) value.release();
        wrapped.delete(self);
      },
    };
    wrapped.set(self, value);
    return self;
  }

  const engine: Engine = {
    runtime,
    async compile<I extends string, O extends string, K extends O = never>(
      program: Program<I, O>,
      { keep = [] }: { readonly keep?: readonly K[] } = {},
    ): Promise<Executable<I, O, K>> {
      const model = emitOnnx(program, { device: runtime.device });
      const kept: readonly string[] = runtime.keeps ? keep : [];
      const key = `${kept.join()}:${latin1(model)}`;
      const open = () => {
        // ONNX Runtime fuses x sigmoid(x) into an operator that has no float64 kernel and then fails.
        const fuse = !Object.values<Tensor>({ ...program.inputs, ...program.outputs }).some(
          ({ dtype }) => dtype === "float64",
        );
        return runtime.createSession(model, { fuse, keep: kept });
      };
      await sessionOf(key, open).session;
      return {
        program,
        run: async (feeds) => {
          const one = sessionOf(key, open);
          one.running++;
          let results: Readonly<Record<string, TensorData | DeviceTensor>>;
          try {
            results = await (await one.session).run(feed(program, feeds));
          } finally {
            one.running--;
          }
          const out: Record<string, TensorData | DeviceTensor | Resident> = { ...results };
          for (const name of keep) {
            const { dtype, shape } = program.outputs[name];
            const value = out[name] as TensorData | DeviceTensor;
            out[name] = resident("handle" in value ? value : { dtype, shape, data: value });
          }
          return out as Record<Exclude<O, K>, TensorData> & Record<K, Resident>;
        },
      };
    },
    async place(data, dtype, shape) {
      if (!runtime.keeps) return resident({ dtype, shape, data });
      return (await (await engine.compile(copyProgram(shape, dtype), { keep: ["copy"] })).run({ value: data })).copy;
    },
    async release() {
      const open = [...sessions.values()];
      sessions.clear();
      for (const { session } of open) await (await session).release();
    },
  };
  return engine;
}
