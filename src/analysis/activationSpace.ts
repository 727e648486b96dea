import type { Vectors } from "./clusters.js";
import { energyRank } from "./columnSpace.js";
import { type Frame, firstOf, gramOf, squaredOutside, vectorOf } from "./linearAlgebra.js";
import { symmetricEigen } from "./symmetricEigen.js";

/** The span of stacked activations A = [a_1 .. a_n] of one set: its main directions, and how they weigh. */
export interface ActivationSpan {
  /** Left singular vectors of A, the first `r(A)` of them with 99% of the energy, and at least as many as were asked for. */
  readonly directions: Frame;
  /** r(A), as for weights. */
  readonly rank: number;
  /** A A', from which energies outside a space follow. [width, width] */
  readonly gram: Float64Array;
}

/**
 * Left singular vectors of stacked activations by the eigenvectors of A A'. That squares the condition, which leaves directions of
 * 1e-6 of the energy and more right to about 1e-9: those that 99% of it are about. At least `most` directions are kept, unless they are only rounding.
 */
export function activationSpan(vectors: Vectors, most: number): ActivationSpan {
  const { width } = vectors;
  const gram = gramOf(vectors);
  const { values, vectors: all } = symmetricEigen({ rows: width, columns: width, data: gram });
  const singular = values.map((value) => Math.sqrt(Math.max(value, 0)));
  const rank = energyRank(singular);
  const above = values.reduce((count, value) => count + Number(value > ROUNDING * values[0]!), 0);
  return { directions: firstOf(all, Math.max(rank, Math.min(most, above))), rank, gram };
}

/** Of the largest eigenvalue of A A': below it, an eigenvector is rounding. */
const ROUNDING = 1e-12;

/** sin theta_i = |(I - P) u_i| for the first directions u_i of `after`, P on the space of `before`. Method §3.3. */
export function activationSinThetas(space: Frame, after: ActivationSpan, most: number): Float64Array {
  const count = Math.min(most, after.directions.count);
  return Float64Array.from({ length: count }, (_, i) =>
    Math.sqrt(squaredOutside(space, vectorOf(after.directions, i))),
  );
}

/** |(I - P) A|_F / |A|_F. vectors [count, width]; undefined where all are zero. */
export function activationSinThetaAll(space: Frame, { gram }: Pick<ActivationSpan, "gram">): number | undefined {
  const width = space.length;
  let total = 0;
  for (let i = 0; i < width; i++) total += gram[i * width + i]!;
  if (total === 0) return undefined;
  let inside = 0;
  for (let d = 0; d < space.count; d++) {
    const direction = vectorOf(space, d);
    for (let i = 0; i < width; i++) {
      let along = 0;
      for (let j = 0; j < width; j++) along += gram[i * width + j]! * direction[j]!;
      inside += direction[i]! * along;
    }
  }
  return Math.sqrt(Math.max(0, 1 - inside / total));
}
