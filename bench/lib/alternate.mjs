/** The middle value; of an even number of values the mean of the middle two. */
export function median(values) {
  if (values.length === 0) throw new RangeError("the median of no values does not exist");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function mean(values) {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

/**
 * Runs rivals in turn, so that a slow minute of the machine meets all of them. Each round begins one rival later than the round before.
 * @param rivals functions by name, each resolving to the cost of one turn
 * @returns the costs by name, in order of rounds
 */
export async function alternate(rivals, rounds) {
  const names = Object.keys(rivals);
  const costs = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length];
      costs[name].push(await rivals[name]());
    }
  return costs;
}

/** Median over rounds of a / b, each ratio from one round: what both had to bear divides out. */
export function medianRatio(a, b) {
  if (a.length !== b.length) throw new RangeError(`${a.length} and ${b.length} rounds make no pairs`);
  return median(a.map((value, round) => value / b[round]));
}
