import { Matrix, SingularValueDecomposition } from "ml-matrix";

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

/** The singular value decomposition of a row-major matrix, in float64. [rows, columns] */
export function directionsOf(matrix: ArrayLike<number>, rows: number, columns: number): Directions {
  const dense = Matrix.from1DArray(rows, columns, Array.from(matrix));
  const svd = new SingularValueDecomposition(dense, { autoTranspose: true });
  const { leftSingularVectors: u, rightSingularVectors: v } = svd;
  const order = svd.diagonal.map((_, i) => i).sort((a, b) => svd.diagonal[b]! - svd.diagonal[a]!);
  const column = (of: Matrix, i: number) => Float64Array.from(of.getColumn(i));
  return {
    rows,
    columns,
    singularValues: Float64Array.from(order, (i) => svd.diagonal[i]!),
    left: order.map((i) => column(u, i)),
    right: order.map((i) => column(v, i)),
  };
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
