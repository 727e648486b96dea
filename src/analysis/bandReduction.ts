import type { BlockProducts } from "./blockProducts.js";

/** A symmetric matrix of which only the diagonal and `width` diagonals on each side are not zero. */
export interface BandMatrix {
  readonly size: number;
  readonly width: number;
  /** The lower half by columns: element (j + d, j) at j * (width + 1) + d. [size, width + 1] */
  readonly data: Float64Array;
}

/** H = I - V T V' of a panel, acting on rows from `from` on. Schreiber and Van Loan 1989. */
interface BlockReflector {
  readonly from: number;
  readonly rows: number;
  readonly count: number;
  /** Unit lower trapezoid. [rows, count] */
  readonly v: Float64Array;
  /** Upper triangle. [count, count] */
  readonly t: Float64Array;
}

/** A = Q B Q': the band matrix B, and Q as the reflectors whose product it is. */
export interface BandReduction {
  readonly band: BandMatrix;
  readonly reflectors: readonly BlockReflector[];
}

export interface BandOptions {
  /** Half the width of the band. Wider: faster products, a slower way from the band to three diagonals. */
  readonly width: number;
  /** Rows of one product. */
  readonly rows: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A = Q B Q' of a symmetric matrix, B of `width` diagonals on each side, almost all of it in matrix products: panel after panel is made triangular by
 * Householder's reflections, and what is right of it is updated at once, A - V W' - W V' with W = Y - V (T' V' Y) / 2, Y = A V T. The first of two
 * stages to three diagonals: Bischof, Lang and Sun 2000. `square` [size, size] holds the lower half, zeros above it, and is overwritten. Backward stable: errors of about epsilon |A|.
 */
export async function reduceToBand(
  products: BlockProducts,
  square: Float64Array,
  size: number,
  { width, rows: most, signal }: BandOptions,
): Promise<BandReduction> {
  const band: BandMatrix = { size, width, data: new Float64Array(size * (width + 1)) };
  const reflectors: BlockReflector[] = [];
  // The part in work is the last `order` rows and columns of A, kept dense; `done` of it are finished.
  let [order, done] = [size, 0];
  for (let first = 0; first < size; first += width, done += width) {
    signal?.throwIfAborted();
    if (order - done > most && done >= most) {
      compact(square, order, done);
      [order, done] = [order - done, 0];
    }
    const columns = Math.min(width, size - first);
    copyDiagonalBlock(square, { order, done, columns }, band, first);
    const rows = size - first - width;
    if (rows <= 0) continue;
    const panel = new Float64Array(rows * width);
    for (let i = 0; i < rows; i++)
      panel.set(
        square.subarray((done + width + i) * order + done, (done + width + i) * order + done + width),
        i * width,
      );
    const count = Math.min(width, rows);
    const { v, t } = factorPanel(panel, rows, width, count);
    // What is left of the panel is triangular: the outer part of the band.
    for (let j = 0; j < width; j++)
      for (let i = 0; i <= Math.min(j, rows - 1); i++)
        band.data[(first + j) * (width + 1) + width + i - j] = panel[i * width + j]!;
    const reflector = { from: first + width, rows, count, v, t };
    reflectors.push(reflector);
    await updateTrailing(products, square, { order, begin: done + width, tile: Math.min(most, order) }, reflector);
  }
  return { band, reflectors };
}

/** Moves the unfinished part to the front, so that products are no larger than they must be. */
function compact(square: Float64Array, order: number, done: number): void {
  const left = order - done;
  for (let i = 0; i < left; i++) square.copyWithin(i * left, (i + done) * order + done, (i + done + 1) * order);
}

function copyDiagonalBlock(
  square: Float64Array,
  { order, done, columns }: { order: number; done: number; columns: number },
  { width, data }: BandMatrix,
  first: number,
): void {
  for (let j = 0; j < columns; j++)
    for (let i = j; i < columns; i++) data[(first + j) * (width + 1) + i - j] = square[(done + i) * order + done + j]!;
}

/**
 * Householder's QR of a panel [rows, columns], which becomes R above its diagonal: V [rows, count] and T [count, count] with Q = I - V T V'.
 * LAPACK's dgeqrt.
 */
export function factorPanel(
  panel: Float64Array,
  rows: number,
  columns: number,
  count: number,
): { readonly v: Float64Array; readonly t: Float64Array } {
  const v = new Float64Array(rows * count);
  const t = new Float64Array(count * count);
  const along = new Float64Array(Math.max(columns, count));
  for (let j = 0; j < count; j++) {
    let tail = 0;
    for (let i = j + 1; i < rows; i++) tail += panel[i * columns + j]! ** 2;
    const head = panel[j * columns + j]!;
    v[j * count + j] = 1;
    if (tail === 0) continue; // already zero below: T's column stays 0, and the reflection is none
    const norm = head > 0 ? -Math.sqrt(head * head + tail) : Math.sqrt(head * head + tail);
    const tau = (norm - head) / norm;
    const scale = 1 / (head - norm);
    for (let i = j + 1; i < rows; i++) v[i * count + j] = panel[i * columns + j]! * scale;
    // The columns right of it: P - tau v (v' P).
    along.fill(0);
    for (let i = j; i < rows; i++) {
      const x = v[i * count + j]!;
      for (let c = j; c < columns; c++) along[c]! += x * panel[i * columns + c]!;
    }
    for (let i = j; i < rows; i++) {
      const x = tau * v[i * count + j]!;
      for (let c = j; c < columns; c++) panel[i * columns + c]! -= x * along[c]!;
    }
    panel[j * columns + j] = norm;
    // T's column: -tau T (V' v), then tau on the diagonal.
    along.fill(0);
    for (let i = j; i < rows; i++) {
      const x = v[i * count + j]!;
      for (let c = 0; c < j; c++) along[c]! += x * v[i * count + c]!;
    }
    for (let r = 0; r < j; r++) {
      let sum = 0;
      for (let c = r; c < j; c++) sum += t[r * count + c]! * along[c]!;
      t[r * count + j] = -tau * sum;
    }
    t[j * count + j] = tau;
  }
  return { v, t };
}

/** Q' A Q on the rows and columns from `begin` of the [order, order] part in work. */
async function updateTrailing(
  products: BlockProducts,
  square: Float64Array,
  { order, begin, tile }: { order: number; begin: number; tile: number },
  { rows, count, v, t }: BlockReflector,
): Promise<void> {
  // A V = L V + L' V - D V, in tiles of rows that end with the matrix; those that begin too early repeat finished rows, where V is 0.
  const padded = new Float64Array(order * count);
  padded.set(v, begin * count);
  const av = new Float64Array(order * count);
  for (let end = order; end > begin; end -= tile) {
    const from = Math.max(0, end - tile);
    const part = square.subarray(from * order, (from + tile) * order);
    const below = await products.multiply(part, padded, { m: tile, k: order, n: count });
    // Rows that an earlier tile had are left out of both sums.
    const [first, last] = [Math.max(begin, end - tile), end];
    const own = new Float64Array(count * tile); // V' of these rows
    for (let i = first; i < last; i++)
      for (let c = 0; c < count; c++) own[c * tile + i - from] = padded[i * count + c]!;
    const above = await products.multiply(own, part, { m: count, k: tile, n: order });
    for (let i = first; i < last; i++) {
      const diagonal = square[i * order + i]!;
      for (let c = 0; c < count; c++)
        av[i * count + c]! += below[(i - from) * count + c]! - diagonal * padded[i * count + c]!;
    }
    for (let c = 0; c < count; c++) for (let j = begin; j < last; j++) av[j * count + c]! += above[c * order + j]!;
  }
  const w = sideUpdate(av.subarray(begin * count), v, t, rows, count);

  // A -= [V W] [W V]', the lower half in tiles.
  const [left, right] = [new Float64Array(order * 2 * count), new Float64Array(order * 2 * count)];
  for (let i = 0; i < rows; i++) {
    const at = (begin + i) * 2 * count;
    for (let c = 0; c < count; c++) {
      left[at + c] = right[at + count + c] = v[i * count + c]!;
      left[at + count + c] = right[at + c] = w[i * count + c]!;
    }
  }
  const stack = (side: Float64Array, from: number) => side.subarray(from * 2 * count, (from + tile) * 2 * count);
  for (let end = order; end > begin; end -= tile)
    for (let columnEnd = end; columnEnd > begin; columnEnd -= tile) {
      const [i0, j0] = [Math.max(0, end - tile), Math.max(0, columnEnd - tile)];
      const sizes = { m: tile, k: 2 * count, n: tile, transposeB: true };
      const product = await products.multiply(stack(left, i0), stack(right, j0), sizes);
      subtractTile(square, order, product, { i0, j0, tile, begin, end, columnEnd });
    }
}

/** W = Y - V (T' V' Y) / 2, Y = (A V) T. [rows, count] */
function sideUpdate(av: Float64Array, v: Float64Array, t: Float64Array, rows: number, count: number): Float64Array {
  const y = new Float64Array(rows * count);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < count; k++) {
      const value = av[i * count + k]!;
      for (let c = k; c < count; c++) y[i * count + c]! += value * t[k * count + c]!;
    }
  const vy = new Float64Array(count * count);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < count; k++) {
      const value = v[i * count + k]!;
      for (let c = 0; c < count; c++) vy[k * count + c]! += value * y[i * count + c]!;
    }
  const half = new Float64Array(count * count); // T' V' Y / 2
  for (let k = 0; k < count; k++)
    for (let r = k; r < count; r++)
      for (let c = 0; c < count; c++) half[r * count + c]! += 0.5 * t[k * count + r]! * vy[k * count + c]!;
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < count; k++) {
      const value = v[i * count + k]!;
      for (let c = 0; c < count; c++) y[i * count + c]! -= value * half[k * count + c]!;
    }
  return y;
}

/** Subtracts one tile of the lower half from A. */
function subtractTile(
  square: Float64Array,
  order: number,
  product: Float64Array,
  { i0, j0, tile, begin, end, columnEnd }: Record<"i0" | "j0" | "tile" | "begin" | "end" | "columnEnd", number>,
): void {
  const [rowFrom, columnFrom] = [Math.max(begin, end - tile), Math.max(begin, columnEnd - tile)];
  for (let i = rowFrom; i < end; i++) {
    const [at, from] = [i * order, (i - i0) * tile - j0];
    const last = Math.min(columnEnd, i + 1);
    for (let j = columnFrom; j < last; j++) square[at + j]! -= product[from + j]!;
  }
}

/** Q x of each vector of a frame, or Q' x where `transposed`. x [size, count] row-major, overwritten */
export function applyReflectors(
  { reflectors }: Pick<BandReduction, "reflectors">,
  x: Float64Array,
  count: number,
  { transposed }: { readonly transposed: boolean },
): void {
  const order = transposed ? reflectors : [...reflectors].reverse();
  for (const { from, rows, count: wide, v, t } of order) {
    const along = new Float64Array(wide * count); // V' x
    for (let i = 0; i < rows; i++)
      for (let k = 0; k < wide; k++) {
        const value = v[i * wide + k]!;
        if (value === 0) continue;
        const at = (from + i) * count;
        for (let c = 0; c < count; c++) along[k * count + c]! += value * x[at + c]!;
      }
    const turned = new Float64Array(wide * count); // T (V' x), or T' (V' x)
    for (let r = 0; r < wide; r++)
      for (let k = 0; k < wide; k++) {
        const value = transposed ? t[k * wide + r]! : t[r * wide + k]!;
        if (value === 0) continue;
        for (let c = 0; c < count; c++) turned[r * count + c]! += value * along[k * count + c]!;
      }
    for (let i = 0; i < rows; i++)
      for (let k = 0; k < wide; k++) {
        const value = v[i * wide + k]!;
        if (value === 0) continue;
        const at = (from + i) * count;
        for (let c = 0; c < count; c++) x[at + c]! -= value * turned[k * count + c]!;
      }
  }
}
