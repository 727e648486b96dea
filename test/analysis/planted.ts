import { type Frame, type Matrix, randomFrame, squaredNorm, vectorOf } from "../../src/analysis/linearAlgebra.js";
import { randomKey } from "../../src/random/index.js";

/** A random orthonormal frame under a name. */
export const frame = (name: string, count: number, length: number): Frame =>
  randomFrame(randomKey(5, name), 0, count, length);

/** sum of sigma_i u_i v_i'. */
export function fromSvd(left: Frame, singularValues: readonly number[], right: Frame): Matrix {
  const data = new Float64Array(left.length * right.length);
  for (const [i, sigma] of singularValues.entries()) {
    const [u, v] = [vectorOf(left, i), vectorOf(right, i)];
    for (let row = 0; row < left.length; row++)
      for (let column = 0; column < right.length; column++)
        data[row * right.length + column]! += sigma * u[row]! * v[column]!;
  }
  return { rows: left.length, columns: right.length, data };
}

/** Directions at `degrees` to the span of the first `inside` vectors of a frame: cos along vector i, sin along vector inside + i. */
export function atAngles(all: Frame, inside: number, degrees: readonly number[]): Frame {
  const data = new Float64Array(degrees.length * all.length);
  for (const [i, angle] of degrees.entries()) {
    const [within, outside] = [vectorOf(all, i), vectorOf(all, inside + i)];
    const radians = (angle * Math.PI) / 180;
    for (let j = 0; j < all.length; j++)
      data[i * all.length + j] = Math.cos(radians) * within[j]! + Math.sin(radians) * outside[j]!;
  }
  return { count: degrees.length, length: all.length, data };
}

export const degreesOf = (sine: number) => (Math.asin(Math.min(1, sine)) * 180) / Math.PI;

export const frobenius = ({ data }: Matrix) => Math.sqrt(squaredNorm(data));
