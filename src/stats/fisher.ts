import type { Vector } from "./moments.js";

/**
 * Fisher's criterion of two classes along the difference of their means: project on w = μₓ − μᵧ, then
 * J = (mean(wᵀx) − mean(wᵀy))² / (var(wᵀx) + var(wᵀy)). Scale-free; 0 when the means agree. x [n, width], y [m, width] row-major,
 * variances with n − 1. NaN when a class has fewer than two rows. Fisher 1936, with w fixed instead of optimised (no inverse of a covariance).
 */
export function fisherAlongMeans(x: Vector, y: Vector, width: number): number {
  const meanX = columnMeans(x, width);
  const meanY = columnMeans(y, width);
  const direction = meanX.map((value, i) => value - meanY[i]!);
  let squared = 0;
  for (const component of direction) squared += component ** 2;
  if (squared === 0) return 0;
  const spread = projectedVariance(x, meanX, direction) + projectedVariance(y, meanY, direction);
  return squared ** 2 / spread;
}

/**
 * Fisher's criterion in trace form, tr S_B / tr S_W for two classes of equal weight: |μₓ − μᵧ|² / (tr Σₓ + tr Σᵧ). All directions count, so
 * noise across the means lowers it where `fisherAlongMeans` does not see it. x [n, width], y [m, width] row-major. NaN when a class has fewer than two rows.
 */
export function fisherTrace(x: Vector, y: Vector, width: number): number {
  const meanX = columnMeans(x, width);
  const meanY = columnMeans(y, width);
  let squared = 0;
  for (let i = 0; i < width; i++) squared += (meanX[i]! - meanY[i]!) ** 2;
  const spread = totalVariance(x, meanX) + totalVariance(y, meanY);
  return squared === 0 && spread >= 0 ? 0 : squared / spread;
}

/** Mean of each column. rows [n, width] row-major -> [width]. Throws RangeError when the length is no multiple of the width. */
export function columnMeans(rows: Vector, width: number): Float64Array {
  if (!(width > 0) || rows.length % width !== 0)
    throw new RangeError(`${rows.length} numbers do not fill rows of width ${width}.`);
  const means = new Float64Array(width);
  for (let at = 0; at < rows.length; at++) means[at % width]! += rows[at]!;
  const count = rows.length / width;
  return means.map((total) => total / count);
}

/** var(wᵀx) over the rows, with n − 1. */
function projectedVariance(rows: Vector, means: Float64Array, direction: Float64Array): number {
  const width = means.length;
  const count = rows.length / width;
  let squares = 0;
  for (let row = 0; row < count; row++) {
    let projection = 0;
    for (let i = 0; i < width; i++) projection += (rows[row * width + i]! - means[i]!) * direction[i]!;
    squares += projection ** 2;
  }
  return count < 2 ? Number.NaN : squares / (count - 1);
}

/** tr Σ over the rows, with n − 1. */
function totalVariance(rows: Vector, means: Float64Array): number {
  const width = means.length;
  const count = rows.length / width;
  let squares = 0;
  for (let at = 0; at < rows.length; at++) squares += (rows[at]! - means[at % width]!) ** 2;
  return count < 2 ? Number.NaN : squares / (count - 1);
}
