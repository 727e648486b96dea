import { fillNormal, randomKey } from "../random/index.js";
import type { ParameterLayout } from "../tensor/index.js";
import type { ParameterSpec } from "./config.js";

/**
 * Fresh weights as one flat vector, keyed by the seed. Each parameter has its own random stream, by its place in the list. [layout.size]
 */
export function initializeParameters(
  specs: readonly ParameterSpec[],
  layout: ParameterLayout,
  seed: number,
): Float32Array {
  const flat = new Float32Array(layout.size);
  const key = randomKey(seed, "initialize");
  for (const [index, { init }] of specs.entries()) {
    const { offset, size } = layout.slots[index]!;
    const view = flat.subarray(offset, offset + size);
    if ("fill" in init) view.fill(init.fill);
    else {
      fillNormal(key, index, view);
      for (let i = 0; i < view.length; i++) view[i]! *= init.std;
    }
  }
  return flat;
}

/** 1 where weight decay acts, 0 elsewhere. [layout.size] */
export function decayMask(specs: readonly ParameterSpec[], layout: ParameterLayout): Float32Array {
  const mask = new Float32Array(layout.size);
  for (const [index, { decay }] of specs.entries()) {
    const { offset, size } = layout.slots[index]!;
    if (decay) mask.fill(1, offset, offset + size);
  }
  return mask;
}
