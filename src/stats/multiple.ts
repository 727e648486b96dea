/**
 * Holm's step-down correction: p values that may be compared with the level of the whole family, max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎) for the i-th
 * smallest. Holds the chance of any false finding at the level, whatever goes together. pValues [m], any order; the same order comes back. Holm 1979.
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted = new Array<number>(pValues.length);
  let largest = 0;
  for (const [rank, i] of order.entries()) {
    largest = Math.max(largest, Math.min(1, (pValues.length - rank) * pValues[i]!));
    adjusted[i] = largest;
  }
  return adjusted;
}
