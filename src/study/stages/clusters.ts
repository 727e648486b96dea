import {
  type Checkpoint,
  type ClusterValue,
  clusters,
  firstCovarianceShare,
  firstShareOfNoise,
  judge,
  type MeanActivations,
  meanActivations,
  OUTCOMES,
  withOutputs,
} from "../../analysis/index.js";
import { UserError } from "../../errors.js";
import { createStream, type RandomKey, randomKey } from "../../random/index.js";
import type { Engine } from "../../tensor/index.js";
import { availableTestSets, type Samples, type TestSet, type World } from "../../world/index.js";
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

/** A set's samples with what the model wrote, and which of its attempts succeeded (1 or 0). */
export interface WrittenSet {
  readonly set: TestSet;
  readonly written: Samples;
  readonly succeeded: Uint8Array;
}

/** The samples of a set with a model's greedy outputs [count, maxText] in the answers' place. */
export function writtenSet(world: World, set: TestSet, samples: Samples, outputs: Int32Array): WrittenSet {
  const { outcome } = judge(samples, outputs, world.vocabulary.nullToken);
  const succeeded = outcome.map((one) => Number(OUTCOMES[one] === "instruct"));
  return { set, written: withOutputs(samples, outputs), succeeded };
}

/** What `measureClusters` needs beside the model. */
export interface ClustersInput {
  readonly world: World;
  readonly sets: readonly WrittenSet[];
  readonly batch: number;
  /** Of the bootstrap. */
  readonly key: RandomKey;
  /** Called before each set and each block, with what is done; may throw to stop. */
  readonly onProgress?: (done: number, total: number, note: string) => void;
}

/** Measure 1 of one model in every block: its rows, with the fields of `from`. */
export async function measureClusters(
  engine: Engine,
  model: Checkpoint,
  { world, sets, batch, key, onProgress = () => {} }: ClustersInput,
  from: { readonly checkpoint: string; readonly seed: number; readonly step?: number },
): Promise<ResultRow[]> {
  const { blocks: blockCount } = model.model;
  const total = sets.length + blockCount;
  const bySet = new Map<string, readonly MeanActivations[]>();
  for (const [index, { set, written }] of sets.entries()) {
    bySet.set(set, await meanActivations(engine, model, written, { world, batch, positions: POSITIONS }));
    onProgress(index + 1, total, `activations on ${set}`);
  }
  const attacks = sets.filter(({ set }) => set !== "safe" && set !== "unsafe");
  const succeeded = Object.fromEntries(attacks.map((one) => [one.set, one.succeeded]));
  const rows: ResultRow[] = [];
  for (let block = 0; block < blockCount; block++) {
    for (const [which, q] of POSITIONS.entries()) {
      const vectors = (set: string) => {
        const { blocks, width } = bySet.get(set)![which]!;
        return { data: blocks[block]!, width };
      };
      const others = Object.fromEntries(attacks.map(({ set }) => [set, vectors(set)]));
      const { uniform } = createStream(key, block * POSITIONS.length + which);
      const values: ClusterValue[] = clusters({
        safe: vectors("safe"),
        unsafe: vectors("unsafe"),
        branches: world.branches.length,
        others,
        succeeded,
        random: uniform,
      });
      for (const set of ["safe", "unsafe"]) {
        const { data, width } = vectors(set);
        const count = data.length / width;
        values.push({
          metric: "sigma1-share",
          set,
          value: firstCovarianceShare({ data, width }),
          n: count,
          chance: firstShareOfNoise(count, width),
        });
      }
      rows.push(
        ...values.map((value): ResultRow => ({ measure: "clusters", ...from, block: block + 1, index: q, ...value })),
      );
    }
    const separation = rows.findLast((row) => row.metric === "separation")!.value;
    onProgress(sets.length + block + 1, total, `block ${block + 1}: separation ${separation.toFixed(2)}`);
  }
  return rows;
}

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
    version: 2,
    config: { evaluate: { samples: count, batch }, checkpoint, seed, positions: [...POSITIONS] },
    inputs: [stage, behaviour],
    steps: sets.length + config.model.blocks,
    ...estimateEvaluation(gptOf(config.model, world), { samples: count * sets.length, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const outputs = await readOutputs(context.input(behaviour));
      const rows = await measureClusters(
        await engine(),
        model,
        {
          world,
          sets: sets.map((set) => writtenSet(world, set, testSamples(world, set, seed, count), outputs.get(set)!)),
          batch,
          key: randomKey(seed, `bootstrap clusters ${checkpoint}`),
          onProgress: (done, total, note) => {
            context.progress(done, total, note);
            context.signal.throwIfAborted();
          },
        },
        { checkpoint, seed },
      );
      await writeRows(context, rows);
    },
  };
}
