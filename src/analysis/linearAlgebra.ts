import { Matrix as MlMatrix, SingularValueDecomposition } from "ml-matrix";
import { fillNormal, type RandomKey } from "../random/index.js";

/** A matrix in float64 or float32. [rows, columns] row-major */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array | Float32Array;
}

/** Unit vectors of one space, one a row, each orthogonal to the others. [count, length] row-major */
export interface Frame {
  readonly count: number;
  readonly length: number;
  readonly data: Float64Array;
}

/** M = sum over i of sigma_i u_i v_i', singular values from the largest. */
export interface Svd {
  /** u_i, in the space of the output. [min(rows, columns), rows] */
  readonly left: Frame;
  /** sigma_i >= 0. [min(rows, columns)] */
  readonly singularValues: Float64Array;
  /** v_i, in the space of the input. [min(rows, columns), columns] */
  readonly right: Frame;
}

/**
 * Thin singular value decomposition in float64 (Golub and Kahan's, by ml-matrix). Singular values are right to about 1e-14 of the largest, small ones too,
 * which the eigenvalues of M'M are not. @throws RangeError when a number is not finite.
 */
export function svd({ rows, columns, data }: Matrix): Svd {
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new RangeError(`element ${bad} of a matrix is ${data[bad]}: no singular values`);
  const matrix = MlMatrix.zeros(rows, columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) matrix.set(row, column, data[row * columns + column]!);
  const { leftSingularVectors, rightSingularVectors, diagonal } = new SingularValueDecomposition(matrix, {
    autoTranspose: true,
  });
  const count = Math.min(rows, columns);
  return {
    left: frameOfColumns(leftSingularVectors, count),
    singularValues: Float64Array.from(diagonal).subarray(0, count),
    right: frameOfColumns(rightSingularVectors, count),
  };
}

function frameOfColumns(matrix: MlMatrix, count: number): Frame {
  const length = matrix.rows;
  const data = new Float64Array(count * length);
  for (let i = 0; i < count; i++) for (let j = 0; j < length; j++) data[i * length + j] = matrix.get(j, i);
  return { count, length, data };
}

/** The first vectors of a frame. */
export function firstOf({ count, length, data }: Frame, most: number): Frame {
  const kept = Math.min(count, most);
  return { count: kept, length, data: data.subarray(0, kept * length) };
}

/** Vector i of a frame, a view. [length] */
export function vectorOf({ length, data }: Frame, i: number): Float64Array {
  return data.subarray(i * length, (i + 1) * length);
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
}

export function squaredNorm(a: ArrayLike<number>): number {
  return dot(a, a);
}

/** |(I - P) x|², P the projector on the frame's span: what is left is summed, not subtracted from 1, so that a tiny angle keeps its digits. */
export function squaredOutside(frame: Frame, x: ArrayLike<number>): number {
  const left = Float64Array.from(x);
  for (let i = 0; i < frame.count; i++) {
    const direction = vectorOf(frame, i);
    const along = dot(direction, x);
    for (let j = 0; j < left.length; j++) left[j]! -= along * direction[j]!;
  }
  return squaredNorm(left);
}

/**
 * A B' of rows A [m, width] and B [n, width], in float64: every dot product of a row of A with a row of B, summed in the order of the
 * width. Two rows of each at a time, whose four sums do not wait for each other and share what they read. [m, n]
 */
export function rowProducts(a: Float64Array, b: Float64Array, width: number): Float64Array {
  const [m, n] = [a.length / width, b.length / width];
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i += 2) for (let j = 0; j < n; j += 2) fourProducts(a, b, width, i, j, out);
  return out;
}

/** Products of rows i, i + 1 of A with rows j, j + 1 of B; past the last row the last one again. */
function fourProducts(a: Float64Array, b: Float64Array, width: number, i: number, j: number, out: Float64Array): void {
  const n = b.length / width;
  const [below, right] = [Math.min(i + 1, a.length / width - 1), Math.min(j + 1, n - 1)];
  const a0 = i * width;
  const a1 = below * width;
  const b0 = j * width;
  const b1 = right * width;
  let s00 = 0;
  let s01 = 0;
  let s10 = 0;
  let s11 = 0;
  // No list is made in here: before the compiler sees through it, each would be an object.
  for (let k = 0; k < width; k++) {
    const x = a[a0 + k]!;
    const y = a[a1 + k]!;
    const u = b[b0 + k]!;
    const v = b[b1 + k]!;
    s00 += x * u;
    s01 += x * v;
    s10 += y * u;
    s11 += y * v;
  }
  out[i * n + j] = s00;
  out[i * n + right] = s01;
  out[below * n + j] = s10;
  out[below * n + right] = s11;
}

/** X'X of rows X [count, width], in float64: A A' of stacked activations A. [width, width] */
export function gramOf({
  data,
  width,
}: {
  readonly data: Float32Array | Float64Array;
  readonly width: number;
}): Float64Array {
  const count = data.length / width;
  const columns = new Float64Array(data.length);
  for (let row = 0; row < count; row++)
    for (let i = 0; i < width; i++) columns[i * count + row] = data[row * width + i]!;
  const gram = new Float64Array(width * width);
  for (let i = 0; i < width; i += 2) for (let j = 0; j <= i; j += 2) fourProducts(columns, columns, count, i, j, gram);
  for (let i = 0; i < width; i++) for (let j = 0; j < i; j++) gram[j * width + i] = gram[i * width + j]!;
  return gram;
}

/** Singular values above rounding: sigma > max(rows, columns) epsilon sigma_1 (the rule of NumPy's matrix_rank); 0 of a zero matrix. */
export function numericalRank({ left, right, singularValues }: Svd): number {
  const floor = Math.max(left.length, right.length) * Number.EPSILON * (singularValues[0] ?? 0);
  return singularValues.reduce((count, sigma) => count + Number(sigma > floor), 0);
}

/**
 * A uniformly random orthonormal frame (Haar's measure): Gram and Schmidt's process on standard normal vectors, which lie so far apart that one pass
 * leaves them orthogonal to 1e-12. count <= length.
 */
export function randomFrame(key: RandomKey, step: number, count: number, length: number): Frame {
  const data = new Float64Array(count * length);
  fillNormal(key, step, data);
  const frame = { count, length, data };
  for (let i = 0; i < count; i++) {
    const own = vectorOf(frame, i);
    for (let j = 0; j < i; j++) {
      const other = vectorOf(frame, j);
      const overlap = dot(own, other);
      for (let k = 0; k < length; k++) own[k]! -= overlap * other[k]!;
    }
    const norm = Math.sqrt(squaredNorm(own));
    for (let k = 0; k < length; k++) own[k]! /= norm;
  }
  return frame;
}

/**
 * Effective rank: exp of the entropy of the singular values' shares, exp(-sum p_i ln p_i), p_i = sigma_i / sum sigma. 1 for one direction, k for k
 * equal ones, 0 of a zero matrix. Roy and Vetterli 2007.
 */
export function effectiveRank(singularValues: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < singularValues.length; i++) total += singularValues[i]!;
  if (total === 0) return 0;
  let entropy = 0;
  for (let i = 0; i < singularValues.length; i++) {
    const share = singularValues[i]! / total;
    if (share > 0) entropy -= share * Math.log(share);
  }
  return Math.exp(entropy);
}
