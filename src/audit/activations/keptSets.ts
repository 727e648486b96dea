import type { Vectors } from "../../analysis/index.js";
import { createStream, randomKey } from "../../random/index.js";
import type { Stage } from "../../study/stage.js";
import type { Floats } from "./model.js";
import type { Streams } from "./streamStages.js";

/** The stages that kept a block's activations: at the last prompt token, which predicts the first generated one, and at the first generated token. */
export type Kept = readonly [Stage] | readonly [Stage, Stage];

/** A measure's name at each position that was kept: `NAME` at the last prompt token, `NAME-generated` at the first generated one. */
export function atPositions(measure: string, kept: Kept): { readonly position: number; readonly measure: string }[] {
  return kept.map((_, position) => ({ position, measure: position === 0 ? measure : `${measure}-generated` }));
}

/** Prompts have no branches to hold equally: halves are rows 0, 1, 4, 5, .. and the others of each set, in the order of the prompt file. */
export const BRANCHES = 1;
export const CLASSES = ["safe", "unsafe"] as const;
export const seeded = (purpose: string, step: number) => createStream(randomKey(0, purpose), step).uniform;

/** Rows of each set out of vectors of all prompts. data [prompts, width] */
export function bySet({ prompts: { prompts } }: Streams, data: Floats): Record<string, Vectors> {
  const width = data.length / prompts.length;
  const rows = new Map<string, number[]>();
  for (const [row, { set }] of prompts.entries()) rows.set(set, [...(rows.get(set) ?? []), row]);
  return Object.fromEntries(
    [...rows].map(([set, members]) => {
      const own = new Float32Array(members.length * width);
      for (const [i, row] of members.entries()) own.set(data.subarray(row * width, (row + 1) * width), i * width);
      return [set, { data: own, width }];
    }),
  );
}
