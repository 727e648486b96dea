import { expect, test } from "vitest";
import {
  covarianceSpectrum,
  firstCovarianceShare,
  firstShare,
  firstShareOfNoise,
} from "../../src/analysis/spectrum.js";
import { fillNormal, randomKey } from "../../src/random/index.js";

function noise(count: number, width: number, scale: (column: number) => number) {
  const data = new Float32Array(count * width);
  fillNormal(randomKey(3, `spectrum ${count} ${width}`), 0, data);
  return { data: data.map((x, i) => x * scale(i % width)), width };
}

test("the spectrum of a planted covariance is found, whichever side is smaller", () => {
  // Standard deviation 3 in one column, 1 in three: eigenvalues 9, 1, 1, 1; a sample variance of 20,000 is known to 1%.
  const spectrum = covarianceSpectrum(noise(20_000, 4, (column) => (column === 2 ? 3 : 1)));
  expect(spectrum[0]! / 9).toBeCloseTo(1, 1);
  expect(firstShare(spectrum)).toBeCloseTo(9 / 12, 1);
  const wide = noise(10, 50, () => 1);
  expect(covarianceSpectrum(wide)).toHaveLength(10);
});

test("the covariance divides by n - 1", () => {
  // Two numbers, 1 and -1: variance 2.
  expect([...covarianceSpectrum({ data: Float32Array.of(1, -1), width: 1 })]).toEqual([2]);
});

test("nonzero eigenvalues of X X' and X' X agree", () => {
  const tall = noise(6, 5, () => 1);
  // The same numbers in a matrix that is padded with zero columns: wider than tall, equal covariance.
  const data = new Float32Array(6 * 9);
  for (let row = 0; row < 6; row++) data.set(tall.data.subarray(row * 5, row * 5 + 5), row * 9);
  const [a, b] = [covarianceSpectrum(tall), covarianceSpectrum({ data, width: 9 })];
  for (let i = 0; i < 5; i++) expect(b[i]).toBeCloseTo(a[i]!, 6);
});

test("the share of white noise is what Marchenko and Pastur say", () => {
  expect(firstShare(covarianceSpectrum(noise(400, 100, () => 1))) / firstShareOfNoise(400, 100)).toBeCloseTo(1, 1);
});

test("constant vectors have no share", () => {
  expect(firstShare(covarianceSpectrum({ data: new Float32Array(12).fill(2), width: 3 }))).toBe(0);
});

test.each([
  ["a planted direction", noise(200, 30, (column) => (column === 3 ? 4 : 1))],
  ["white noise, whose largest eigenvalues lie close", noise(150, 40, () => 1)],
  ["fewer vectors than dimensions", noise(7, 25, () => 1)],
  ["one direction alone", noise(50, 9, (column) => Number(column === 2))],
  ["a single dimension", noise(20, 1, () => 1)],
])("without its whole spectrum the share is the same: %s", (_, vectors) => {
  // Eigenvalues of a symmetric matrix are right to about 1e-14 of the largest; Lanczos stops at 1e-10.
  expect(firstCovarianceShare(vectors)).toBeCloseTo(firstShare(covarianceSpectrum(vectors)), 9);
});

test("constant vectors have no share without a spectrum either", () => {
  expect(firstCovarianceShare({ data: new Float32Array(12).fill(2), width: 3 })).toBe(0);
});
