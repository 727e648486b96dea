import type { BandMatrix } from "./bandReduction.js";

/** B = Q T Q': three diagonals, and Q as the reflections whose product it is. */
export interface TridiagonalReduction {
  readonly size: number;
  readonly width: number;
  /** [size] */
  readonly diagonal: Float64Array;
  /** Beside the diagonal; the last is 0. [size] */
  readonly beside: Float64Array;
  /** Every reflection in its order: tau, then its vector after the leading 1. `width` numbers each. Absent unless asked for. */
  readonly reflections?: Float64Array;
}

/**
 * A band matrix to three diagonals: each column is cleared by one reflection, and the bulge that it makes is chased off the end, column by column of
 * blocks. Murata and Horikoshi 1975; the second of two stages. 6 size² width operations. `carried` [size, count]: becomes Q' carried.
 */
export function bandToTridiagonal(
  { size, width, data }: BandMatrix,
  { keep = false, carried, count = 0 }: { keep?: boolean; carried?: Float64Array; count?: number } = {},
): TridiagonalReduction {
  // Element (i, j) of the lower half at i * stride + j + offset: rows lie along memory, and the bulge has room.
  const stride = 2 * width;
  const offset = stride;
  const work = new Float64Array((size + 1) * (stride + 1));
  for (let j = 0; j < size; j++)
    for (let d = 0; d <= width && j + d < size; d++) work[(j + d) * stride + j + offset] = data[j * (width + 1) + d]!;
  const kept = keep ? new Float64Array(reflectionCount(size, width) * width) : undefined;
  const [vector, along, across] = [new Float64Array(width), new Float64Array(width), new Float64Array(count)];
  let at = 0;
  for (const { column, row, length } of chase(size, width)) {
    const tau = makeReflection(work, { stride, offset, column, row, length }, vector);
    if (kept !== undefined) {
      kept.set(vector.subarray(0, length), at);
      kept[at] = tau;
      at += width;
    }
    if (tau === 0) continue;
    for (let j = column + 1; j < row; j++) {
      // The rest of the old bulge, from the left.
      let sum = 0;
      for (let i = 0; i < length; i++) sum += vector[i]! * work[(row + i) * stride + j + offset]!;
      sum *= tau;
      for (let i = 0; i < length; i++) work[(row + i) * stride + j + offset]! -= sum * vector[i]!;
    }
    bothSides(work, { stride, offset, row, length }, vector, tau, along);
    const below = Math.min(size, row + length + width);
    for (let i = row + length; i < below; i++) {
      const from = i * stride + row + offset;
      let sum = 0;
      for (let j = 0; j < length; j++) sum += work[from + j]! * vector[j]!;
      sum *= tau;
      for (let j = 0; j < length; j++) work[from + j]! -= sum * vector[j]!;
    }
    if (carried !== undefined) reflect(carried, across, row, vector, { length, tau });
  }
  const diagonal = Float64Array.from({ length: size }, (_, i) => work[i * stride + i + offset]!);
  const beside = Float64Array.from({ length: size }, (_, i) =>
    i + 1 < size ? work[(i + 1) * stride + i + offset]! : 0,
  );
  return { size, width, diagonal, beside, ...(kept !== undefined && { reflections: kept }) };
}

/** Q x of vectors x [size, count] row-major, overwritten: the reflections from the last to the first. */
export function applyReflections({ size, width, reflections }: TridiagonalReduction, x: Float64Array, count: number) {
  if (reflections === undefined) throw new Error("the reflections were not kept");
  const [vector, along] = [new Float64Array(width), new Float64Array(count)];
  const steps = [...chase(size, width)];
  for (let step = steps.length - 1; step >= 0; step--) {
    const { row, length } = steps[step]!;
    const tau = reflections[step * width]!;
    if (tau === 0) continue;
    vector.set(reflections.subarray(step * width, (step + 1) * width));
    vector[0] = 1;
    reflect(x, along, row, vector, { length, tau });
  }
}

/** Which column is cleared below which row, by a reflection of how many rows, in order. */
function* chase(size: number, width: number): Generator<{ column: number; row: number; length: number }> {
  for (let first = 0; first < size - 2; first++)
    for (let column = first, row = first + 1; row < size - 1; column = row, row += width)
      yield { column, row, length: Math.min(width, size - row) };
}

function reflectionCount(size: number, width: number): number {
  let count = 0;
  for (let first = 0; first < size - 2; first++) count += Math.ceil((size - 2 - first) / width);
  return count;
}

/** The reflection that clears a column below `row`, and the column after it. vector[0] is 1; its tau, 0 where there is nothing to clear. */
function makeReflection(
  work: Float64Array,
  { stride, offset, column, row, length }: Record<"stride" | "offset" | "column" | "row" | "length", number>,
  vector: Float64Array,
): number {
  const index = (i: number) => (row + i) * stride + column + offset;
  const head = work[index(0)]!;
  let tail = 0;
  for (let i = 1; i < length; i++) tail += work[index(i)]! ** 2;
  vector[0] = 1;
  if (tail === 0) {
    vector.fill(0, 1, length);
    return 0;
  }
  const norm = head > 0 ? -Math.sqrt(head * head + tail) : Math.sqrt(head * head + tail);
  const scale = 1 / (head - norm);
  for (let i = 1; i < length; i++) {
    vector[i] = work[index(i)]! * scale;
    work[index(i)] = 0;
  }
  work[index(0)] = norm;
  return (norm - head) / norm;
}

/** H D H of the block on the diagonal, its lower half: D - v w' - w v', w = tau (D v - tau (v' D v) v / 2). */
function bothSides(
  work: Float64Array,
  { stride, offset, row, length }: Record<"stride" | "offset" | "row" | "length", number>,
  vector: Float64Array,
  tau: number,
  w: Float64Array,
): void {
  w.fill(0);
  for (let i = 0; i < length; i++) {
    const from = (row + i) * stride + row + offset;
    const x = vector[i]!;
    let sum = work[from + i]! * x;
    for (let j = 0; j < i; j++) {
      const value = work[from + j]!;
      sum += value * vector[j]!;
      w[j]! += value * x;
    }
    w[i]! += sum;
  }
  let form = 0;
  for (let i = 0; i < length; i++) form += vector[i]! * w[i]!;
  const half = 0.5 * tau * form;
  for (let i = 0; i < length; i++) w[i] = tau * (w[i]! - half * vector[i]!);
  for (let i = 0; i < length; i++) {
    const from = (row + i) * stride + row + offset;
    const [x, y] = [vector[i]!, w[i]!];
    for (let j = 0; j <= i; j++) work[from + j]! -= x * w[j]! + y * vector[j]!;
  }
}

/** H x on the rows from `row`. x [size, count]; along: room for `count` numbers. */
function reflect(
  x: Float64Array,
  along: Float64Array,
  row: number,
  vector: Float64Array,
  { length, tau }: { readonly length: number; readonly tau: number },
): void {
  const count = along.length;
  along.fill(0);
  for (let i = 0; i < length; i++) {
    const [value, at] = [vector[i]!, (row + i) * count];
    for (let c = 0; c < count; c++) along[c]! += value * x[at + c]!;
  }
  for (let i = 0; i < length; i++) {
    const [value, at] = [tau * vector[i]!, (row + i) * count];
    for (let c = 0; c < count; c++) x[at + c]! -= value * along[c]!;
  }
}
