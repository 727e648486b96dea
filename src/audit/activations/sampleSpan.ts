import {
  energyRank,
  type Frame,
  gramOf,
  squaredNorm,
  symmetricEigen,
  type Vectors,
  vectorOf,
} from "../../analysis/index.js";

/**
 * The span of stacked activations A = [a_1 .. a_n] of one set when there are fewer samples than units, as in real models: its left singular vectors by the
 * eigenvectors of the small A'A, u_i = A v_i / sigma_i. The same directions as `activationSpan` gives, without a [width, width] matrix.
 */
export interface SampleSpan {
  /** From the largest singular value, those above rounding. [count, width] */
  readonly directions: Frame;
  /** r(A): how many hold 99% of the energy. */
  readonly rank: number;
}

/** Of the largest eigenvalue of A'A: below it, an eigenvector is rounding. */
const ROUNDING = 1e-12;

export function sampleSpan({ data, width }: Vectors): SampleSpan {
  const count = data.length / width;
  const gram = gramOf({ data: transposed(data, width), width: count });
  const { values, vectors } = symmetricEigen({ rows: count, columns: count, data: gram });
  const singular = values.map((value) => Math.sqrt(Math.max(value, 0)));
  const above = values.reduce((total, value) => total + Number(value > ROUNDING * values[0]!), 0);
  const directions = new Float64Array(above * width);
  for (let i = 0; i < above; i++) {
    const own = directions.subarray(i * width, (i + 1) * width);
    const weights = vectorOf(vectors, i);
    for (let row = 0; row < count; row++)
      for (let j = 0; j < width; j++) own[j]! += (weights[row]! / singular[i]!) * data[row * width + j]!;
  }
  return { directions: { count: above, length: width, data: directions }, rank: Math.min(above, energyRank(singular)) };
}

/** |(I - P) A|_F / |A|_F, P the projector on the space's directions; undefined where all are zero. */
export function outsideShare(space: Frame, { data, width }: Vectors): number | undefined {
  let [total, inside] = [0, 0];
  for (let from = 0; from < data.length; from += width) {
    const row = data.subarray(from, from + width);
    total += squaredNorm(row);
    for (let i = 0; i < space.count; i++) {
      const direction = vectorOf(space, i);
      let along = 0;
      for (let j = 0; j < width; j++) along += direction[j]! * row[j]!;
      inside += along * along;
    }
  }
  return total === 0 ? undefined : Math.sqrt(Math.max(0, 1 - inside / total));
}

/** [count, width] -> [width, count] */
function transposed(data: Float32Array, width: number): Float64Array {
  const count = data.length / width;
  const out = new Float64Array(data.length);
  for (let row = 0; row < count; row++) for (let j = 0; j < width; j++) out[j * count + row] = data[row * width + j]!;
  return out;
}
