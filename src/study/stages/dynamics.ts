import {
  type Checkpoint,
  firstOf,
  joinSamples,
  lipschitz,
  numericalRank,
  randomSinTheta,
  svd,
  WEIGHT_MATRICES,
  type WeightMatrix,
  weightDelta,
} from "../../analysis/index.js";
import { selectRows } from "../../attack/index.js";
import { createStream, randomKey } from "../../random/index.js";
import type { Engine } from "../../tensor/index.js";
import { availableTestSets, type World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { measureBehaviour, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { clusterRows, POSITIONS, readSets, type WrittenSet, writtenSet } from "./clusters.js";
import { columnSpaceRows } from "./columnSpace.js";
import { meanRow } from "./sensitivity.js";
import { readSvd, type StoredSvd, svdStage } from "./svd.js";
import { loadTuningStep } from "./tune.js";
import { dynamicsSteps, type StudyModel, type Tuning } from "./tunings.js";

/** Single sines along a tuning are of the first direction only: a curve of each of fifteen would say little more. */
const DIRECTIONS = 1;

/** Samples per set whose gradients are taken at each step: a backward pass costs more than the other measures' forward passes. */
const SENSITIVITY_SAMPLES = 48;

/** Measure 5 of the first samples of every set at one step of tuning: mean gradient norms. */
async function sensitivityAt(
  engine: Engine,
  model: Checkpoint,
  world: World,
  sets: readonly WrittenSet[],
  from: { readonly checkpoint: string; readonly seed: number; readonly step: number },
): Promise<ResultRow[]> {
  const count = Math.min(SENSITIVITY_SAMPLES, sets[0]!.written.count);
  const few = sets.map(({ written }) => selectRows(written, [...Array(count).keys()]));
  const norms = await lipschitz(engine, model, joinSamples(few), { world, batch: 2 * count });
  const { uniform } = createStream(randomKey(from.seed, `bootstrap sensitivity steps ${from.checkpoint}`), from.step);
  return sets.map(({ set }, index) => ({
    ...{ measure: "sensitivity", metric: "lipschitz", ...from, set },
    ...meanRow(norms.subarray(index * count, (index + 1) * count), uniform),
  }));
}

/**
 * Behaviour, clusters, column space and sensitivity of one tuning at each of its kept steps, on every test set: rows with `step`. The last step is measured here
 * too, on the same few samples, so that a curve compares like with like.
 */
export function dynamicsStage(
  config: StudyConfig,
  world: World,
  { model, instruct }: { readonly model: StudyModel & { readonly tuning: Tuning }; readonly instruct: StudyModel },
  engine: EngineSource,
): Stage {
  const { stage, checkpoint, seed, pretrained, tuning } = model;
  const { dynamicsSamples: count, batch: most } = config.evaluate;
  const batch = Math.min(most, count);
  const measures = config.measures.filter((measure) =>
    (["behaviour", "clusters", "column-space", "sensitivity"] as const).some((one) => one === measure),
  );
  const spaces = measures.includes("column-space") ? svdStage(config, instruct) : undefined;
  const sets = availableTestSets(world);
  const steps = dynamicsSteps(config, tuning);
  const samples = count * sets.length * steps.length;
  return {
    kind: "dynamics",
    name: `dynamics ${checkpoint} seed ${seed}`,
    version: 2,
    config: { samples: count, batch, measures, steps, checkpoint, seed, positions: [...POSITIONS] },
    inputs: [stage, pretrained, ...(spaces ? [spaces] : [])],
    steps: steps.length * sets.length,
    ...estimateEvaluation(gptOf(config.model, world), { samples: 2 * samples, batch, time: world.time }),
    run: async (context) => {
      const folders = { tuned: context.input(stage), pretrained: context.input(pretrained), steps: config.tune.steps };
      const rows: ResultRow[] = [];
      for (const [index, step] of steps.entries()) {
        const after = await loadTuningStep(folders, step);
        const written: WrittenSet[] = [];
        for (const [at, set] of sets.entries()) {
          context.signal.throwIfAborted();
          const one = testSamples(world, set, seed, count);
          const from = { checkpoint, set, seed, step };
          const measured = await measureBehaviour(await engine(), after, { world, samples: one, batch }, from);
          if (measures.includes("behaviour")) rows.push(...measured.rows);
          written.push(writtenSet(world, set, one, measured.written));
          context.progress(index * sets.length + at + 1, steps.length * sets.length, `step ${step}: ${set}`);
        }
        if (measures.includes("sensitivity"))
          rows.push(...(await sensitivityAt(await engine(), after, world, written, { checkpoint, seed, step })));
        if (measures.includes("clusters")) {
          const key = randomKey(seed, `bootstrap clusters ${checkpoint} step ${step}`);
          const read = await readSets(await engine(), after, { world, sets: written, batch });
          for (let block = 0; block < config.model.blocks; block++) {
            context.signal.throwIfAborted();
            const options = { block, branches: world.branches.length, key };
            rows.push(...clusterRows(read, options, { checkpoint, seed, step }));
          }
        }
        if (spaces !== undefined) {
          context.signal.throwIfAborted();
          const before = await loadCheckpoint(context.input(pretrained));
          const spaceOf = await readSvd(context.input(spaces));
          rows.push(...columnSpacesOf({ before, after, spaceOf }, { checkpoint, seed, step }));
        }
      }
      await writeRows(context, rows);
    },
  };
}

/** The column space of one step's dW in every matrix, against the spaces of W_IT. */
function columnSpacesOf(
  {
    before,
    after,
    spaceOf,
  }: {
    readonly before: Checkpoint;
    readonly after: Checkpoint;
    readonly spaceOf: (block: number, matrix: WeightMatrix) => StoredSvd;
  },
  from: { readonly checkpoint: string; readonly seed: number; readonly step: number },
): ResultRow[] {
  return Array.from({ length: before.model.blocks }, (_, block) =>
    WEIGHT_MATRICES.flatMap((matrix) => {
      const delta = weightDelta(before, after, block, matrix);
      const found = svd(delta);
      const space = spaceOf(block, matrix);
      const kept = firstOf(found.left, Math.min(DIRECTIONS, numericalRank(found)));
      return columnSpaceRows(
        { before: space, delta: { singularValues: found.singularValues, left: kept }, matrix: delta },
        { directions: DIRECTIONS, chance: randomSinTheta(space.left.count, delta.rows) },
        { ...from, block: block + 1, matrix },
      );
    }),
  ).flat();
}
