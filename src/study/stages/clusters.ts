import {
  type ClusterValue,
  clusters,
  covarianceSpectrum,
  firstShare,
  firstShareOfNoise,
  type MeanActivations,
  meanActivations,
  withOutputs,
} from "../../analysis/index.js";
import { UserError } from "../../errors.js";
import { createStream, randomKey } from "../../random/index.js";
import { availableTestSets, type World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { readOutputs, type TrainedModel, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";

/** How many output positions the mean activation spans: q of the method. */
export const POSITIONS = [1, 10] as const;

/**
 * Measure 1 of one checkpoint: how far safe and unsafe samples lie apart in every block, and where each jailbreak set lies between them.
 * @throws UserError when there are fewer than four samples a branch.
 */
export function clustersStage(
  config: StudyConfig,
  world: World,
  { stage, checkpoint, seed }: TrainedModel,
  behaviour: Stage,
  engine: EngineSource,
): Stage {
  const { samples: count, batch } = config.evaluate;
  const fewest = 4 * world.branches.length;
  if (count < fewest)
    throw new UserError(
      `evaluate.samples is ${count}, too few for the ${world.branches.length} branches of the world ${world.file.name}: both halves of a set must hold two samples of each; set it to at least ${fewest}.`,
    );
  const sets = availableTestSets(world);
  return {
    kind: "clusters",
    name: `clusters ${checkpoint} seed ${seed}`,
    version: 1,
    config: { evaluate: config.evaluate, checkpoint, seed, positions: [...POSITIONS] },
    inputs: [stage, behaviour],
    steps: sets.length + config.model.blocks,
    ...estimateEvaluation(gptOf(config.model, world), { samples: count * sets.length, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const outputs = await readOutputs(context.input(behaviour));
      const total = sets.length + model.model.blocks;
      const bySet = new Map<string, readonly MeanActivations[]>();
      for (const [index, set] of sets.entries()) {
        context.signal.throwIfAborted();
        const written = withOutputs(testSamples(world, set, seed, count), outputs.get(set)!);
        bySet.set(set, await meanActivations(await engine(), model, written, { world, batch, positions: POSITIONS }));
        context.progress(index + 1, total, `activations on ${set}`);
      }
      const rows: ResultRow[] = [];
      const key = randomKey(seed, `bootstrap clusters ${checkpoint}`);
      for (let block = 0; block < model.model.blocks; block++) {
        for (const [which, q] of POSITIONS.entries()) {
          context.signal.throwIfAborted();
          const vectors = (set: string) => {
            const { blocks, width } = bySet.get(set)![which]!;
            return { data: blocks[block]!, width };
          };
          const others = Object.fromEntries(
            sets.filter((set) => set !== "safe" && set !== "unsafe").map((set) => [set, vectors(set)]),
          );
          const { uniform } = createStream(key, block * POSITIONS.length + which);
          const values: ClusterValue[] = clusters({
            safe: vectors("safe"),
            unsafe: vectors("unsafe"),
            branches: world.branches.length,
            others,
            random: uniform,
          });
          for (const set of ["safe", "unsafe"]) {
            const { data, width } = vectors(set);
            values.push({
              metric: "sigma1-share",
              set,
              value: firstShare(covarianceSpectrum({ data, width })),
              n: count,
              chance: firstShareOfNoise(count, width),
            });
          }
          rows.push(
            ...values.map(
              (value): ResultRow => ({ measure: "clusters", checkpoint, block: block + 1, index: q, seed, ...value }),
            ),
          );
        }
        const separation = rows.findLast((row) => row.metric === "separation")!.value;
        context.progress(sets.length + block + 1, total, `block ${block + 1}: separation ${separation.toFixed(2)}`);
      }
      await writeRows(context, rows);
    },
  };
}
