import { dot, gramOf, squaredNorm, vectorOf } from "./linearAlgebra.js";
import { symmetricEigen } from "./symmetricEigen.js";

/** A matrix as a sum of directions, M = Σ s_i u_i v_i', largest s first. */
export interface Directions {
  readonly rows: number;
  readonly columns: number;
  /** [min(rows, columns)] */
  readonly singularValues: Float64Array;
  /** u_i, each [rows] */
  readonly left: readonly Float64Array[];
  /** v_i, each [columns] */
  readonly right: readonly Float64Array[];
}

/**
 * The singular value decomposition of a row-major matrix, in float64: eigenvectors of the smaller Gram matrix on one side, and M v_i = s_i u_i on the other.
 * All directions together are the matrix to rounding, whatever the eigenvectors' own errors, since they are orthonormal; small singular values are less
 * exact than those of `svd`, which takes about three times as long. Where s_i is 0 the vector of the larger side is 0 too. [rows, columns]
 */
export function directionsOf(matrix: ArrayLike<number>, rows: number, columns: number): Directions {
  const tall = rows >= columns;
  const [most, least] = tall ? [rows, columns] : [columns, rows];
  // The rows of the taller of M and M'. [most, least]
  const data = tall ? Float64Array.from(matrix) : transposed(matrix, rows, columns);
  const gram = { rows: least, columns: least, data: gramOf({ data, width: least }) };
  const { vectors } = symmetricEigen(gram);
  const found = Array.from({ length: least }, (_, i) => {
    const vector = vectorOf(vectors, i);
    const image = Float64Array.from({ length: most }, (_, row) =>
      dot(data.subarray(row * least, (row + 1) * least), vector),
    );
    const s = Math.sqrt(squaredNorm(image));
    return { s, image: image.map((one) => (s === 0 ? 0 : one / s)), vector };
  }).sort((a, b) => b.s - a.s);
  const [larger, smaller] = [found.map(({ image }) => image), found.map(({ vector }) => vector)];
  return {
    ...{ rows, columns, singularValues: Float64Array.from(found, ({ s }) => s) },
    ...(tall ? { left: larger, right: smaller } : { left: smaller, right: larger }),
  };
}

function transposed(matrix: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = matrix[row * columns + column]!;
  return out;
}

/** Σ s_i u_i v_i' over the chosen i: of all of them the matrix itself. Row-major [rows, columns] */
export function sumOfDirections(
  { rows, columns, singularValues, left, right }: Directions,
  chosen: Iterable<number>,
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (const i of chosen) {
    const [u, v] = [left[i]!, right[i]!];
    for (let row = 0; row < rows; row++) {
      const scale = singularValues[i]! * u[row]!;
      for (let column = 0; column < columns; column++) out[row * columns + column]! += scale * v[column]!;
    }
  }
  return out;
}
