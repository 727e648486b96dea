import type { BlockProducts } from "./blockProducts.js";
import type { Frame } from "./linearAlgebra.js";

/** A matrix that is too large for a dense decomposition: W, or dW = W_ST - W_IT where `minus` is given. [rows, columns] row-major */
export interface LargeMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array | Float64Array;
  /** Subtracted in float64, in which the difference of two weights of like size is exact. */
  readonly minus?: Float32Array | Float64Array | undefined;
}

/** Sizes of the pieces that products are made of. They decide nothing but time and memory, and the last bits. */
export interface Tiling {
  /** Rows of one product: 512 x 512 float64 numbers are 2 MiB. */
  readonly rows: number;
  /** Width of a slab of the longer side. */
  readonly slab: number;
}

export const TILING: Tiling = { rows: 512, slab: 1024 };

/** Size of equal tiles, at most `most`, that cover `size` with little left over. */
export function tileOf(size: number, most: number): number {
  return Math.ceil(size / Math.ceil(size / most));
}

/** |M|_F². */
export function squaredFrobenius({ data, minus }: LargeMatrix): number {
  let total = 0;
  if (minus === undefined) for (let i = 0; i < data.length; i++) total += data[i]! ** 2;
  else for (let i = 0; i < data.length; i++) total += (data[i]! - minus[i]!) ** 2;
  return total;
}

/**
 * The smaller Gram matrix in float64: M'M of a tall matrix, M M' of any other; its eigenvalues are the squares of the singular values. Its
 * lower half, zeros above, in tiles that are summed over slabs of the longer side. [n, n], n = min(rows, columns)
 */
export async function gramMatrix(
  products: BlockProducts,
  matrix: LargeMatrix,
  { tiling = TILING, signal }: { readonly tiling?: Tiling; readonly signal?: AbortSignal | undefined } = {},
): Promise<Float64Array> {
  const [size, length] = [Math.min(matrix.rows, matrix.columns), Math.max(matrix.rows, matrix.columns)];
  const gram = new Float64Array(size * size);
  const tile = tileOf(size, tiling.rows);
  const width = tileOf(length, tiling.slab);
  // Rows of zeros fill the last tile up.
  const packed = new Float64Array(Math.ceil(size / tile) * tile * width);
  const part = (at: number) => packed.subarray(at * width, (at + tile) * width);
  for (let from = 0; from < length; from += width) {
    signal?.throwIfAborted();
    packSlab(matrix, from, width, packed);
    for (let i = 0; i < size; i += tile)
      for (let j = 0; j <= i; j += tile) {
        const product = await products.multiply(part(i), part(j), { m: tile, k: width, n: tile, transposeB: true });
        const [rows, columns] = [Math.min(tile, size - i), Math.min(tile, size - j)];
        for (let row = 0; row < rows; row++) {
          const [to, at] = [(i + row) * size + j, row * tile];
          const lower = Math.min(columns, i + row - j + 1);
          for (let column = 0; column < lower; column++) gram[to + column]! += product[at + column]!;
        }
      }
  }
  return gram;
}

/** `width` of the longer side from `from`, zeros beyond its end, with the shorter side as rows. [n, width] */
function packSlab({ rows, columns, data, minus }: LargeMatrix, from: number, width: number, packed: Float64Array) {
  if (columns >= rows) {
    const count = Math.min(width, columns - from);
    for (let i = 0; i < rows; i++) {
      const [to, at] = [i * width, i * columns + from];
      for (let k = 0; k < count; k++) packed[to + k] = data[at + k]! - (minus === undefined ? 0 : minus[at + k]!);
      packed.fill(0, to + count, to + width);
    }
    return;
  }
  const count = Math.min(width, rows - from);
  if (count < width) packed.fill(0);
  const step = 16; // a square of the transposition fits the cache
  for (let k0 = 0; k0 < count; k0 += step)
    for (let j0 = 0; j0 < columns; j0 += step)
      for (let k = k0; k < Math.min(count, k0 + step); k++) {
        const at = (from + k) * columns;
        for (let j = j0; j < Math.min(columns, j0 + step); j++)
          packed[j * width + k] = data[at + j]! - (minus === undefined ? 0 : minus[at + j]!);
      }
}

/** M x of every vector x of a frame. vectors [count, columns] -> [count, rows] */
export async function timesVectors(products: BlockProducts, matrix: LargeMatrix, vectors: Frame): Promise<Frame> {
  const { count } = vectors;
  const tile = tileOf(matrix.rows, TILING.rows);
  const block = new Float64Array(tile * matrix.columns);
  const data = new Float64Array(count * matrix.rows);
  for (let from = 0; from < matrix.rows; from += tile) {
    const rows = readRows(matrix, from, tile, block);
    const sizes = { m: count, k: matrix.columns, n: tile, transposeB: true };
    const product = await products.multiply(vectors.data, block, sizes);
    for (let i = 0; i < count; i++) data.set(product.subarray(i * tile, i * tile + rows), i * matrix.rows + from);
  }
  return { count, length: matrix.rows, data };
}

/** M' y of every vector y of a frame. vectors [count, rows] -> [count, columns] */
export async function timesTransposed(products: BlockProducts, matrix: LargeMatrix, vectors: Frame): Promise<Frame> {
  const { count } = vectors;
  const tile = tileOf(matrix.rows, TILING.rows);
  const block = new Float64Array(tile * matrix.columns);
  const part = new Float64Array(count * tile);
  const data = new Float64Array(count * matrix.columns);
  for (let from = 0; from < matrix.rows; from += tile) {
    const rows = readRows(matrix, from, tile, block);
    part.fill(0);
    for (let i = 0; i < count; i++)
      part.set(vectors.data.subarray(i * matrix.rows + from, i * matrix.rows + from + rows), i * tile);
    const product = await products.multiply(part, block, { m: count, k: tile, n: matrix.columns });
    for (let i = 0; i < data.length; i++) data[i]! += product[i]!;
  }
  return { count, length: matrix.columns, data };
}

/** Up to `tile` rows in float64, zeros below the last; how many there were. */
function readRows({ rows, columns, data, minus }: LargeMatrix, from: number, tile: number, block: Float64Array) {
  const count = Math.min(tile, rows - from);
  const at = from * columns;
  for (let i = 0; i < count * columns; i++) block[i] = data[at + i]! - (minus === undefined ? 0 : minus[at + i]!);
  block.fill(0, count * columns);
  return count;
}
