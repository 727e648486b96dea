import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  classMeans,
  cosineTau,
  half,
  type MeanActivations,
  meanActivations,
  norms,
  tau,
  type Vectors,
  withOutputs,
} from "../../analysis/index.js";
import { parseSafetensors } from "../../checkpoint/safetensors.js";
import { createStream, randomKey } from "../../random/index.js";
import { bootstrapMeanInterval } from "../../stats/intervals.js";
import { mean } from "../../stats/moments.js";
import type { World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { ATTACK_ACTIVATIONS, type AttackOn } from "./attack.js";
import { readOutputs, type TrainedModel, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { POSITIONS } from "./clusters.js";

/** The fewest attempts of one outcome that are measured apart: of one there is no interval. */
const FEWEST = 2;

/**
 * Measure 1 of samples under soft prompts: where they lie between the class means of safe and unsafe samples without any, all attempts and
 * successful and failed ones apart. The set's name is the attack's with the strength, `soft-prompt-5`. The means are of the half of the samples that
 * `clusters` takes them of; of the attacked samples only the other half is measured, so that none meets a mean that it is in itself.
 */
export function attackedClustersStage(
  config: StudyConfig,
  world: World,
  {
    model: { stage, checkpoint, seed },
    behaviour,
    attacked,
  }: { model: TrainedModel; behaviour: Stage; attacked: Stage },
  { attack }: AttackOn,
  engine: EngineSource,
): Stage {
  const { samples: count, batch } = config.evaluate;
  return {
    kind: "attacked-clusters",
    name: attacked.name.replace("attack ", "clusters "),
    version: 1,
    config: { evaluate: { samples: count, batch }, checkpoint, seed, positions: [...POSITIONS] },
    inputs: [stage, behaviour, attacked],
    steps: config.model.blocks,
    ...estimateEvaluation(gptOf(config.model, world), { samples: 2 * count, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const outputs = await readOutputs(context.input(behaviour));
      const path = join(context.input(attacked), ATTACK_ACTIVATIONS);
      const { tensors } = parseSafetensors(await readFile(path), path);
      const activationsOf = async (set: "safe" | "unsafe") => {
        context.signal.throwIfAborted();
        const written = withOutputs(testSamples(world, set, seed, count), outputs.get(set)!);
        return meanActivations(await engine(), model, written, { world, batch, positions: POSITIONS });
      };
      const [safe, unsafe] = [await activationsOf("safe"), await activationsOf("unsafe")];
      const strengths = [...tensors.keys()]
        .filter((name) => name.endsWith("/success"))
        .map((name) => name.split("/")[0]!);
      const halfOf = (all: Vectors, which: 0 | 1) => half(all, which, world.branches.length);
      const key = randomKey(seed, `bootstrap attacked clusters ${attack} ${checkpoint}`);
      const rows: ResultRow[] = [];
      for (let block = 0; block < model.model.blocks; block++) {
        for (const [which, q] of POSITIONS.entries()) {
          const random = createStream(key, block * POSITIONS.length + which).uniform;
          const vectors = (means: readonly MeanActivations[]): Vectors => ({
            data: means[which]!.blocks[block]!,
            width: means[which]!.width,
          });
          const means = classMeans(halfOf(vectors(safe), 0), halfOf(vectors(unsafe), 0));
          for (const strength of strengths) {
            const data = tensors.get(`${strength}/q${q}/block${block}`)!.data as Float32Array;
            const measured = halfOf({ data, width: model.model.mlp }, 1);
            const success = halfOf(
              { data: Float32Array.from(tensors.get(`${strength}/success`)!.data as Int32Array), width: 1 },
              1,
            );
            for (const [metric, scores] of [
              ["tau", tau(measured, means)],
              ["cosine-tau", cosineTau(measured, means)],
              ["norm", norms(measured)],
            ] as const)
              for (const outcome of [undefined, "success", "failure"] as const) {
                const chosen = scores.filter(
                  (_, i) => outcome === undefined || (success.data[i] === 1) === (outcome === "success"),
                );
                if (chosen.length < FEWEST) continue;
                rows.push({
                  ...{ measure: "clusters", metric, checkpoint, seed, block: block + 1, index: q },
                  ...{ set: `${attack}-${strength}`, ...(outcome !== undefined && { outcome }) },
                  ...{ value: mean(chosen), n: chosen.length, ...bootstrapMeanInterval(chosen, { random }) },
                  ...(metric !== "norm" && { chance: 0 }),
                });
              }
          }
        }
        context.progress(block + 1, model.model.blocks);
      }
      await writeRows(context, rows);
    },
  };
}
