import { fromBinary } from "@bufbuild/protobuf";
import { afterAll, describe, expect, test } from "vitest";
import {
  add,
  attention,
  concat,
  emitOnnx,
  gather,
  gelu,
  gradients,
  linear,
  matmul,
  mul,
  type Program,
  program,
  reshape,
  ShapeError,
  sigmoid,
  slice,
  softmax,
  sum,
  type Tensor,
  where,
} from "../../src/tensor/index.js";
import { ModelProtoSchema } from "../../src/tensor/onnx/onnx_pb.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";

const engine = cpuEngine();
afterAll(() => engine.release());

/** The error that `body` throws over inputs of these shapes. */
function failure(shapes: Record<string, readonly number[]>, body: (inputs: Record<string, Tensor>) => Tensor): Error {
  const specs = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, { shape, dtype: "float32" as const }]),
  );
  try {
    program<string, "y">("p", specs, (inputs) => ({ y: body(inputs) }));
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

describe("a shape error names the operation, both shapes and the caller's line", () => {
  test.each([
    ["add", { a: [2, 3], b: [4] }, (x: Record<string, Tensor>) => add(x.a!, x.b!), /add: shapes \[2, 3\] and \[4\]/],
    [
      "matmul",
      { a: [2, 3], b: [4, 5] },
      (x: Record<string, Tensor>) => matmul(x.a!, x.b!),
      /matmul: shapes \[2, 3\] and \[4, 5\]: inner sizes 3 and 4 differ/,
    ],
    [
      "linear",
      { a: [2, 3], b: [5, 4] },
      (x: Record<string, Tensor>) => linear(x.a!, x.b!),
      /matmul: shapes \[2, 3\] and \[5, 4\] \(transposed\): inner sizes 3 and 4 differ/,
    ],
    [
      "reshape",
      { a: [2, 3] },
      (x: Record<string, Tensor>) => reshape(x.a!, [4, -1]),
      /reshape: \[2, 3\] has 6 elements and does not fit \[4, -1\]/,
    ],
    [
      "slice",
      { a: [2, 3] },
      (x: Record<string, Tensor>) => slice(x.a!, 1, 2, 5),
      /slice: 2\.\.5 is outside axis 1 of \[2, 3\]/,
    ],
    [
      "concat",
      { a: [2, 3], b: [3, 3] },
      (x: Record<string, Tensor>) => concat([x.a!, x.b!], 1),
      /concat: float32 \[3, 3\] does not join float32 \[2, 3\] along axis 1/,
    ],
    [
      "gather",
      { a: [2, 3], b: [3] },
      (x: Record<string, Tensor>) => gather(x.a!, x.b!),
      /gather: dtype float32 of shape \[3\] is not int32 or int64/,
    ],
    [
      "where",
      { a: [2, 3], b: [2, 3] },
      (x: Record<string, Tensor>) => where(x.a!, x.b!, 0),
      /where: dtype float32 of shape \[2, 3\] is not bool/,
    ],
  ] as const)("%s", (_name, shapes, body, message) => {
    const error = failure(shapes, body);
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/\(at .*program\.test\.ts:\d+:\d+\)$/);
  });
});

test("an output that depends on another program's input is refused", () => {
  let stolen: Tensor | undefined;
  program("one", { x: { shape: [2], dtype: "float32" } }, ({ x }) => {
    stolen = x;
    return { y: add(x, 1) };
  });
  expect(() => program("two", { z: { shape: [2], dtype: "float32" } }, ({ z }) => ({ y: mul(z, stolen!) }))).toThrow(
    /two: an output depends on input "x" of another program/,
  );
});

test("the gradient of something that is no scalar asks for a seed", () => {
  expect(() =>
    program("p", { x: { shape: [2], dtype: "float32" } }, ({ x }) => ({ y: gradients(x, [x])[0]! })),
  ).toThrow(/output of shape \[2\] is no scalar/);
});

test("the same program is the same bytes, and what no output needs is not in them", () => {
  const build = (extra: boolean) =>
    program("p", { x: { shape: [3, 4], dtype: "float32" }, w: { shape: [4, 4], dtype: "float32" } }, ({ x, w }) => {
      if (extra) mul(matmul(x, w), 3);
      return { y: sum(matmul(x, w)) };
    });
  const bytes = emitOnnx(build(false), { device: "cpu" });
  expect(Buffer.from(emitOnnx(build(true), { device: "cpu" })).equals(Buffer.from(bytes))).toBe(true);
});

test("programs of one structure share one session", async () => {
  let sessions = 0;
  const { createSession } = engine.runtime;
  const counting = {
    ...engine.runtime,
    createSession: (...args: Parameters<typeof createSession>) => {
      sessions += 1;
      return createSession(...args);
    },
  };
  const { createEngine } = await import("../../src/tensor/index.js");
  const other = createEngine(counting);
  const build = (size: number) => program("p", { x: { shape: [size], dtype: "float32" } }, ({ x }) => ({ y: sum(x) }));
  await Promise.all([other.compile(build(3)), other.compile(build(3)), other.compile(build(4))]);
  expect(sessions).toBe(2);
  await other.release();
});

test("idle sessions are closed for new ones, never one that runs, and opened anew when their program runs again", async () => {
  const log: string[] = [];
  const { createSession } = engine.runtime;
  const counting: typeof engine.runtime = {
    ...engine.runtime,
    createSession: async (...args) => {
      const session = await createSession(...args);
      log.push("open");
      return { ...session, release: async () => void log.push("close") };
    },
  };
  const { createEngine } = await import("../../src/tensor/index.js");
  const other = createEngine(counting, { openSessions: 2 });
  const build = (size: number) => program("p", { x: { shape: [size], dtype: "float32" } }, ({ x }) => ({ y: sum(x) }));
  const [three, four, five] = [
    await other.compile(build(3)),
    await other.compile(build(4)),
    await other.compile(build(5)),
  ];
  expect([...log].sort()).toEqual(["close", "open", "open", "open"]);
  const sums = await Promise.all(
    [three!, four!, five!].map(async (one, i) => (await one.run({ x: new Float32Array(3 + i).fill(1) })).y[0]),
  );
  expect(sums).toEqual([3, 4, 5]);
  expect(log.filter((word) => word === "open").length).toBeGreaterThan(3);
  await other.release();
  expect(log.filter((word) => word === "close")).toHaveLength(log.filter((word) => word === "open").length);
});

test("an array of the wrong size or type is refused with the program's and the input's name", async () => {
  const compiled = await engine.compile(
    program("p", { x: { shape: [2, 3], dtype: "float32" } }, ({ x }) => ({ y: sum(x) })),
  );
  await expect(compiled.run({ x: new Float32Array(5) })).rejects.toThrow(
    'program p: input "x" wants float32 [2, 3] (6 values), got Float32Array of 5',
  );
  await expect(compiled.run({ x: new Float64Array(6) })).rejects.toThrow("got Float64Array of 6");
  await expect(compiled.run({} as never)).rejects.toThrow("got nothing");
});

test("a tensor inside a function with a hand-written gradient still gets its own gradient", async () => {
  const q = { shape: [3, 4], dtype: "float64" as const };
  const compiled = await engine.compile(
    program("attend", { q, k: q, v: q }, ({ q, k, v }) => {
      const bias = mul(slice(q, 1, 0, 3), 0);
      const { pattern, output } = attention({ queries: q, keys: k, values: v, bias, scale: 0.5 });
      const loss = sum(mul(output, output));
      // d loss / d pattern = 2 output v', by hand.
      return { pattern: gradients(loss, [pattern])[0]!, wanted: matmul(mul(output, 2), v, { transposeB: true }) };
    }),
  );
  const numbers = (offset: number) => Float64Array.from({ length: 12 }, (_, i) => Math.sin(i + offset));
  const out = await compiled.run({ q: numbers(0), k: numbers(5), v: numbers(9) });
  expect(maxDifference(out.pattern, out.wanted)).toBeLessThan(1e-14);
  expect(Math.max(...(out.wanted as Float64Array).map(Math.abs))).toBeGreaterThan(0.1);
});

test("numbers below the smallest normal one count as 0: a masked key has no weight at all", async () => {
  const compiled = await engine.compile(
    program("masked", { scores: { shape: [1, 3], dtype: "float32" } }, ({ scores }) => ({
      pattern: softmax(scores),
      tiny: mul(scores, 1e-40),
    })),
  );
  const { pattern, tiny } = await compiled.run({ scores: Float32Array.of(0.5, 0.5, -1e9) });
  expect([...(pattern as Float32Array)]).toEqual([0.5, 0.5, 0]);
  expect(tiny[0]).toBe(0);
});

describe("GELU", () => {
  const points = Float32Array.from({ length: 4001 }, (_, i) => -10 + i / 200);
  const build = (dtype: "float32" | "float64", withGradient: boolean) =>
    program<string, string>("gelu", { x: { shape: [points.length], dtype } }, ({ x }) => {
      const y = gelu(x!);
      return withGradient ? { y, slope: gradients(sum(y), [x!])[0]! } : { y };
    });
  const operators = (one: Program) =>
    fromBinary(ModelProtoSchema, emitOnnx(one, { device: "cpu" })).graph!.node.map(({ opType }) => opType);

  test("is one operator where only its value is asked for, the same number to 2e-6", async () => {
    expect(operators(build("float32", false))).toContain("FastGelu");
    expect(operators(build("float64", false))).not.toContain("FastGelu");
    expect(operators(build("float32", true))).not.toContain("FastGelu");
    const { y } = await (await engine.compile(build("float32", false))).run({ x: points });
    const exact = await (await engine.compile(build("float64", false))).run({ x: Float64Array.from(points) });
    expect(maxDifference(y as Float32Array, exact.y as Float64Array)).toBeLessThan(2e-6);
  });

  test("another slope or another cubic is not taken for it", () => {
    const alike = program("alike", { x: { shape: [3], dtype: "float32" } }, ({ x }) => ({
      y: mul(x, sigmoid(mul(x, add(mul(mul(x, x), 0.07), 1.59)))),
    }));
    expect(operators(alike)).not.toContain("FastGelu");
  });
});
