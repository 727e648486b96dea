type Numbers = ArrayLike<number | bigint>;

/** Largest |a - b| over all elements; infinite when the lengths differ. */
export function maxDifference(a: Numbers, b: Numbers): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(Number(a[i]) - Number(b[i])));
  return most;
}

/** `length` numbers from the start of a row of `stride` numbers. */
export function atIndexOf(data: Numbers, row: number, stride: number, length: number): number[] {
  return Array.from({ length }, (_, i) => Number(data[row * stride + i]));
}
