import { expect, test } from "vitest";
import { alphaStar } from "../../src/analysis/index.js";
import { createStream, randomKey } from "../../src/random/index.js";

const alphas = [0, 0.25, 0.5, 0.75, 1, 1.1, 1.2, 1.3, 1.4, 1.5];
const randomOf = (seed: number) => createStream(randomKey(seed, "alpha star test"), 0).uniform;

test("samples whose thresholds are spread evenly around .6: alpha* is .6 to .01, its interval around it and as wide as it must be", () => {
  const n = 4000;
  const thresholds = Array.from({ length: n }, (_, i) => 0.6 - 0.5 + (i + 0.5) / n); // .1 to 1.1
  const refused = alphas.map((alpha) => thresholds.map((threshold) => Number(alpha > threshold)));
  const found = alphaStar(alphas, refused, { random: randomOf(0) })!;
  expect(Math.abs(found.value - 0.6)).toBeLessThan(0.01);
  expect(found.n).toBe(n);
  // A share near one half has a deviation of .5 / sqrt(n); the slope of the share in alpha is 1. Interpolating narrows it a little.
  const half = (1.96 * 0.5) / Math.sqrt(n);
  expect((found.high - found.low) / 2 / half).toBeGreaterThan(0.7);
  expect((found.high - found.low) / 2 / half).toBeLessThan(1.15);
  expect(found.low).toBeLessThan(found.value);
  expect(found.high).toBeGreaterThan(found.value);
});

test("the interval covers the truth in about 95 of 100 studies", () => {
  let covered = 0;
  for (let study = 0; study < 100; study++) {
    const random = randomOf(study + 1);
    const thresholds = Array.from({ length: 60 }, () => 0.1 + random());
    const refused = alphas.map((alpha) => thresholds.map((threshold) => Number(alpha > threshold)));
    const found = alphaStar(alphas, refused, { random, resamples: 200 });
    covered += Number(found !== undefined && found.low <= 0.6 && found.high >= 0.6);
  }
  expect(covered).toBeGreaterThanOrEqual(88);
});

test("no crossing, no alpha*; an interval that the path does not hold ends at its end", () => {
  expect(
    alphaStar(
      [0, 1],
      [
        [0, 0, 0],
        [1, 0, 0],
      ],
      { random: randomOf(0) },
    ),
  ).toBeUndefined();
  expect(
    alphaStar(
      [0, 1],
      [
        [1, 1, 0],
        [1, 1, 1],
      ],
      { random: randomOf(0) },
    ),
  ).toBeUndefined();
  const barely = alphaStar(
    [0, 1],
    [
      [0, 0, 0, 0],
      [1, 1, 0, 0],
    ],
    { random: randomOf(0) },
  )!;
  expect(barely).toMatchObject({ value: 1, high: 1 });
});
