import type { RandomKey } from "../random/index.js";
import { applyReflectors, type BandReduction, factorPanel, reduceToBand } from "./bandReduction.js";
import { applyReflections, bandToTridiagonal, type TridiagonalReduction } from "./bandToTridiagonal.js";
import type { BlockProducts } from "./blockProducts.js";
import { ENERGY, energyRank } from "./columnSpace.js";
import {
  gramMatrix,
  type LargeMatrix,
  squaredFrobenius,
  TILING,
  type Tiling,
  timesTransposed,
  timesVectors,
} from "./largeMatrix.js";
import { type Frame, type Svd, squaredNorm, svd, vectorOf } from "./linearAlgebra.js";
import { diagonalize } from "./symmetricEigen.js";
import { tridiagonalVectors } from "./tridiagonalVectors.js";

export interface LargeOptions {
  /** Half the width of the band on the way to three diagonals. */
  readonly band?: number;
  readonly tiling?: Tiling;
  readonly signal?: AbortSignal | undefined;
}

const BAND = 32;

/** The first directions of a large matrix, and all its singular values. */
export interface LargeDirections extends Svd {
  /** Of all of them, from the largest: the first `left.count` to rounding, the others as roots of eigenvalues. [min(rows, columns)] */
  readonly singularValues: Float64Array;
}

/**
 * Below this share of the largest, a singular value is not told from rounding: an eigenvalue of the Gram matrix is right to about
 * max(m, n) epsilon of the largest, and a singular value is its root. 1.6e-6 for 11008 x 4096.
 */
export function largeFloor({ rows, columns }: Pick<LargeMatrix, "rows" | "columns">): number {
  return Math.sqrt(Math.max(rows, columns) * Number.EPSILON);
}

/**
 * The first singular directions of a matrix that is too large for `svd`, and all its singular values. The Gram matrix of the shorter side, in float64,
 * is brought to a band and then to three diagonals; eigenvalues by the QL algorithm, vectors by inverse iteration from a random start of `key`; one
 * step of Rayleigh and Ritz with the matrix itself then gives singular values that are right to rounding and not to its root. At most `count`
 * directions, none below `largeFloor`: none of a zero matrix. @throws RangeError when a number is not finite.
 */
export async function largeDirections(
  products: BlockProducts,
  matrix: LargeMatrix,
  { count, key, ...options }: LargeOptions & { readonly count: number; readonly key: RandomKey },
): Promise<LargeDirections> {
  const size = Math.min(matrix.rows, matrix.columns);
  const total = finiteEnergy(matrix);
  if (total === 0)
    return { left: noFrame(matrix.rows), right: noFrame(matrix.columns), singularValues: new Float64Array(size) };
  const reduced = await bandOfGram(products, matrix, options);
  const three = bandToTridiagonal(reduced.band, { keep: true });
  const values = sorted(eigenvaluesOf(three));
  const floor = largeFloor(matrix);
  const singularValues = values.map((value) => Math.sqrt(Math.max(value, 0)));
  const kept = singularValues.findIndex((value, i) => i >= count || value <= floor * singularValues[0]!);
  const most = kept < 0 ? Math.min(count, size) : kept;
  const basis = backTransformed(reduced, three, values.subarray(0, most), key);
  const refined = await rayleighRitz(products, matrix, basis);
  singularValues.set(refined.singularValues);
  return { ...refined, singularValues };
}

/** What of each vector lies outside the column space of a large W. */
export interface LargeColumnSpace {
  /** Of W, from the largest. [min(rows, columns)] */
  readonly singularValues: Float64Array;
  /** r(W). */
  readonly rank: number;
  /** |(I - P) x|² of each vector x, P the projector on W's first r(W) left singular vectors. [vectors.count] */
  readonly outside: Float64Array;
}

/**
 * How much of each vector lies outside the column space of a W that is too large for `svd`. No singular vector of W is formed: the same rotations that
 * diagonalize the Gram matrix turn the vectors into their coefficients, c = V' x. Wide or square W: outside = sum of c_i² over i > r. Tall W, with c = V' (W' x):
 * outside = |x|² - sum of c_i² / sigma_i² over i <= r, which is right to about 1e-12, a sine near 0 therefore to 1e-6. vectors [count, rows]
 */
export async function largeColumnSpace(
  products: BlockProducts,
  matrix: LargeMatrix,
  vectors: Frame,
  { energy = ENERGY, ...options }: LargeOptions & { readonly energy?: number } = {},
): Promise<LargeColumnSpace> {
  const size = Math.min(matrix.rows, matrix.columns);
  const tall = matrix.rows > matrix.columns;
  const { count } = vectors;
  if (finiteEnergy(matrix) === 0)
    return { singularValues: new Float64Array(size), rank: 0, outside: squaredNorms(vectors) };
  const inside = count === 0 ? vectors : tall ? await timesTransposed(products, matrix, vectors) : vectors;
  const carried = columnsOf(inside, size);
  const reduced = await bandOfGram(products, matrix, options);
  applyReflectors(reduced, carried, count, { transposed: true });
  const three = bandToTridiagonal(reduced.band, { carried, count });
  diagonalize(three.diagonal, three.beside, count === 0 ? undefined : carried);
  const order = Array.from(three.diagonal.keys()).sort((a, b) => three.diagonal[b]! - three.diagonal[a]!);
  const singularValues = Float64Array.from(order, (i) => Math.sqrt(Math.max(three.diagonal[i]!, 0)));
  const rank = energyRank(singularValues, energy);
  const outside = tall ? squaredNorms(vectors) : new Float64Array(count);
  for (const i of tall ? order.slice(0, rank) : order.slice(rank))
    for (let c = 0; c < count; c++) {
      const squared = carried[i * count + c]! ** 2;
      outside[c]! += tall ? -squared / three.diagonal[i]! : squared;
    }
  return { singularValues, rank, outside: outside.map((value) => Math.max(value, 0)) };
}

function finiteEnergy(matrix: LargeMatrix): number {
  const total = squaredFrobenius(matrix);
  if (!Number.isFinite(total))
    throw new RangeError("a matrix holds a number that is not finite: it has no singular values");
  return total;
}

async function bandOfGram(products: BlockProducts, matrix: LargeMatrix, options: LargeOptions): Promise<BandReduction> {
  const { tiling = TILING, signal } = options;
  const size = Math.min(matrix.rows, matrix.columns);
  const gram = await gramMatrix(products, matrix, { tiling, signal });
  const width = Math.max(1, Math.min(options.band ?? BAND, size - 1));
  return reduceToBand(products, gram, size, { width, rows: tiling.rows, signal });
}

const eigenvaluesOf = ({ diagonal, beside }: TridiagonalReduction): Float64Array => {
  const values = diagonal.slice();
  diagonalize(values, beside.slice());
  return values;
};

const sorted = (values: Float64Array): Float64Array => values.sort().reverse();

/** Eigenvectors of the Gram matrix for some of its eigenvalues. [values, size] */
function backTransformed(
  reduced: BandReduction,
  three: TridiagonalReduction,
  values: Float64Array,
  key: RandomKey,
): Frame {
  const { size } = three;
  const vectors = tridiagonalVectors(three, values, key);
  const count = vectors.length;
  const x = new Float64Array(size * count);
  for (const [c, vector] of vectors.entries()) for (let i = 0; i < size; i++) x[i * count + c] = vector[i]!;
  applyReflections(three, x, count);
  applyReflectors(reduced, x, count, { transposed: false });
  return rowsOf(x, size, count);
}

/** Singular values and vectors of the matrix within the span of orthonormal vectors of its shorter side. */
async function rayleighRitz(products: BlockProducts, matrix: LargeMatrix, basis: Frame): Promise<Svd> {
  const tall = matrix.rows > matrix.columns;
  const images = await (tall ? timesVectors : timesTransposed)(products, matrix, basis);
  // images' = Q R, R = U S V': the other side's vectors are Q U, those of the basis basis' V.
  const panel = columnsOf(images, images.length);
  const { count, length } = images;
  const { v, t } = factorPanel(panel, length, count, count);
  const inner = svd({ rows: count, columns: count, data: triangle(panel, count) });
  const orthogonal = columnsOf(inner.left, length); // U above zeros
  const reflectors = [{ from: 0, rows: length, count, v, t }];
  applyReflectors({ reflectors }, orthogonal, count, { transposed: false });
  const other = rowsOf(orthogonal, length, count);
  const own = combined(inner.right, basis);
  return {
    singularValues: inner.singularValues,
    ...(tall ? { left: other, right: own } : { left: own, right: other }),
  };
}

function triangle(panel: Float64Array, count: number): Float64Array {
  return Float64Array.from({ length: count * count }, (_, at) =>
    at % count >= Math.floor(at / count) ? panel[at]! : 0,
  );
}

/** Each new vector is a sum of those of the basis. weights [count, basis.count] -> [count, length] */
function combined(weights: Frame, { length, data }: Frame): Frame {
  const { count } = weights;
  const out = new Float64Array(count * length);
  for (let i = 0; i < count; i++)
    for (let k = 0; k < weights.length; k++) {
      const weight = weights.data[i * weights.length + k]!;
      for (let j = 0; j < length; j++) out[i * length + j]! += weight * data[k * length + j]!;
    }
  return { count, length, data: out };
}

/** Vectors as columns, of which there may be more rows than the vectors are long: zeros. [rows, count] */
function columnsOf({ count, length, data }: Frame, rows: number): Float64Array {
  const out = new Float64Array(rows * count);
  for (let c = 0; c < count; c++) for (let i = 0; i < length; i++) out[i * count + c] = data[c * length + i]!;
  return out;
}

function rowsOf(columns: Float64Array, length: number, count: number): Frame {
  const data = new Float64Array(count * length);
  for (let c = 0; c < count; c++) for (let i = 0; i < length; i++) data[c * length + i] = columns[i * count + c]!;
  return { count, length, data };
}

const noFrame = (length: number): Frame => ({ count: 0, length, data: new Float64Array(0) });

const squaredNorms = (vectors: Frame): Float64Array =>
  Float64Array.from({ length: vectors.count }, (_, i) => squaredNorm(vectorOf(vectors, i)));
