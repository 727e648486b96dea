import { describe, expect, test } from "vitest";
import {
  columnSpaceOf,
  energyRank,
  matchedNull,
  matchedSpectrumNull,
  randomDirectionNull,
  randomFrames,
  randomSinTheta,
  sinThetaAll,
  sinThetas,
  summarizeNull,
} from "../../src/analysis/columnSpace.js";
import { firstOf, type Matrix, squaredOutside, svd, vectorOf } from "../../src/analysis/linearAlgebra.js";
import { randomKey } from "../../src/random/index.js";
import { mean, standardDeviation } from "../../src/stats/moments.js";
import { atAngles, degreesOf, frame, fromSvd } from "./planted.js";

describe("r(W)", () => {
  test.each([
    // Ten equal values: nine hold 90%, so 99% needs the tenth.
    [new Array(10).fill(3), 10],
    // The first holds 99.1% of the squares, then 98.9%.
    [[Math.sqrt(99.1), Math.sqrt(0.9)], 1],
    [[Math.sqrt(98.9), Math.sqrt(1.1)], 2],
    [[1, 0.2, 0.01], 2],
    [[4], 1],
    [[0, 0], 0],
  ])("of %j is %i", (values, rank) => expect(energyRank(values)).toBe(rank));

  test("of a planted matrix is exact, tall and wide", () => {
    for (const [m, n] of [
      [40, 12],
      [12, 40],
    ] as const)
      for (const rank of [1, 5, 12]) {
        const values = Array.from({ length: 12 }, (_, i) => (i < rank ? 1 : 1e-3));
        const { singularValues } = svd(fromSvd(frame("u", 12, m), values, frame("v", 12, n)));
        expect(energyRank(singularValues)).toBe(rank);
      }
  });
});

/** W of rank 10 in 48 dimensions, and dW whose directions lie at known angles to its column space. */
const degrees = [0, 15, 30, 45, 60, 89.5, 90];
const all = frame("space", 30, 48);
const weights = fromSvd(firstOf(all, 10), new Array(10).fill(2), frame("input", 10, 16));
const strengths = [7, 6, 5, 4, 3, 2, 1];
const delta = fromSvd(atAngles(all, 10, degrees), strengths, frame("delta input", degrees.length, 16));

describe("sin theta", () => {
  const space = columnSpaceOf(svd(weights));

  test("recovers planted angles to 0.1 degree", () => {
    expect(space.count).toBe(10);
    const sines = sinThetas(space, svd(delta));
    // Exactly as many as dW has directions: the other singular vectors are only rounding.
    expect(sines).toHaveLength(degrees.length);
    for (const [i, sine] of sines.entries()) expect(Math.abs(degreesOf(sine) - degrees[i]!)).toBeLessThan(0.1);
    expect(sinThetas(space, svd(delta), 3)).toHaveLength(3);
  });

  test("of all directions weighs them by their energy", () => {
    const energy = strengths.reduce((sum, s) => sum + s * s, 0);
    const outside = strengths.reduce((sum, s, i) => sum + (s * Math.sin((degrees[i]! * Math.PI) / 180)) ** 2, 0);
    expect(sinThetaAll(space, delta)).toBeCloseTo(Math.sqrt(outside / energy), 12);
  });

  test("does not depend on the size of dW", () => {
    const smaller = { ...delta, data: delta.data.map((x) => x * 1e-7) };
    expect(sinThetaAll(space, smaller)).toBeCloseTo(sinThetaAll(space, delta)!, 12);
    expect(sinThetas(space, svd(smaller))[2]).toBeCloseTo(0.5, 10);
  });

  test("of a zero dW there is none", () => {
    const zero: Matrix = { rows: 48, columns: 16, data: new Float64Array(48 * 16) };
    expect(sinThetas(space, svd(zero))).toHaveLength(0);
    expect(sinThetaAll(space, zero)).toBeUndefined();
  });

  test("against the null space of a zero W is 1", () => {
    const empty = columnSpaceOf(svd({ rows: 48, columns: 16, data: new Float64Array(48 * 16) }));
    expect(sinThetas(empty, svd(delta))[0]).toBeCloseTo(1, 12);
  });
});

describe("nulls", () => {
  const [rank, size, draws] = [14, 64, 2000];

  test("a random direction's sine has the mean square 1 - r/m, within 3 standard errors", () => {
    const sines = randomDirectionNull(randomKey(3, "null"), { rank, size, draws });
    const squares = sines.map((sine) => sine * sine);
    // sin² has the beta distribution of (m - r)/2 and r/2.
    const [a, b] = [(size - rank) / 2, rank / 2];
    const error = Math.sqrt((a * b) / ((a + b) ** 2 * (a + b + 1)) / draws);
    expect(Math.abs(mean(squares) - randomSinTheta(rank, size) ** 2)).toBeLessThan(3 * error);
    expect(standardDeviation(squares) / (error * Math.sqrt(draws))).toBeCloseTo(1, 1);
  });

  test("the paper's shape, 768 x 192 of full rank, has chance 0.87", () => {
    expect(randomSinTheta(192, 768)).toBeCloseTo(0.866, 3);
    const { value, low, high, n } = summarizeNull(
      randomDirectionNull(randomKey(4, "paper"), { rank: 192, size: 768, draws: 400 }),
    );
    expect(n).toBe(400);
    expect(value).toBeCloseTo(0.866, 2);
    expect(low).toBeLessThan(value - 0.01);
    expect(high).toBeGreaterThan(value + 0.01);
  });

  test("a matched random dW has the same chance level in each direction, and a narrower one over many equal ones", () => {
    const frames = randomFrames(randomKey(5, "matched"), 400, 20, size);
    const flat = matchedNull(frames, { rank, singularValues: new Float64Array(20).fill(2), directions: 3 });
    expect(flat.sines).toHaveLength(3);
    for (const sines of [...flat.sines, flat.all]) {
      const squares = sines.map((sine) => sine * sine);
      const error = standardDeviation(squares) / Math.sqrt(squares.length);
      expect(Math.abs(mean(squares) - (1 - rank / size))).toBeLessThan(3 * error);
    }
    expect(standardDeviation(flat.all)).toBeLessThan(0.4 * standardDeviation(flat.sines[0]!));
    // With one direction that holds all the energy, the whole is that direction.
    const values = new Float64Array(20);
    values[0] = 5;
    const sharp = matchedNull(frames, { rank, singularValues: values, directions: 1 });
    expect([...sharp.all]).toEqual([...sharp.sines[0]!].map((sine) => expect.closeTo(sine, 12)));
  });

  test("turning the space into the first axes changes nothing: a random dW against a W of its own agrees", () => {
    const w = columnSpaceOf(svd(fromSvd(frame("own", rank, size), new Array(rank).fill(1), frame("in", rank, 20))));
    const frames = randomFrames(randomKey(6, "explicit"), 400, 1, size);
    const explicit = Float64Array.from(frames.frames, (one) => squaredOutside(w, vectorOf(one, 0)));
    const error = standardDeviation(explicit) / Math.sqrt(explicit.length);
    expect(Math.abs(mean(explicit) - (1 - rank / size))).toBeLessThan(3 * error);
  });
});

test("the second null in closed form agrees with its draws", () => {
  const [size, count, rank] = [60, 12, 20];
  const frames = randomFrames(randomKey(1, "closed form"), 3000, count, size);
  for (const singularValues of [new Float64Array(12).fill(1), Float64Array.from({ length: 12 }, (_, i) => 0.5 ** i)]) {
    const draws = matchedNull(frames, { rank, singularValues, directions: 0 }).all;
    const drawn = summarizeNull(draws);
    const { value, low, high } = matchedSpectrumNull({ rank, size, singularValues });
    // Three standard errors of the mean; the ends of an interval are less certain, and the closed form takes a normal distribution for it.
    expect(Math.abs(value - drawn.value)).toBeLessThan((3 * standardDeviation(draws)) / Math.sqrt(3000));
    expect(Math.abs(low - drawn.low)).toBeLessThan(0.1 * (drawn.high - drawn.low));
    expect(Math.abs(high - drawn.high)).toBeLessThan(0.1 * (drawn.high - drawn.low));
  }
});
