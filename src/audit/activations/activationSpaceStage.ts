import { activationSinThetas, firstOf, half, rowsOf, type Vectors } from "../../analysis/index.js";
import { writeRows } from "../../study/assembleResults.js";
import type { ResultRow } from "../../study/results.js";
import type { Stage } from "../../study/stage.js";
import { readKept } from "./chunkFiles.js";
import { atPositions, BRANCHES, bySet, CLASSES, inputsOf, type KeptOfPair } from "./keptSets.js";
import type { AuditModel } from "./model.js";
import { outsideShare, sampleSpan } from "./sampleSpan.js";
import type { Streams } from "./streamStages.js";

/** Directions that are measured one by one. */
const DIRECTIONS = 15;

/**
 * Measure 3 of one block: the angle between what activations span after and before tuning, beside the split half of the base model. Method §3.3. Rows of
 * `activation-space`, and at the first generated token of `activation-space-generated`.
 */
export function activationSpaceStage(
  streams: Streams,
  { base, tuned }: { readonly base: AuditModel; readonly tuned: AuditModel },
  layer: number,
  kept: KeptOfPair,
): Stage {
  return {
    kind: "audit-activation-space",
    name: `activation space block ${layer}`,
    version: 1,
    config: { layer, checkpoints: [base.name, tuned.name], prompts: streams.prompts.sha256 },
    inputs: inputsOf(kept),
    run: async (context) => {
      const rows: ResultRow[] = [];
      for (const { position, measure } of atPositions("activation-space", kept.tuned)) {
        const read = async (stage: Stage) => bySet(streams, (await readKept(context.input(stage))).activation);
        const [before, after] = [await read(kept.base[position]!), await read(kept.tuned[position]!)];
        for (const set of CLASSES)
          rows.push(...spaceRows([base.name, tuned.name], before[set]!, after[set]!, { measure, set, block: layer }));
      }
      await writeRows(context, rows);
    },
  };
}

/** Of one class at one position: the other half of the base model's activations, which is the null, and that of the tuned one's, against what the first half spans. */
function spaceRows(
  checkpoints: readonly [string, string],
  before: Vectors,
  after: Vectors,
  at: Pick<ResultRow, "measure" | "set" | "block">,
): ResultRow[] {
  const first = sampleSpan(half(before, 0, BRANCHES));
  const space = firstOf(first.directions, first.rank);
  const angles = (vectors: Vectors) => {
    const span = sampleSpan(vectors);
    return {
      single: activationSinThetas(space, { ...span, gram: new Float64Array(0) }, DIRECTIONS),
      all: outsideShare(space, vectors),
    };
  };
  const [null_, found] = [angles(half(before, 1, BRANCHES)), angles(half(after, 1, BRANCHES))];
  const n = rowsOf(half(after, 1, BRANCHES));
  return [null_, found].flatMap(({ single, all }, which): ResultRow[] => {
    const columns = { ...at, checkpoint: checkpoints[which]!, n };
    const angle = (metric: string, value: number, chance: number | undefined, index?: number): ResultRow => ({
      ...{ ...columns, metric, ...(index !== undefined && { index }), value },
      ...(chance !== undefined && { chance }),
    });
    return [
      ...Array.from(single, (value, i) => angle("sin-theta", value, null_.single[i], i + 1)),
      ...(all === undefined ? [] : [angle("sin-theta-all", all, null_.all)]),
    ];
  });
}
