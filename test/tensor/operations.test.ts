import { afterAll, describe, expect, test } from "vitest";
import {
  abs,
  add,
  amax,
  argmax,
  broadcastTo,
  cast,
  concat,
  constant,
  cos,
  div,
  type Engine,
  exp,
  gather,
  gelu,
  gradients,
  greater,
  inverseStd,
  layerNorm,
  linear,
  log,
  logSigmoid,
  logSoftmax,
  matmul,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  normalize,
  pad,
  pick,
  program,
  reshape,
  rmsNorm,
  rotary,
  scatterAdd,
  sigmoid,
  silu,
  sin,
  slice,
  softmax,
  softplus,
  split,
  spread,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  type Tensor,
  tanh,
  tokenNll,
  transpose,
  weightedMean,
  where,
} from "../../src/tensor/index.js";
import { cpuEngine } from "../engines.js";

/** A differentiable function to check: shapes of its float inputs, and its body. */
interface Case {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  /** Inputs are drawn from this range. */
  readonly range?: readonly [number, number];
  readonly body: (...x: Tensor[]) => Tensor;
}

const ids = (values: number[], shape: number[]) => constant(values, shape, "int32");

const cases: readonly Case[] = [
  { name: "neg", shapes: [[2, 3]], body: (x) => neg(x!) },
  { name: "exp", shapes: [[2, 3]], body: (x) => exp(x!) },
  { name: "log", shapes: [[2, 3]], range: [0.5, 2], body: (x) => log(x!) },
  { name: "sqrt", shapes: [[2, 3]], range: [0.5, 2], body: (x) => sqrt(x!) },
  { name: "abs", shapes: [[2, 3]], range: [0.2, 2], body: (x) => abs(sub(x!, 3)) },
  { name: "sin", shapes: [[5]], body: (x) => sin(x!) },
  { name: "cos", shapes: [[5]], body: (x) => cos(x!) },
  { name: "tanh", shapes: [[5]], body: (x) => tanh(x!) },
  { name: "sigmoid", shapes: [[5]], body: (x) => sigmoid(x!) },
  { name: "softplus", shapes: [[5]], body: (x) => softplus(x!) },
  { name: "logSigmoid", shapes: [[5]], body: (x) => logSigmoid(x!) },
  { name: "silu", shapes: [[5]], body: (x) => silu(x!) },
  { name: "gelu", shapes: [[5]], body: (x) => gelu(x!) },
  { name: "square", shapes: [[5]], body: (x) => square(x!) },
  {
    name: "add with broadcasting",
    shapes: [
      [2, 1, 3],
      [4, 1],
    ],
    body: (a, b) => add(a!, b!),
  },
  { name: "sub with broadcasting", shapes: [[3], [2, 3]], body: (a, b) => sub(a!, b!) },
  { name: "mul with broadcasting", shapes: [[2, 3], []], body: (a, b) => mul(a!, b!) },
  {
    name: "div with broadcasting",
    shapes: [
      [2, 3],
      [2, 1],
    ],
    range: [0.5, 2],
    body: (a, b) => div(a!, b!),
  },
  { name: "maximum", shapes: [[7], [7]], body: (a, b) => maximum(a!, b!) },
  { name: "minimum", shapes: [[7], [7]], body: (a, b) => minimum(a!, b!) },
  { name: "where", shapes: [[2, 3], [3]], body: (a, b) => where(greater(a!, b!), mul(a!, a!), mul(b!, 3)) },
  { name: "sum over one axis", shapes: [[2, 3, 4]], body: (x) => sum(x!, { axis: 1 }) },
  { name: "mean over all axes", shapes: [[2, 3]], body: (x) => mean(x!) },
  { name: "mean keeping axes", shapes: [[2, 3]], body: (x) => mean(x!, { axis: [0, -1], keepDims: true }) },
  { name: "amax", shapes: [[3, 5]], body: (x) => amax(x!, { axis: -1 }) },
  { name: "reshape", shapes: [[2, 6]], body: (x) => reshape(x!, [3, -1]) },
  { name: "transpose", shapes: [[2, 3, 4]], body: (x) => transpose(x!, [2, 0, 1]) },
  { name: "broadcastTo", shapes: [[3, 1]], body: (x) => broadcastTo(x!, [2, 3, 4]) },
  { name: "slice", shapes: [[4, 5]], body: (x) => slice(x!, 1, 1, -1) },
  { name: "pad", shapes: [[2, 3]], body: (x) => pad(x!, 0, 1, 2) },
  {
    name: "concat",
    shapes: [
      [2, 3],
      [2, 1],
    ],
    body: (a, b) => concat([a!, b!, a!], 1),
  },
  {
    name: "split",
    shapes: [[2, 6]],
    body: (x) => split(x!, 1, [1, 2, 3]).reduce((t, part) => add(t, sum(square(part))), sum(x!)),
  },
  ...[false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB) =>
      [[], [2, 3]].map((lead) => ({
        name: `matmul ${transposeA ? "Aᵀ" : "A"} ${transposeB ? "Bᵀ" : "B"} with ${lead.length} leading axes`,
        shapes: [
          [...lead, ...(transposeA ? [4, 3] : [3, 4])],
          [...lead, ...(transposeB ? [5, 4] : [4, 5])],
        ],
        body: (a?: Tensor, b?: Tensor) => matmul(a!, b!, { transposeA, transposeB, scale: 0.3 }),
      })),
    ),
  ),
  {
    name: "matmul of a stack with one matrix",
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
    body: (a, b) => matmul(a!, b!),
  },
  { name: "linear", shapes: [[2, 3, 4], [5, 4], [5]], body: (x, w, b) => linear(x!, w!, b!) },
  { name: "gather", shapes: [[5, 3]], body: (x) => gather(x!, ids([0, 4, 4, 2], [2, 2])) },
  { name: "gather in a long table", shapes: [[1500, 2]], body: (x) => gather(x!, ids([0, 1499, 7, 7], [2, 2])) },
  { name: "scatterAdd", shapes: [[2, 2, 3]], body: (x) => scatterAdd(x!, ids([0, 3, 3, 1], [2, 2]), 5) },
  { name: "pick", shapes: [[2, 3, 4]], body: (x) => pick(x!, ids([0, 3, 1, 2, 2, 0], [2, 3])) },
  { name: "spread", shapes: [[2, 3]], body: (x) => spread(x!, ids([0, 3, 1, 2, 2, 0], [2, 3]), 4) },
  { name: "softmax", shapes: [[3, 5]], body: (x) => softmax(x!) },
  { name: "logSoftmax", shapes: [[3, 5]], body: (x) => logSoftmax(x!) },
  { name: "tokenNll", shapes: [[2, 3, 5]], body: (x) => tokenNll(x!, ids([0, 3, 1, 2, 2, 4], [2, 3])) },
  { name: "normalize", shapes: [[3, 6]], body: (x) => normalize(x!, 1e-3) },
  { name: "inverseStd", shapes: [[3, 6]], body: (x) => inverseStd(x!, 1e-3) },
  { name: "layerNorm", shapes: [[3, 6], [6], [6]], body: (x, w, b) => layerNorm(x!, w!, b!) },
  { name: "rmsNorm", shapes: [[3, 6], [6]], body: (x, w) => rmsNorm(x!, w!) },
  {
    name: "rotary",
    shapes: [
      [2, 3, 4],
      [3, 4],
      [3, 4],
    ],
    body: (x, c, s) => rotary(x!, c!, s!),
  },
  {
    name: "weightedMean",
    shapes: [
      [2, 3],
      [2, 3],
    ],
    range: [0.2, 1],
    body: (x, w) => weightedMean(x!, w!),
  },
];

/** Numbers that look random, are the same everywhere, and need no generator: a Weyl sequence. */
function numbers(count: number, [low, high]: readonly [number, number], offset: number): Float64Array {
  return Float64Array.from(
    { length: count },
    (_, i) => low + (high - low) * (((i + 1 + 7.3 * offset) * 0.6180339887498949) % 1),
  );
}

const size = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** Weighted sum of all elements, so that no gradient cancels by symmetry (softmax rows sum to one). */
function probe(y: Tensor, offset = 3): Tensor {
  return sum(mul(y, constant(numbers(size(y.shape), [0.5, 1.5], offset), y.shape, y.dtype)));
}

const engine: Engine = cpuEngine();
afterAll(() => engine.release());

const specs = (shapes: Case["shapes"], dtype: "float32" | "float64") =>
  Object.fromEntries(shapes.map((shape, index) => [`x${index}`, { shape, dtype }]));

/** Largest |analytic - numeric| / max(1, |numeric|) over all inputs, by central differences of fourth order. */
async function gradientError(
  shapes: Case["shapes"],
  range: readonly [number, number],
  body: (...x: Tensor[]) => Tensor,
): Promise<number> {
  const value = await engine.compile(
    program("value", specs(shapes, "float64"), (inputs) => ({ y: body(...Object.values(inputs)) })),
  );
  const gradient = await engine.compile(
    program("gradient", specs(shapes, "float64"), (inputs) => {
      const x = Object.values(inputs);
      return Object.fromEntries(gradients(body(...x), x).map((g, index) => [`g${index}`, g]));
    }),
  );
  const point = shapes.map((shape, index) => numbers(size(shape), range, index));
  const feeds = (x: readonly Float64Array[]) => Object.fromEntries(x.map((data, index) => [`x${index}`, data]));
  const at = async (x: readonly Float64Array[]) => Number((await value.run(feeds(x))).y![0]);
  const analytic = await gradient.run(feeds(point));
  const h = 1e-3;
  let worst = 0;
  // Long tables are sampled: every 100th entry and the ends.
  for (const [index, data] of point.entries())
    for (let i = 0; i < data.length; i += data.length > 200 ? 99 : 1) {
      const shifted = async (step: number) =>
        at(point.map((other, j) => (j === index ? other.with(i, other[i]! + step) : other)));
      const numeric =
        (8 * ((await shifted(h)) - (await shifted(-h))) - ((await shifted(2 * h)) - (await shifted(-2 * h)))) /
        (12 * h);
      worst = Math.max(worst, Math.abs(Number(analytic[`g${index}`]![i]) - numeric) / Math.max(1, Math.abs(numeric)));
    }
  return worst;
}

// Fourth-order differences with h = 1e-3 leave about h⁴ = 1e-12 of truncation and 1e-13 / h of rounding: 1e-6 has room.
describe("gradients agree with finite differences in float64", () => {
  test.each(cases)("$name", async ({ shapes, range = [-2, 2], body }) => {
    expect(await gradientError(shapes, range, (...x) => probe(body(...x)))).toBeLessThan(1e-6);
  });
});

describe("gradients of gradients agree with finite differences in float64", () => {
  test.each(cases)("$name", async ({ shapes, range = [-2, 2], body }) => {
    const second = (...x: Tensor[]) =>
      gradients(probe(body(...x.map((v) => mul(v, v)))), x)
        .map((g, index) => probe(g, index))
        .reduce((a, b) => add(a, b));
    const away: readonly [number, number] = range[0] < 0 ? [0.3, 1.4] : range;
    expect(await gradientError(shapes, away, second)).toBeLessThan(1e-6);
  });
});

describe("float32 agrees with float64", () => {
  test.each(cases)("$name", async ({ shapes, range = [-2, 2], body }) => {
    const run = async (dtype: "float32" | "float64") => {
      const compiled = await engine.compile(
        program("value", specs(shapes, dtype), (inputs) => {
          const x = Object.values(inputs);
          const y = body(...x);
          return { y, ...Object.fromEntries(gradients(probe(y), x).map((g, index) => [`g${index}`, g])) };
        }),
      );
      const Type = dtype === "float32" ? Float32Array : Float64Array;
      const out = await compiled.run(
        Object.fromEntries(shapes.map((shape, index) => [`x${index}`, Type.from(numbers(size(shape), range, index))])),
      );
      return Object.values(out).flatMap((array) => Array.from(array as Float64Array));
    };
    const [single, double] = [await run("float32"), await run("float64")];
    // A few hundred float32 roundings (6e-8 each) on numbers of size one.
    for (const [index, value] of double.entries())
      expect(Math.abs(single[index]! - value)).toBeLessThan(2e-5 * Math.max(1, Math.abs(value)));
  });
});

describe("operations without a gradient", () => {
  test("argmax gives the first of equal values, and no gradient flows through stopGradient", async () => {
    const compiled = await engine.compile(
      program("p", { x: { shape: [2, 3], dtype: "float64" } }, ({ x }) => ({
        best: argmax(x),
        count: sum(cast(greater(x, 1), "float64")),
        gradient: gradients(sum(mul(x, stopGradient(x))), [x])[0]!,
        unrelated: gradients(sum(stopGradient(x)), [x])[0]!,
      })),
    );
    const out = await compiled.run({ x: Float64Array.of(1, 5, 5, 9, 2, 3) });
    expect([...out.best]).toEqual([1, 0]);
    expect([...out.count]).toEqual([5]);
    expect([...out.gradient]).toEqual([1, 5, 5, 9, 2, 3]);
    expect([...out.unrelated]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
