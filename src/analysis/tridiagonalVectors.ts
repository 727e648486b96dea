import { fillNormal, type RandomKey } from "../random/index.js";
import { dot } from "./linearAlgebra.js";

/** Steps of inverse iteration; two are enough from a random start (Wilkinson), the third costs nothing. */
const ITERATIONS = 3;

/**
 * Unit eigenvectors of a symmetric tridiagonal matrix for some of its eigenvalues, by inverse iteration from a random start of this key, each made
 * orthogonal to those before it (LAPACK's dstein). diagonal, beside [n]; values from the largest. [values, n]
 */
export function tridiagonalVectors(
  { diagonal, beside }: { readonly diagonal: Float64Array; readonly beside: Float64Array },
  values: ArrayLike<number>,
  key: RandomKey,
): Float64Array[] {
  const n = diagonal.length;
  let size = 0;
  for (let i = 0; i < n; i++) size = Math.max(size, Math.abs(diagonal[i]!) + Math.abs(beside[i]!));
  const apart = Math.max(size, Number.MIN_VALUE) * Number.EPSILON * 4;
  const found: Float64Array[] = [];
  let above = Number.POSITIVE_INFINITY;
  for (let index = 0; index < values.length; index++) {
    // Equal eigenvalues are moved a hair apart, or the second would find the first one's vector.
    const shift = Math.min(values[index]!, above - apart);
    above = shift;
    const solve = shiftedSolver(diagonal, beside, shift, apart);
    const x = new Float64Array(n);
    fillNormal(key, index, x);
    for (let step = 0; step < ITERATIONS; step++) {
      solve(x);
      // Twice is enough (Kahan): once more removes what rounding left.
      for (let pass = 0; pass < 2; pass++) {
        normalize(x);
        for (const other of found) {
          const overlap = dot(other, x);
          for (let i = 0; i < n; i++) x[i]! -= overlap * other[i]!;
        }
      }
      normalize(x);
    }
    found.push(x);
  }
  return found;
}

function normalize(x: Float64Array): void {
  // The largest is divided out first: a vector of inverse iteration may be 1e16 long.
  let largest = 0;
  for (let i = 0; i < x.length; i++) largest = Math.max(largest, Math.abs(x[i]!));
  if (largest === 0) return;
  for (let i = 0; i < x.length; i++) x[i]! /= largest;
  const norm = Math.sqrt(dot(x, x));
  for (let i = 0; i < x.length; i++) x[i]! /= norm;
}

/** Solves (T - shift I) y = x in place, by Gauss's elimination with row exchanges; a zero pivot becomes a tiny one. */
function shiftedSolver(diagonal: Float64Array, beside: Float64Array, shift: number, tiny: number) {
  const n = diagonal.length;
  // Upper triangle with two diagonals beside, factors, and whether rows i and i + 1 changed places.
  const [u, u1, u2] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  const factor = new Float64Array(n);
  const swapped = new Uint8Array(n);
  const pivot = (value: number) => (Math.abs(value) < tiny ? (value < 0 ? -tiny : tiny) : value);
  let [a, b] = [diagonal[0]! - shift, n > 1 ? beside[0]! : 0];
  for (let i = 0; i < n - 1; i++) {
    const [c, d, e] = [beside[i]!, diagonal[i + 1]! - shift, i + 2 < n ? beside[i + 1]! : 0];
    if (Math.abs(a) >= Math.abs(c)) {
      u[i] = pivot(a);
      u1[i] = b;
      factor[i] = c / u[i]!;
      [a, b] = [d - factor[i]! * b, e];
    } else {
      swapped[i] = 1;
      [u[i], u1[i], u2[i]] = [c, d, e];
      factor[i] = a / c;
      [a, b] = [b - factor[i]! * d, -factor[i]! * e];
    }
  }
  u[n - 1] = pivot(a);
  return (x: Float64Array) => {
    for (let i = 0; i < n - 1; i++) {
      if (swapped[i] === 1) {
        const kept = x[i]!;
        x[i] = x[i + 1]!;
        x[i + 1] = kept - factor[i]! * x[i]!;
      } else x[i + 1]! -= factor[i]! * x[i]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      const rest = (i + 1 < n ? u1[i]! * x[i + 1]! : 0) + (i + 2 < n ? u2[i]! * x[i + 2]! : 0);
      x[i] = (x[i]! - rest) / u[i]!;
    }
  };
}
