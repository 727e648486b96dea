import { activationSinThetas, firstOf, half, rowsOf, type Vectors } from "../../analysis/index.js";
import type { ResultRow } from "../../study/results.js";
import type { Stage } from "../../study/stage.js";
import { BRANCHES, CLASSES } from "./keptSets.js";
import { type PairBlock, pairMeasureStage } from "./pairMeasure.js";
import { outsideShare, sampleSpan } from "./sampleSpan.js";
import type { Streams } from "./streamStages.js";

/** Directions that are measured one by one. */
const DIRECTIONS = 15;

/**
 * Measure 3 of one block: the angle between what activations span after and before tuning, beside the split half of the base model. Method §3.3. Rows of
 * `activation-space`, and at the first generated token of `activation-space-generated`.
 */
export function activationSpaceStage(streams: Streams, block: PairBlock): Stage {
  const { base, tuned, layer } = block;
  return pairMeasureStage(streams, block, {
    measure: "activation-space",
    title: "activation space",
    version: 1,
    of: "activation",
    rows: (before, after, measure) =>
      CLASSES.flatMap((set) =>
        spaceRows([base.name, tuned.name], before[set]!, after[set]!, { measure, set, block: layer }),
      ),
  });
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
