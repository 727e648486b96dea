import { type Checkpoint, joinSamples, lipschitz } from "../../analysis/index.js";
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
import { measureBehaviour, type TrainedModel, testSamples } from "./behaviour.js";
import { gptOf } from "./checkpoints.js";
import { measureClusters, POSITIONS, type WrittenSet, writtenSet } from "./clusters.js";
import { meanRow } from "./sensitivity.js";
import { loadTuningStep } from "./tune.js";
import { dynamicsSteps, type Tuning } from "./tunings.js";

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
 * Behaviour, clusters and sensitivity of one tuning at each of its kept steps, on every test set: rows with `step`. The last step is measured here
 * too, on the same few samples, so that a curve compares like with like.
 */
export function dynamicsStage(
  config: StudyConfig,
  world: World,
  {
    stage,
    checkpoint,
    seed,
    pretrained,
    tuning,
  }: TrainedModel & { readonly pretrained: Stage; readonly tuning: Tuning },
  engine: EngineSource,
): Stage {
  const { dynamicsSamples: count, batch: most } = config.evaluate;
  const batch = Math.min(most, count);
  const measures = config.measures.filter(
    (measure) => measure === "behaviour" || measure === "clusters" || measure === "sensitivity",
  );
  const sets = availableTestSets(world);
  const steps = dynamicsSteps(config, tuning);
  const samples = count * sets.length * steps.length;
  return {
    kind: "dynamics",
    name: `dynamics ${checkpoint} seed ${seed}`,
    version: 1,
    config: { samples: count, batch, measures, steps, checkpoint, seed, positions: [...POSITIONS] },
    inputs: [stage, pretrained],
    steps: steps.length * sets.length,
    ...estimateEvaluation(gptOf(config.model, world), { samples: 2 * samples, batch, time: world.time }),
    run: async (context) => {
      const folders = { tuned: context.input(stage), pretrained: context.input(pretrained), steps: config.tune.steps };
      const rows: ResultRow[] = [];
      for (const [index, step] of steps.entries()) {
        const model = await loadTuningStep(folders, step);
        const written: WrittenSet[] = [];
        for (const [at, set] of sets.entries()) {
          context.signal.throwIfAborted();
          const one = testSamples(world, set, seed, count);
          const from = { checkpoint, set, seed, step };
          const measured = await measureBehaviour(await engine(), model, { world, samples: one, batch }, from);
          if (measures.includes("behaviour")) rows.push(...measured.rows);
          written.push(writtenSet(world, set, one, measured.written));
          context.progress(index * sets.length + at + 1, steps.length * sets.length, `step ${step}: ${set}`);
        }
        if (measures.includes("sensitivity"))
          rows.push(...(await sensitivityAt(await engine(), model, world, written, { checkpoint, seed, step })));
        if (!measures.includes("clusters")) continue;
        const key = randomKey(seed, `bootstrap clusters ${checkpoint} step ${step}`);
        const input = { world, sets: written, batch, key, onProgress: () => context.signal.throwIfAborted() };
        rows.push(...(await measureClusters(await engine(), model, input, { checkpoint, seed, step })));
      }
      await writeRows(context, rows);
    },
  };
}
