import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { columnMeans } from "../stats/fisher.js";
import type { Vectors } from "./clusters.js";

/**
 * Eigenvalues of the covariance of activation vectors, largest first; of the smaller of X X' and X' X, whose nonzero ones agree. vectors [n, width];
 * returns min(n, width) numbers >= 0.
 */
export function covarianceSpectrum({ data, width }: Vectors): Float64Array {
  const count = data.length / width;
  const centre = columnMeans(data, width);
  const rows = new Matrix(count, width);
  for (let row = 0; row < count; row++)
    for (let i = 0; i < width; i++) rows.set(row, i, data[row * width + i]! - centre[i]!);
  const transposed = rows.transpose();
  const gram = count < width ? rows.mmul(transposed) : transposed.mmul(rows);
  const { realEigenvalues } = new EigenvalueDecomposition(gram.div(Math.max(count - 1, 1)), { assumeSymmetric: true });
  // Rounding can leave a zero eigenvalue a hair below zero.
  return Float64Array.from(realEigenvalues, (value) => Math.max(value, 0))
    .sort()
    .reverse();
}

/** Share of the first singular value of the covariance in its nuclear norm, 0..1. Method §3.1. */
export function firstShare(spectrum: Float64Array): number {
  const total = spectrum.reduce((sum, value) => sum + value, 0);
  return total === 0 ? 0 : spectrum[0]! / total;
}

/** What `firstShare` is for n vectors without any structure, white noise in `width` dimensions: (1 + sqrt(width/n))² / width. Marchenko & Pastur 1967. */
export function firstShareOfNoise(count: number, width: number): number {
  return Math.min(1, (1 + Math.sqrt(width / count)) ** 2 / width);
}
