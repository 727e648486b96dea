import { afterAll, describe, expect, test } from "vitest";
import {
  add,
  argmax,
  cast,
  type Engine,
  gradients,
  greater,
  mul,
  program,
  sizeOf,
  stopGradient,
  sum,
  type Tensor,
} from "../../src/tensor/index.js";
import { cpuEngine } from "../engines.js";
import { type Case, cases, numbers, probe, specs } from "./cases.js";

const engine: Engine = cpuEngine();
afterAll(() => engine.release());

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
  const point = shapes.map((shape, index) => numbers(sizeOf(shape), range, index));
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
        Object.fromEntries(
          shapes.map((shape, index) => [`x${index}`, Type.from(numbers(sizeOf(shape), range, index))]),
        ),
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
