import { dot, type Frame, vectorOf } from "./linearAlgebra.js";

/**
 * Mean squared cosine of the principal angles between two spaces of k dimensions: |U_a U_b'|_F² / k, 1 for one space, 0 for orthogonal ones. Frames of
 * k vectors each. Random subspaces of m dimensions: k / m. Björck and Golub 1973.
 */
export function meanSquaredCosine(a: Frame, b: Frame): number {
  let total = 0;
  for (let i = 0; i < a.count; i++) for (let j = 0; j < b.count; j++) total += dot(vectorOf(a, i), vectorOf(b, j)) ** 2;
  return total / Math.min(a.count, b.count);
}
