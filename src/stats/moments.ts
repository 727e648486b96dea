/** Any vector of numbers: a plain array or a typed one. */
export type Vector = ArrayLike<number>;

/** x̄ = Σ xᵢ / n, summed with Neumaier's compensation so that order hardly matters. values [n]; NaN when empty. */
export function mean(values: Vector): number {
  return sum(values) / values.length;
}

/** Σ xᵢ with Neumaier's compensation: the rounding error stays at one unit in the last place. values [n]. */
export function sum(values: Vector): number {
  let total = 0;
  let lost = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + lost;
}

/** s² = Σ (xᵢ − x̄)² / (n − 1), the unbiased sample variance. values [n]; NaN when n < 2. */
export function variance(values: Vector): number {
  const centre = mean(values);
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - centre) ** 2;
  return values.length < 2 ? Number.NaN : squares / (values.length - 1);
}

/** s = √s², in the unit of the values. values [n]; NaN when n < 2. */
export function standardDeviation(values: Vector): number {
  return Math.sqrt(variance(values));
}

/**
 * The value below which a share p of the values lies: linear between order statistics, h = (n − 1) p (type 7 of
 * Hyndman & Fan 1996, the default of NumPy and R). values [n], any order; NaN when empty. Throws RangeError when p is outside 0..1.
 */
export function quantile(values: Vector, p: number): number {
  return sortedQuantile(Float64Array.from(values).sort(), p);
}

/** `quantile` of values that are sorted already, without copying them. sorted [n], ascending. */
export function sortedQuantile(sorted: Vector, p: number): number {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`A quantile needs a share between 0 and 1, not ${p}.`);
  if (sorted.length === 0) return Number.NaN;
  const position = (sorted.length - 1) * p;
  const below = Math.floor(position);
  const lower = sorted[below]!;
  const upper = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return lower + (position - below) * (upper - lower);
}

/** The 0.5 quantile. values [n], any order; NaN when empty. */
export function median(values: Vector): number {
  return quantile(values, 0.5);
}
