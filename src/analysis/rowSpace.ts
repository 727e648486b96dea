import { mean, standardDeviation } from "../stats/moments.js";
import { dot, type Frame, type Matrix, rowProducts, squaredNorm } from "./linearAlgebra.js";

/** Each row divided by its norm; a zero row stays zero. vectors [count, width] row-major */
export function unitRows(data: Float32Array | Float64Array, width: number): Float64Array {
  const out = Float64Array.from(data);
  for (let from = 0; from < out.length; from += width) {
    const row = out.subarray(from, from + width);
    const norm = Math.sqrt(squaredNorm(row));
    if (norm > 0) for (let i = 0; i < width; i++) row[i]! /= norm;
  }
  return out;
}

/** sigma_i v_i' a for every row a of `inputs` [count, width] and every direction of the frame. [directions][count] Method §3.4. */
export function rowProjections(
  right: Frame,
  singularValues: ArrayLike<number>,
  inputs: Float64Array,
): readonly Float64Array[] {
  const count = inputs.length / right.length;
  const products = rowProducts(right.data.subarray(0, right.count * right.length), inputs, right.length);
  return Array.from({ length: right.count }, (_, i) =>
    products.slice(i * count, (i + 1) * count).map((along) => singularValues[i]! * along),
  );
}

/** The effect of dW on inputs. */
export interface RowEffect {
  /** |dW a|, which is also the root of the sum over all i of (sigma_i v_i' a)². [count] */
  readonly gain: Float64Array;
  /** Mean over the inputs of |(dW a)_n|, neuron by neuron. [rows of dW] */
  readonly neurons: Float64Array;
}

/** dW a of every row a of `inputs` [count, columns of dW]. */
export function rowEffect({ rows, columns, data }: Matrix, inputs: Float64Array): RowEffect {
  const count = inputs.length / columns;
  const gain = new Float64Array(count);
  const neurons = new Float64Array(rows);
  const matrix = Float64Array.from(data);
  // A few samples' outputs at a time: all of them would be as large as their activations.
  for (let from = 0; from < count; from += TOGETHER) {
    const some = inputs.subarray(from * columns, Math.min(from + TOGETHER, count) * columns);
    const outputs = rowProducts(some, matrix, columns);
    for (let sample = 0; sample < some.length / columns; sample++) {
      const out = outputs.subarray(sample * rows, (sample + 1) * rows);
      gain[from + sample] = Math.sqrt(squaredNorm(out));
      for (let n = 0; n < rows; n++) neurons[n]! += Math.abs(out[n]!);
    }
  }
  return { gain, neurons: neurons.map((total) => total / count) };
}

const TOGETHER = 64;

/** |cos| of each row of dW with a direction; 0 of a zero row. [rows] */
export function rowCosines({ rows, columns, data }: Matrix, direction: ArrayLike<number>): Float64Array {
  const scale = Math.sqrt(squaredNorm(direction));
  return Float64Array.from({ length: rows }, (_, n) => {
    const row = data.subarray(n * columns, (n + 1) * columns);
    const norm = Math.sqrt(squaredNorm(row)) * scale;
    return norm === 0 ? 0 : Math.abs(dot(row, direction)) / norm;
  });
}

/** Pearson's correlation of two vectors; 0 when either does not vary. [n] each */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  let products = 0;
  for (let i = 0; i < a.length; i++) products += (a[i]! - meanA) * (b[i]! - meanB);
  const spread = standardDeviation(a) * standardDeviation(b) * (a.length - 1);
  return spread > 0 ? products / spread : 0;
}

/** +1 or -1 for each direction, so that its mean projection of the unsafe inputs is not negative: the sign of a singular vector is free. */
export function projectionSigns(unsafe: readonly Float64Array[]): number[] {
  return unsafe.map((one) => (mean(one) < 0 ? -1 : 1));
}
