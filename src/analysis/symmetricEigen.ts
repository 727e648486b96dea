import type { Frame, Matrix } from "./linearAlgebra.js";

/** A symmetric tridiagonal matrix and the rotation that leads to it. */
interface Tridiagonal {
  /** [n] */
  readonly diagonal: Float64Array;
  /** Beside the diagonal; the last is 0. [n] */
  readonly beside: Float64Array;
  /** Rows are its basis. [n, n] */
  readonly basis: Float64Array;
}

/**
 * Eigenvalues of a symmetric matrix from the largest, and their unit vectors: Householder's reduction and the QL algorithm (EISPACK's tred2 and tql2; Bowdler,
 * Martin, Reinsch and Wilkinson 1968). Vectors lie in rows, so that every inner loop runs along memory. Right to about 1e-15 of the largest
 * value. [n] and [n, n]
 */
export function symmetricEigen({ rows, data }: Matrix): { readonly values: Float64Array; readonly vectors: Frame } {
  const { diagonal, beside, basis } = tridiagonal(data, rows, true);
  diagonalize(diagonal, beside, basis);
  const order = Array.from(diagonal.keys()).sort((a, b) => diagonal[b]! - diagonal[a]!);
  const vectors = new Float64Array(rows * rows);
  for (const [to, from] of order.entries()) vectors.set(basis.subarray(from * rows, (from + 1) * rows), to * rows);
  return {
    values: Float64Array.from(order, (i) => diagonal[i]!),
    vectors: { count: rows, length: rows, data: vectors },
  };
}

/** The eigenvalues alone, from the largest, for a third of the time. [n] */
export function symmetricEigenvalues({ rows, data }: Matrix): Float64Array {
  const { diagonal, beside } = tridiagonal(data, rows, false);
  diagonalize(diagonal, beside);
  return diagonal.sort().reverse();
}

/** Householder's reduction. v[j * n + k]: element k of column j, which becomes row j of the basis. */
function tridiagonal(data: ArrayLike<number>, n: number, withBasis: boolean): Tridiagonal {
  const v = Float64Array.from(data);
  const d = new Float64Array(n);
  const e = new Float64Array(n);
  for (let j = 0; j < n; j++) d[j] = v[j * n + n - 1]!;
  for (let i = n - 1; i > 0; i--) {
    let scale = 0;
    for (let k = 0; k < i; k++) scale += Math.abs(d[k]!);
    let h = 0;
    if (scale === 0) {
      e[i] = d[i - 1]!;
      for (let j = 0; j < i; j++) {
        d[j] = v[j * n + i - 1]!;
        v[j * n + i] = 0;
        v[i * n + j] = 0;
      }
    } else {
      for (let k = 0; k < i; k++) h += (d[k]! /= scale) ** 2;
      const f = d[i - 1]!;
      const g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * g;
      h -= f * g;
      d[i - 1] = f - g;
      reflect(v, d, e, i, n, h);
    }
    d[i] = h;
  }
  if (!withBasis) return { diagonal: d.map((_, j) => v[j * n + j]!), beside: shifted(e), basis: v };
  accumulate(v, d, n);
  for (let j = 0; j < n; j++) {
    d[j] = v[j * n + n - 1]!;
    v[j * n + n - 1] = 0;
  }
  if (n > 0) v[n * n - 1] = 1;
  return { diagonal: d, beside: shifted(e), basis: v };
}

const shifted = (e: Float64Array) => e.map((_, i) => e[i + 1] ?? 0);

/** Applies one reflection, along d, to what is left of the matrix from both sides. */
function reflect(v: Float64Array, d: Float64Array, e: Float64Array, i: number, n: number, h: number): void {
  e.fill(0, 0, i);
  for (let j = 0; j < i; j++) {
    const f = d[j]!;
    const column = j * n;
    v[i * n + j] = f;
    let g = e[j]! + v[column + j]! * f;
    for (let k = j + 1; k < i; k++) {
      const value = v[column + k]!;
      g += value * d[k]!;
      e[k]! += value * f;
    }
    e[j] = g;
  }
  let along = 0;
  for (let j = 0; j < i; j++) along += (e[j]! /= h) * d[j]!;
  const half = along / (h + h);
  for (let j = 0; j < i; j++) e[j]! -= half * d[j]!;
  for (let j = 0; j < i; j++) {
    const [f, g, column] = [d[j]!, e[j]!, j * n];
    for (let k = j; k < i; k++) v[column + k]! -= f * e[k]! + g * d[k]!;
    d[j] = v[column + i - 1]!;
    v[column + i] = 0;
  }
}

/** Multiplies the reflections, which lie in v, into the basis. */
function accumulate(v: Float64Array, d: Float64Array, n: number): void {
  for (let i = 0; i < n - 1; i++) {
    v[i * n + n - 1] = v[i * n + i]!;
    v[i * n + i] = 1;
    const h = d[i + 1]!;
    const next = (i + 1) * n;
    if (h !== 0) {
      for (let k = 0; k <= i; k++) d[k] = v[next + k]! / h;
      for (let j = 0; j <= i; j++) {
        const column = j * n;
        let g = 0;
        for (let k = 0; k <= i; k++) g += v[next + k]! * v[column + k]!;
        for (let k = 0; k <= i; k++) v[column + k]! -= g * d[k]!;
      }
    }
    v.fill(0, next, next + i + 1);
  }
}

/**
 * The implicit QL algorithm: `d` becomes the eigenvalues, in no order, `e` (beside the diagonal) zero, and the rows of `basis`, if there is one, their vectors.
 * Or their coefficients: of a basis [n, count] whose columns are vectors x, row i becomes the products of eigenvector i with each x.
 */
export function diagonalize(d: Float64Array, e: Float64Array, basis?: Float64Array): void {
  const n = d.length;
  const wide = basis === undefined ? 0 : basis.length / n;
  let [shift, largest] = [0, 0];
  for (let l = 0; l < n; l++) {
    largest = Math.max(largest, Math.abs(d[l]!) + Math.abs(e[l]!));
    const floor = Number.EPSILON * largest;
    let m = l;
    while (Math.abs(e[m]!) > floor) m++; // ends at n - 1, where e is 0
    if (m > l)
      do {
        const first = d[l]!;
        const p0 = (d[l + 1]! - first) / (2 * e[l]!);
        const r0 = p0 + (p0 < 0 ? -Math.sqrt(p0 * p0 + 1) : Math.sqrt(p0 * p0 + 1));
        d[l] = e[l]! / r0;
        d[l + 1] = e[l]! * r0;
        const second = d[l + 1]!;
        const h = first - d[l]!;
        for (let i = l + 2; i < n; i++) d[i]! -= h;
        shift += h;
        const before = e[l + 1]!;
        let [p, c, c2, c3, s, s2] = [d[m]!, 1, 1, 1, 0, 0];
        for (let i = m - 1; i >= l; i--) {
          [c3, c2, s2] = [c2, c, s];
          const g = c * e[i]!;
          const along = c * p;
          const r = Math.sqrt(p * p + e[i]! * e[i]!);
          e[i + 1] = s * r;
          s = e[i]! / r;
          c = p / r;
          p = c * d[i]! - s * g;
          d[i + 1] = along + s * (c * g + s * d[i]!);
          if (basis !== undefined) rotate(basis, i * wide, wide, c, s);
        }
        p = (-s * s2 * c3 * before * e[l]!) / second;
        e[l] = s * p;
        d[l] = c * p;
      } while (Math.abs(e[l]!) > floor);
    d[l]! += shift;
    e[l] = 0;
  }
}

/** Turns two neighbouring rows, the first at `row`. */
function rotate(basis: Float64Array, row: number, n: number, c: number, s: number): void {
  for (let k = row; k < row + n; k++) {
    const [a, b] = [basis[k]!, basis[k + n]!];
    basis[k + n] = s * a + c * b;
    basis[k] = c * a - s * b;
  }
}
