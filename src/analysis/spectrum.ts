import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { fillNormal, randomKey } from "../random/index.js";
import { columnMeans } from "../stats/fisher.js";
import type { Vectors } from "./clusters.js";
import { gramOf } from "./linearAlgebra.js";
import { symmetricEigenvalues } from "./symmetricEigen.js";

/**
 * Eigenvalues of the covariance of activation vectors, largest first; of the smaller of X X' and X' X, whose nonzero ones agree. vectors [n, width];
 * returns min(n, width) numbers >= 0.
 */
export function covarianceSpectrum({ data, width }: Vectors): Float64Array {
  const count = data.length / width;
  const rows = centred({ data, width });
  const size = Math.min(count, width);
  const gram = count < width ? gramOf({ data: transposed(rows, width), width: count }) : gramOf({ data: rows, width });
  const values = symmetricEigenvalues({ rows: size, columns: size, data: gram });
  // Rounding can leave a zero eigenvalue a hair below zero.
  return values.map((value) => Math.max(value, 0) / Math.max(count - 1, 1));
}

/** Each vector less the mean of all. A plain loop: `from` with a function takes twenty times as long. [n, width] */
function centred({ data, width }: Vectors): Float64Array {
  const centre = columnMeans(data, width);
  const rows = new Float64Array(data.length);
  for (let from = 0; from < rows.length; from += width)
    for (let i = 0; i < width; i++) rows[from + i] = data[from + i]! - centre[i]!;
  return rows;
}

/** rows [count, width] -> [width, count] */
function transposed(rows: Float64Array, width: number): Float64Array {
  const count = rows.length / width;
  const out = new Float64Array(rows.length);
  for (let row = 0; row < count; row++) for (let i = 0; i < width; i++) out[i * count + row] = rows[row * width + i]!;
  return out;
}

/** Share of the first singular value of the covariance in its nuclear norm, 0..1. Method §3.1. */
export function firstShare(spectrum: Float64Array): number {
  const total = spectrum.reduce((sum, value) => sum + value, 0);
  return total === 0 ? 0 : spectrum[0]! / total;
}

/**
 * `firstShare` of the covariance of activation vectors without its whole spectrum: the largest eigenvalue by Lanczos's method (1950, with full
 * reorthogonalisation) over the trace, to 1e-10. vectors [n, width]; 0 when nothing varies.
 */
export function firstCovarianceShare({ data, width }: Vectors): number {
  const rows = centred({ data, width });
  const trace = rows.reduce((sum, value) => sum + value * value, 0);
  return trace === 0 ? 0 : Math.min(1, largestEigenvalue(rows, width) / trace);
}

const CLOSE_ENOUGH = 1e-10;

/** The largest eigenvalue of X'X, X [n, width] row-major and not all zero. */
function largestEigenvalue(rows: Float64Array, width: number): number {
  const basis: Float64Array[] = [];
  const [diagonal, offDiagonal]: [number[], number[]] = [[], []];
  const start = new Float64Array(width);
  fillNormal(randomKey(0, "lanczos"), 0, start);
  let next = start.map((value) => value / Math.sqrt(dot(start, start)));
  for (;;) {
    basis.push(next);
    const image = gramTimes(rows, next);
    diagonal.push(dot(next, image));
    // Twice is enough (Kahan): once more removes what rounding left.
    for (const _ of [1, 2])
      for (const old of basis) {
        const overlap = dot(old, image);
        for (let i = 0; i < width; i++) image[i]! -= overlap * old[i]!;
      }
    const beta = Math.sqrt(dot(image, image));
    const k = diagonal.length;
    const tridiagonal = Matrix.zeros(k, k);
    for (let i = 0; i < k; i++) {
      tridiagonal.set(i, i, diagonal[i]!);
      if (i > 0) {
        tridiagonal.set(i, i - 1, offDiagonal[i - 1]!);
        tridiagonal.set(i - 1, i, offDiagonal[i - 1]!);
      }
    }
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(tridiagonal, { assumeSymmetric: true });
    const value = Math.max(...realEigenvalues);
    // The residual of the Ritz pair: beta times its vector's last component. The error of the value is at most that, and usually its square.
    const residual = beta * Math.abs(eigenvectorMatrix.get(k - 1, realEigenvalues.indexOf(value)));
    if (k === width || residual <= CLOSE_ENOUGH * value) return value;
    offDiagonal.push(beta);
    next = image.map((one) => one / beta);
  }
}

/** X'X v. [width] */
function gramTimes(rows: Float64Array, v: Float64Array): Float64Array {
  const width = v.length;
  const out = new Float64Array(width);
  for (let from = 0; from < rows.length; from += width) {
    let along = 0;
    for (let i = 0; i < width; i++) along += rows[from + i]! * v[i]!;
    for (let i = 0; i < width; i++) out[i]! += along * rows[from + i]!;
  }
  return out;
}

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
}

/** What `firstShare` is for n vectors without any structure, white noise in `width` dimensions: (1 + sqrt(width/n))² / width. Marchenko & Pastur 1967. */
export function firstShareOfNoise(count: number, width: number): number {
  return Math.min(1, (1 + Math.sqrt(width / count)) ** 2 / width);
}
