import { cast, constant, type FloatDType, gather, reshape, rotary, type Tensor } from "../tensor/index.js";
import type { Rope } from "./decoderConfig.js";

/**
 * Rotary frequencies of one head, in radians per position: theta_i = theta^(-2i / d), i = 0..d/2-1 (Su et al. 2021), stretched where the model
 * was made for longer texts. `linear`: all divided by the factor (Chen et al. 2023). `llama3`: those whose wave is longer than
 * originalContext / lowFrequencyFactor are divided, those shorter than originalContext / highFrequencyFactor are kept, and between the two
 * they go over linearly in originalContext / wavelength (Llama 3.1). [headWidth / 2]
 */
export function ropeFrequencies({ theta, scaling }: Rope, headWidth: number): Float64Array {
  return Float64Array.from({ length: headWidth / 2 }, (_, i) => {
    const frequency = theta ** ((-2 * i) / headWidth);
    if (scaling === null) return frequency;
    if (scaling.type === "linear") return frequency / scaling.factor;
    const { factor, lowFrequencyFactor, highFrequencyFactor, originalContext } = scaling;
    const waves = (originalContext * frequency) / (2 * Math.PI); // in the original context
    if (waves < lowFrequencyFactor) return frequency / factor;
    if (waves > highFrequencyFactor) return frequency;
    const kept = (waves - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
    return ((1 - kept) * frequency) / factor + kept * frequency;
  });
}

/** Cosines and sines of each token's angles, which broadcast over heads. [batch, 1, time, headWidth] each */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * The rotations of tokens at `positions`, int32 [batch, time], all below `length`. Angles are computed in float64 whatever the dtype: a float32
 * product of a late position and a frequency is wrong in its third digit after the point.
 */
export function rotations(
  rope: Rope,
  headWidth: number,
  positions: Tensor,
  length: number,
  dtype: FloatDType,
): Rotation {
  const [batch, time] = positions.shape as [number, number];
  const frequencies = ropeFrequencies(rope, headWidth);
  const half = frequencies.length;
  // Each angle stands twice: dimension i is turned together with i + d/2.
  const table = (turn: (angle: number) => number) =>
    Float64Array.from({ length: length * headWidth }, (_, at) =>
      turn(Math.floor(at / headWidth) * frequencies[at % half]!),
    );
  const rows = (turn: (angle: number) => number) =>
    reshape(cast(gather(constant(table(turn), [length, headWidth], dtype), positions), dtype), [
      batch,
      1,
      time,
      headWidth,
    ]);
  return { cos: rows(Math.cos), sin: rows(Math.sin) };
}

/** Queries or keys turned to their positions. x [batch, heads, time, headWidth] */
export function rotate(x: Tensor, { cos, sin }: Rotation): Tensor {
  return rotary(x, cos, sin);
}
