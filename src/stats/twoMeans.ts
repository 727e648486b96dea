import { columnMeans } from "./fisher.js";
import { logGamma } from "./gamma.js";
import type { Vector } from "./moments.js";

export interface TwoMeans {
  /** [n], 0 or 1. */
  readonly assignment: Uint8Array;
  readonly centres: readonly [Float64Array, Float64Array];
  readonly iterations: number;
  /** True when no point changed sides in the last iteration. */
  readonly converged: boolean;
}

/**
 * k-means with k = 2 (Lloyd), from a start without chance: the point farthest from the mean, and the point farthest from that one.
 * points [n, width] row-major, n ≥ 2. Throws RangeError for fewer points. Lloyd 1982.
 */
export function twoMeans(points: Vector, width: number, { maxIterations = 100 } = {}): TwoMeans {
  const first = farthestFrom(points, columnMeans(points, width));
  const second = farthestFrom(points, first);
  const count = points.length / width;
  if (count < 2) throw new RangeError(`Two clusters need at least two points, not ${count}.`);
  let centres: [Float64Array, Float64Array] = [first, second];
  const assignment = new Uint8Array(count).fill(2);
  for (let iteration = 1; iteration <= maxIterations; iteration++) {
    let changed = false;
    const sums: [Float64Array, Float64Array] = [new Float64Array(width), new Float64Array(width)];
    const sizes: [number, number] = [0, 0];
    for (let row = 0; row < count; row++) {
      const side = squaredDistance(points, row, centres[1]) < squaredDistance(points, row, centres[0]) ? 1 : 0;
      changed ||= assignment[row] !== side;
      assignment[row] = side;
      sizes[side]++;
      for (let i = 0; i < width; i++) sums[side][i]! += points[row * width + i]!;
    }
    if (!changed) return { assignment, centres, iterations: iteration, converged: true };
    // An empty side (all points equal) keeps its centre.
    centres = [
      sizes[0] > 0 ? sums[0].map((total) => total / sizes[0]) : centres[0],
      sizes[1] > 0 ? sums[1].map((total) => total / sizes[1]) : centres[1],
    ];
  }
  return { assignment, centres, iterations: maxIterations, converged: false };
}

/**
 * Accuracy of a two-way split under the better of its two namings: max(a, 1 − a). assignment [n], labels [n], both 0 or 1; NaN when empty.
 */
export function bestLabelAccuracy(assignment: Vector, labels: Vector): number {
  let agree = 0;
  for (let i = 0; i < labels.length; i++) if (assignment[i] === labels[i]) agree++;
  return Math.max(agree, labels.length - agree) / labels.length;
}

/**
 * What `bestLabelAccuracy` gives by chance for n points split by coin tosses: ½ + E|B − n/2| / n with B binomial(n, ½), exactly
 * ½ + C(n, ⌈n/2⌉) ⌈n/2⌉ / (n 2ⁿ) for a fair coin (De Moivre). Above ½ because the better naming is chosen after the fact.
 */
export function bestLabelChance(n: number): number {
  const half = Math.ceil(n / 2);
  const logShare = logGamma(n + 1) - logGamma(half + 1) - logGamma(n - half + 1) - n * Math.LN2;
  return 0.5 + (Math.exp(logShare) * half) / n;
}

function farthestFrom(points: Vector, from: Float64Array): Float64Array {
  const width = from.length;
  let best = 0;
  let distance = -1;
  for (let row = 0; row < points.length / width; row++) {
    const at = squaredDistance(points, row, from);
    if (at > distance) [best, distance] = [row, at];
  }
  return Float64Array.from({ length: width }, (_, i) => points[best * width + i] ?? Number.NaN);
}

function squaredDistance(points: Vector, row: number, centre: Float64Array): number {
  let squared = 0;
  for (let i = 0; i < centre.length; i++) squared += (points[row * centre.length + i]! - centre[i]!) ** 2;
  return squared;
}
