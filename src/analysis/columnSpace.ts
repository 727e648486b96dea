import { fillNormal, type RandomKey } from "../random/index.js";
import { mean, quantile } from "../stats/moments.js";
import {
  type Frame,
  firstOf,
  type Matrix,
  numericalRank,
  randomFrame,
  type Svd,
  squaredNorm,
  squaredOutside,
  vectorOf,
} from "./linearAlgebra.js";

/** The share of the squared Frobenius norm that r(W) keeps. Method §3.2. */
export const ENERGY = 0.99;

/** r(W): the smallest k whose first singular values hold 99% of the squared Frobenius norm. singularValues [k], from the largest; 0 of a zero matrix. */
export function energyRank(singularValues: ArrayLike<number>, energy = ENERGY): number {
  const total = squaredNorm(singularValues);
  let kept = 0;
  let rank = 0;
  while (rank < singularValues.length && kept < energy * total) kept += singularValues[rank++]! ** 2;
  return rank;
}

/** The column space of W that P projects on: its first r(W) left singular vectors. */
export function columnSpaceOf({ left, singularValues }: Svd): Frame {
  return firstOf(left, energyRank(singularValues));
}

/**
 * sin theta_i = |(I - P) u_i| of the first left singular vectors of dW, 0 (inside the column space of W_IT) to 1 (in the null space of W_IT').
 * Directions of which only rounding is left are not given: none of a zero dW. Method §3.2. [min(most, rank of dW)]
 */
export function sinThetas(space: Frame, delta: Svd, most = Number.POSITIVE_INFINITY): Float64Array {
  const count = Math.min(most, numericalRank(delta));
  return Float64Array.from({ length: count }, (_, i) => Math.sqrt(squaredOutside(space, vectorOf(delta.left, i))));
}

/** |(I - P) dW|_F / |dW|_F: all directions of dW, each with its energy. Undefined where dW is zero, for then there is no direction. */
export function sinThetaAll(space: Frame, { rows, columns, data }: Matrix): number | undefined {
  const column = new Float64Array(rows);
  let [outside, total] = [0, 0];
  for (let j = 0; j < columns; j++) {
    for (let i = 0; i < rows; i++) column[i] = data[i * columns + j]!;
    outside += squaredOutside(space, column);
    total += squaredNorm(column);
  }
  return total === 0 ? undefined : Math.sqrt(outside / total);
}

/** What sin theta of a uniformly random direction is about: sqrt(1 - r/m), its root mean square. m: size of the output. */
export function randomSinTheta(rank: number, size: number): number {
  return Math.sqrt(1 - rank / size);
}

/** Draws of a null, and what is said of them. */
export interface NullDistribution {
  readonly n: number;
  readonly value: number;
  /** 2.5% and 97.5% quantiles. */
  readonly low: number;
  readonly high: number;
}

export function summarizeNull(draws: ArrayLike<number>): NullDistribution {
  return { n: draws.length, value: mean(draws), low: quantile(draws, 0.025), high: quantile(draws, 0.975) };
}

/**
 * The first null: sin theta of uniformly random directions of [size] against a space of `rank` dimensions. The space may be turned into the first
 * `rank` axes without changing the distribution, so sin theta is the share of a normal vector's other components. [draws]
 */
export function randomDirectionNull(
  key: RandomKey,
  { rank, size, draws }: { readonly rank: number; readonly size: number; readonly draws: number },
): Float64Array {
  const direction = new Float64Array(size);
  return Float64Array.from({ length: draws }, (_, draw) => {
    fillNormal(key, draw, direction);
    return Math.sqrt(squaredNorm(direction.subarray(rank)) / squaredNorm(direction));
  });
}

/** Random left singular vectors for the second null, made once for all matrices of one shape. */
export interface RandomFrames {
  readonly size: number;
  readonly count: number;
  readonly frames: readonly Frame[];
}

/** `draws` uniformly random orthonormal frames of `count` vectors of [size]. */
export function randomFrames(key: RandomKey, draws: number, count: number, size: number): RandomFrames {
  const frames = Array.from({ length: draws }, (_, draw) => randomFrame(key, draw, count, size));
  return { size, count, frames };
}

/** Draws of the second null. */
export interface MatchedNull {
  /** Of each direction, its sine in every draw. [directions][draws] */
  readonly sines: readonly Float64Array[];
  /** Of each draw, |(I - P) R|_F / |R|_F. [draws] */
  readonly all: Float64Array;
}

/**
 * The second null: a random R with dW's singular values (so also its norm) and uniformly random singular vectors, against a space of `rank` dimensions,
 * turned into the first axes as above. `directions`: how many single ones are kept.
 */
export function matchedNull(
  { frames, count }: RandomFrames,
  { rank, singularValues, directions }: Record<"rank" | "directions", number> & { singularValues: Float64Array },
): MatchedNull {
  const kept = Math.min(directions, count);
  const sines = Array.from({ length: kept }, () => new Float64Array(frames.length));
  const total = squaredNorm(singularValues);
  const all = Float64Array.from(frames, (frame, draw) => {
    let outside = 0;
    for (let i = 0; i < count; i++) {
      const squared = squaredNorm(vectorOf(frame, i).subarray(rank));
      if (i < kept) sines[i]![draw] = Math.sqrt(squared);
      outside += singularValues[i]! ** 2 * squared;
    }
    return total === 0 ? 0 : Math.sqrt(outside / total);
  });
  return { sines, all };
}

/**
 * The second null of all directions together, in closed form where its draws would be too large: |(I - P) R|_F / |R|_F of a random R with these singular
 * values. The share q_i = |(I - P) u_i|² of a uniformly random direction is Beta((m - r)/2, r/2); orthogonal ones are correlated by -1/(m - 1); so the mean
 * share is 1 - r/m and its variance follows. Mean and 95% by the normal approximation.
 */
export function matchedSpectrumNull({
  rank,
  size,
  singularValues,
}: {
  readonly rank: number;
  readonly size: number;
  readonly singularValues: ArrayLike<number>;
}): Omit<NullDistribution, "n"> {
  const total = squaredNorm(singularValues);
  let sumOfSquares = 0; // of the weights sigma_i² / sum
  for (let i = 0; i < singularValues.length; i++) sumOfSquares += (singularValues[i]! ** 2 / total) ** 2;
  const share = 1 - rank / size;
  const variance = (2 * (size - rank) * rank) / (size ** 2 * (size + 2));
  const spread = Math.sqrt(variance * Math.max(0, sumOfSquares - (1 - sumOfSquares) / Math.max(1, size - 1)));
  const root = (value: number) => Math.sqrt(Math.min(1, Math.max(0, value)));
  const bias = share === 0 ? 0 : spread ** 2 / (8 * share ** 1.5); // E sqrt(q) lies this much below sqrt(E q)
  return { value: root(share) - bias, low: root(share - 1.96 * spread), high: root(share + 1.96 * spread) };
}
