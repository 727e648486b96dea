/** Products of the Gram matrix: multiplications a second, measured on two shared cores at 11008 x 4096. */
const GRAM_RATE = 2e10;
/** From the Gram matrix to eigenvalues: size³ a second, measured there too. */
const EIGEN_RATE = 2e9;
/** The dense decomposition of small matrices: rows x columns² a second. */
const DENSE_RATE = 4e7;
const DENSE = 256;
/** Node, ONNX Runtime and our code before any tensor is allocated. */
const BASE_BYTES = 250e6;

type Shapes = readonly (readonly [number, number])[];

/** Rough time for W and `changes` of it. Shapes [out, in]. */
export function weightsSeconds(shapes: Shapes, changes: number): number {
  return shapes.reduce((sum, [rows, columns]) => {
    const [short, long] = [Math.min(rows, columns), Math.max(rows, columns)];
    const one =
      short <= DENSE ? (long * short ** 2) / DENSE_RATE : (long * short ** 2) / GRAM_RATE + short ** 3 / EIGEN_RATE;
    return sum + (1 + changes) * one;
  }, 0);
}

/**
 * Peak memory for the largest matrix: W and W_ST as they are decoded, and in float64 the Gram matrix with its reflections (size² and size²), a slab, and
 * the directions of both sides. width: bytes of a decoded number.
 */
export function weightsBytes(shapes: Shapes, width: number): number {
  const one = shapes.map(([rows, columns]) => {
    const [short, long] = [Math.min(rows, columns), Math.max(rows, columns)];
    return 2 * width * rows * columns + 8 * (2 * short ** 2 + 1024 * short + 4 * 100 * (short + long));
  });
  return BASE_BYTES + Math.max(0, ...one);
}
