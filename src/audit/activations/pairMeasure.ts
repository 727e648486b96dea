import type { Vectors } from "../../analysis/index.js";
import { writeRows } from "../../study/assembleResults.js";
import type { ResultRow } from "../../study/results.js";
import type { Stage } from "../../study/stage.js";
import { type KeptActivations, readKept } from "./chunkFiles.js";
import { atPositions, bySet, type Kept } from "./keptSets.js";
import type { AuditModel } from "./model.js";
import type { Streams } from "./streamStages.js";

/** One block of both models. */
export interface PairBlock {
  readonly base: AuditModel;
  readonly tuned: AuditModel;
  /** Counts from 1. */
  readonly layer: number;
  /** The stages that kept the block's activations. */
  readonly kept: { readonly base: Kept; readonly tuned: Kept };
}

/** A measure that compares what the two models do in one block. */
interface PairMeasure {
  /** As in its rows: `activation-space`. */
  readonly measure: string;
  /** For people: "activation space". */
  readonly title: string;
  readonly version: number;
  /** Which of the activations. */
  readonly of: keyof KeptActivations;
  /** Its rows at one position, from each model's vectors by set; `measure` names the position too. */
  rows(base: Readonly<Record<string, Vectors>>, tuned: Readonly<Record<string, Vectors>>, measure: string): ResultRow[];
}

/** The stage of such a measure, at every position that was kept. */
export function pairMeasureStage(
  streams: Streams,
  { base, tuned, layer, kept }: PairBlock,
  { measure, title, version, of, rows }: PairMeasure,
): Stage {
  return {
    kind: `audit-${measure}`,
    name: `${title} block ${layer}`,
    version,
    config: { layer, checkpoints: [base.name, tuned.name], prompts: streams.prompts.sha256 },
    inputs: [...kept.base, ...kept.tuned],
    run: async (context) => {
      const all: ResultRow[] = [];
      for (const { position, measure: here } of atPositions(measure, kept.tuned)) {
        const read = async (stage: Stage) => bySet(streams, (await readKept(context.input(stage)))[of]);
        all.push(...rows(await read(kept.base[position]!), await read(kept.tuned[position]!), here));
      }
      await writeRows(context, all);
    },
  };
}
