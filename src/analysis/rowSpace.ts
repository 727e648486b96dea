import { mean, standardDeviation } from "../stats/moments.js";
import { dot, type Frame, type Matrix, squaredNorm, vectorOf } from "./linearAlgebra.js";

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
  const width = right.length;
  return Array.from({ length: right.count }, (_, i) => {
    const direction = vectorOf(right, i);
    return Float64Array.from({ length: inputs.length / width }, (_, row) => {
      let total = 0;
      for (let j = 0, at = row * width; j < width; j++, at++) total += direction[j]! * inputs[at]!;
      return singularValues[i]! * total;
    });
  });
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
  const out = new Float64Array(rows);
  for (let sample = 0; sample < count; sample++) {
    timesVector(data, inputs.subarray(sample * columns, (sample + 1) * columns), out);
    gain[sample] = Math.sqrt(squaredNorm(out));
    for (let n = 0; n < rows; n++) neurons[n]! += Math.abs(out[n]!);
  }
  return { gain, neurons: neurons.map((total) => total / count) };
}

/** out = M x; four rows at a time, whose sums do not wait for each other. */
function timesVector(matrix: Matrix["data"], x: Float64Array, out: Float64Array): void {
  const columns = x.length;
  let n = 0;
  for (; n + 4 <= out.length; n += 4) {
    let [a, b, c, d] = [0, 0, 0, 0];
    const from = n * columns;
    for (let j = 0; j < columns; j++) {
      const value = x[j]!;
      const at = from + j;
      a += matrix[at]! * value;
      b += matrix[at + columns]! * value;
      c += matrix[at + 2 * columns]! * value;
      d += matrix[at + 3 * columns]! * value;
    }
    [out[n], out[n + 1], out[n + 2], out[n + 3]] = [a, b, c, d];
  }
  for (; n < out.length; n++) {
    let total = 0;
    for (let j = 0, at = n * columns; j < columns; j++, at++) total += matrix[at]! * x[j]!;
    out[n] = total;
  }
}

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
