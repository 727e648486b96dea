import { firstOf, meanSquaredCosine, WEIGHT_MATRICES } from "../../analysis/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { readSvd, svdStage } from "./svd.js";
import type { StudyModel } from "./tunings.js";

/** How many of each dW's first directions span the spaces that are compared. */
const DIMENSIONS = [1, 2, 3, 5, 10, 15] as const;

/** Overlap of the first k left singular directions of two tunings' dW, in every matrix, against random subspaces. */
export function overlapStage(config: StudyConfig, a: StudyModel, b: StudyModel): Stage {
  const checkpoint = `${a.checkpoint}~${b.checkpoint}`;
  const { seed } = a;
  const svds = [svdStage(config, a), svdStage(config, b)] as const;
  const { blocks } = config.model;
  return {
    kind: "overlap",
    name: `overlap ${checkpoint} seed ${seed}`,
    version: 1,
    config: { checkpoint, seed, dimensions: [...DIMENSIONS] },
    inputs: [...svds],
    steps: blocks,
    estimateSeconds: 0.1,
    run: async (context) => {
      const [first, second] = [await readSvd(context.input(svds[0])), await readSvd(context.input(svds[1]))];
      const rows: ResultRow[] = [];
      for (let block = 0; block < blocks; block++) {
        for (const matrix of WEIGHT_MATRICES) {
          const [one, other] = [first(block, matrix).left, second(block, matrix).left];
          for (const k of DIMENSIONS.filter((most) => most <= Math.min(one.count, other.count)))
            rows.push({
              ...{ measure: "overlap", metric: "principal-angle-cosine", checkpoint, seed, block: block + 1, matrix },
              ...{
                index: k,
                value: meanSquaredCosine(firstOf(one, k), firstOf(other, k)),
                n: k,
                chance: k / one.length,
              },
            });
        }
        context.progress(block + 1, blocks);
      }
      await writeRows(context, rows);
    },
  };
}

/** The overlaps of a model with those before it: tunings of its seed at its rate, controls among them. */
export function overlapStages(config: StudyConfig, models: readonly StudyModel[], model: StudyModel): Stage[] {
  return models
    .slice(0, models.indexOf(model))
    .filter((one) => one.seed === model.seed && model.tuning !== undefined && one.tuning?.rate === model.tuning.rate)
    .map((one) => overlapStage(config, one, model));
}
