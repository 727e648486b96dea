import {
  type BlockProducts,
  columnSpaceOf,
  type Frame,
  firstOf,
  type LargeMatrix,
  largeColumnSpace,
  largeDirections,
  type Matrix,
  numericalRank,
  sinThetaAll,
  sinThetas,
  squaredFrobenius,
  squaredNorm,
  svd,
  timesVectors,
  vectorOf,
} from "../analysis/index.js";
import { fillNormal, type RandomKey, randomKey } from "../random/index.js";

/** Singular directions of dW that are decomposed, and how many random vectors stand for the others. */
export const DIRECTIONS = 64;
const PROBES = 32;
/** Up to this many rows or columns a dense decomposition in float64 takes seconds and is right to rounding. */
const DENSE = 256;

/** A share with how it was found: exact, or estimated from `n` random vectors with a 95% interval. */
export interface Estimate {
  readonly value: number;
  readonly n?: number;
  readonly low?: number;
  readonly high?: number;
}

/** What happened to one matrix. */
export interface MatrixChange {
  /** Of dW, all, from the largest. [min(rows, columns)] */
  readonly singularValues: Float64Array;
  /** Its first directions, none that is only rounding: none of a zero dW. [<= DIRECTIONS, rows] and [.., columns] */
  readonly left: Frame;
  readonly right: Frame;
  /** sin theta_i of each of them against the column space of W. */
  readonly sines: Float64Array;
  /** |(I - P) dW|_F / |dW|_F; undefined of a zero dW. */
  readonly all: Estimate | undefined;
}

export interface MatrixChanges {
  /** Of W. */
  readonly singularValues: Float64Array;
  /** r(W), 99% of the energy. */
  readonly rank: number;
  readonly changes: readonly MatrixChange[];
}

/**
 * Measures 2 of one matrix against one or more changed ones, which are read one after another: W and one W_ST are in memory at a time. Small matrices by a
 * dense decomposition; large ones by products (analysis/largeSvd.ts), where `all` is exact on the first directions and estimated on the rest.
 * @throws RangeError when a number is not finite.
 */
export async function matrixChanges(
  products: BlockProducts,
  before: Matrix,
  changed: readonly (() => Promise<Matrix["data"]>)[],
  signal?: AbortSignal,
): Promise<MatrixChanges> {
  return Math.min(before.rows, before.columns) <= DENSE
    ? denseChanges(before, changed)
    : largeChanges(products, before, changed, signal);
}

async function denseChanges(
  before: Matrix,
  changed: readonly (() => Promise<Matrix["data"]>)[],
): Promise<MatrixChanges> {
  const own = svd(before);
  const space = columnSpaceOf(own);
  const changes: MatrixChange[] = [];
  for (const read of changed) {
    const after = await read();
    const delta = { ...before, data: Float64Array.from(after, (value, i) => value - before.data[i]!) };
    const found = svd(delta);
    const count = Math.min(DIRECTIONS, numericalRank(found));
    const all = sinThetaAll(space, delta);
    changes.push({
      singularValues: found.singularValues,
      left: firstOf(found.left, count),
      right: firstOf(found.right, count),
      sines: sinThetas(space, found, DIRECTIONS),
      all: all === undefined ? undefined : { value: all },
    });
  }
  return { singularValues: own.singularValues, rank: space.count, changes };
}

/** What of a large dW is compared with the column space of W once that is known. */
interface Found {
  readonly singularValues: Float64Array;
  readonly left: Frame;
  readonly right: Frame;
  /** The rest of dW, without its first directions, times random vectors. [PROBES, rows] */
  readonly probes: Frame;
  /** |dW|_F² and what of it the rest holds. */
  readonly energy: number;
  readonly rest: number;
}

async function largeChanges(
  products: BlockProducts,
  before: Matrix,
  changed: readonly (() => Promise<Matrix["data"]>)[],
  signal: AbortSignal | undefined,
): Promise<MatrixChanges> {
  const found: Found[] = [];
  for (const read of changed) {
    const delta: LargeMatrix = { ...before, data: await read(), minus: before.data };
    found.push(await decomposed(products, delta, signal));
  }
  const vectors = stacked(
    found.flatMap(({ left, probes }) => [left, probes]),
    before.rows,
  );
  const space = await largeColumnSpace(products, before, vectors, { signal });
  let at = 0;
  const changes = found.map(({ singularValues, left, right, probes, energy, rest }): MatrixChange => {
    const outside = space.outside.subarray(at, at + left.count);
    const beyond = space.outside.subarray(at + left.count, at + left.count + probes.count);
    at += left.count + probes.count;
    const first = singularValues.subarray(0, left.count);
    const all = energy === 0 ? undefined : shareOutside(first, outside, { probes, beyond, energy, rest });
    return { singularValues, left, right, sines: outside.map(Math.sqrt), all };
  });
  return { singularValues: space.singularValues, rank: space.rank, changes };
}

/** Keys of the random start and of the random vectors. Fixed: a matrix has one answer. */
const START: RandomKey = randomKey(0, "audit start");
const PROBE: RandomKey = randomKey(0, "audit probes");

async function decomposed(
  products: BlockProducts,
  delta: LargeMatrix,
  signal: AbortSignal | undefined,
): Promise<Found> {
  const { singularValues, left, right } = await largeDirections(products, delta, {
    count: DIRECTIONS,
    key: START,
    signal,
  });
  const energy = squaredFrobenius(delta);
  const rest = Math.max(0, energy - squaredNorm(singularValues.subarray(0, left.count)));
  const random = { count: energy === 0 ? 0 : PROBES, length: delta.columns };
  const normal = new Float64Array(random.count * random.length);
  fillNormal(PROBE, 0, normal);
  const probes = await withoutDirections(products, delta, { ...random, data: normal }, left);
  return { singularValues, left, right, probes, energy, rest };
}

/** (I - U U') dW z of every random z: the rest of dW. */
async function withoutDirections(
  products: BlockProducts,
  delta: LargeMatrix,
  random: Frame,
  left: Frame,
): Promise<Frame> {
  if (random.count === 0) return { count: 0, length: delta.rows, data: new Float64Array(0) };
  const images = await timesVectors(products, delta, random);
  for (let j = 0; j < images.count; j++) {
    const own = vectorOf(images, j);
    for (let i = 0; i < left.count; i++) {
      const direction = vectorOf(left, i);
      let along = 0;
      for (let k = 0; k < own.length; k++) along += direction[k]! * own[k]!;
      for (let k = 0; k < own.length; k++) own[k]! -= along * direction[k]!;
    }
  }
  return images;
}

/**
 * |(I - P) dW|_F / |dW|_F: sum of sigma_i² sin² theta_i over the first directions, exactly, and |(I - P) rest|² as the rest's own energy times the ratio
 * of the random vectors' energies outside and in all (Hutchinson 1989, as a ratio).
 */
function shareOutside(
  singularValues: Float64Array,
  outside: Float64Array,
  {
    probes,
    beyond,
    energy,
    rest,
  }: Record<"energy" | "rest", number> & { readonly probes: Frame; readonly beyond: Float64Array },
): Estimate {
  let exact = 0;
  for (const [i, sigma] of singularValues.entries()) exact += sigma ** 2 * outside[i]!;
  const whole = Float64Array.from({ length: probes.count }, (_, i) => squaredNorm(vectorOf(probes, i)));
  const mean = whole.reduce((sum, value) => sum + value, 0) / probes.count;
  // A rest that is only rounding says nothing: its share of the energy is none.
  if (!(mean > 0) || rest <= 1e-12 * energy) return { value: Math.sqrt(exact / energy) };
  const ratio = beyond.reduce((sum, value) => sum + value, 0) / probes.count / mean;
  let squares = 0;
  for (let i = 0; i < probes.count; i++) squares += ((beyond[i]! - ratio * whole[i]!) / mean) ** 2;
  const error = Math.sqrt(squares / (probes.count - 1) / probes.count);
  const share = (part: number) => Math.sqrt(Math.min(1, Math.max(0, (exact + rest * part) / energy)));
  return {
    value: share(ratio),
    n: probes.count,
    low: share(ratio - 1.96 * error),
    high: share(ratio + 1.96 * error),
  };
}

function stacked(frames: readonly Frame[], length: number): Frame {
  const count = frames.reduce((sum, frame) => sum + frame.count, 0);
  const data = new Float64Array(count * length);
  let at = 0;
  for (const frame of frames) {
    data.set(frame.data, at);
    at += frame.data.length;
  }
  return { count, length, data };
}
