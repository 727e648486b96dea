import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { joinSamples, lipschitz, spectralNorms } from "../../analysis/index.js";
import { selectRows } from "../../attack/index.js";
import { encodeSafetensors } from "../../checkpoint/encodeSafetensors.js";
import { parseSafetensors, type TensorValue } from "../../checkpoint/safetensors.js";
import { createStream, randomKey } from "../../random/index.js";
import { bootstrapMeanInterval, wilsonInterval } from "../../stats/intervals.js";
import { mean, quantile, sum } from "../../stats/moments.js";
import { availableTestSets, type TestSet, type World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { readOutputs, type TrainedModel } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { firstWritten, mechanismSamples } from "./mechanismSamples.js";

/** Each sample's local Lipschitz constant by set: what later checkpoints are paired with. [samples] each */
const LIPSCHITZ = "lipschitz.safetensors";
/** Steps of power iteration, and the growth in the last of them below which a norm counts as converged. */
const ITERATIONS = 12;
const CONVERGED = 0.01;
/** A step of power iteration costs more than a gradient, and there are twelve: a quarter of safe and unsafe samples, an eighth of other sets. */
const spectralSamples = (set: TestSet, count: number) =>
  Math.max(2, Math.floor(count / (set === "safe" || set === "unsafe" ? 4 : 8)));
/** The fewest attempts of one outcome that are measured apart. */
const FEWEST = 8;
/** 5, 10, .., 95 percent. */
const PERCENTS = Array.from({ length: 19 }, (_, i) => 5 * (i + 1));

/** The mean of some samples' values as rows have it. */
export function meanRow(values: ArrayLike<number>, random: () => number) {
  return { value: mean(values), n: values.length, ...bootstrapMeanInterval(values, { random }) };
}

/**
 * Measure 5 of one checkpoint on every test set: norms of the gradient of the largest logit, whole, by outcome, as quantiles and against W_IT on the
 * same samples (`reference`: its stage), and of the Jacobian.
 */
export function sensitivityStage(
  config: StudyConfig,
  world: World,
  {
    model: { stage, checkpoint, seed },
    behaviour,
    reference,
  }: { readonly model: TrainedModel; readonly behaviour: Stage; readonly reference?: Stage | undefined },
  engine: EngineSource,
): Stage {
  const count = mechanismSamples(config, world);
  const { batch } = config.evaluate;
  const sets = availableTestSets(world);
  const few = sets.map((set) => spectralSamples(set, count));
  const passes = 3 * count * sets.length + 6 * ITERATIONS * sum(few);
  return {
    kind: "sensitivity",
    name: `sensitivity ${checkpoint} seed ${seed}`,
    version: 1,
    config: { samples: count, spectralSamples: few, iterations: ITERATIONS, batch, checkpoint, seed },
    inputs: [stage, behaviour, ...(reference === undefined ? [] : [reference])],
    steps: 2,
    // Prompts only, which are about half of a sequence.
    ...estimateEvaluation(gptOf(config.model, world), { samples: passes / 4, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const outputs = await readOutputs(context.input(behaviour));
      const before = reference === undefined ? undefined : await readLipschitz(context.input(reference));
      const all = sets.map((set) => firstWritten(world, set, outputs, { count, seed }));
      const allNorms = await lipschitz(await engine(), model, joinSamples(all.map(({ written }) => written)), {
        world,
        batch: Math.min(batch, count * sets.length),
      });
      context.progress(1, 2, "gradients");
      context.signal.throwIfAborted();
      const firstFew = all.map(({ written }, index) => selectRows(written, [...Array(few[index]!).keys()]));
      const spectral = await spectralNorms(await engine(), model, joinSamples(firstFew), {
        ...{ world, seed, iterations: ITERATIONS },
        batch: Math.min(batch, sum(few)),
      });
      context.progress(2, 2, "Jacobians");
      const rows: ResultRow[] = [];
      const kept: [string, TensorValue][] = [];
      for (const [index, { set, succeeded }] of all.entries()) {
        const { uniform } = createStream(randomKey(seed, `bootstrap sensitivity ${checkpoint}`), index);
        const from = { measure: "sensitivity", checkpoint, set, seed };
        const norms = allNorms.slice(index * count, (index + 1) * count);
        kept.push([set, { dtype: "F64", shape: [count], data: norms }]);
        rows.push({ ...from, metric: "lipschitz", ...meanRow(norms, uniform) });
        if (set !== "safe" && set !== "unsafe")
          for (const outcome of ["success", "failure"] as const) {
            const members = norms.filter((_, row) => (succeeded[row] === 1) === (outcome === "success"));
            if (members.length >= FEWEST)
              rows.push({ ...from, metric: "lipschitz", outcome, ...meanRow(members, uniform) });
          }
        for (const percent of PERCENTS)
          rows.push({
            ...{ ...from, metric: "lipschitz-quantile", index: percent },
            ...{ value: quantile(norms, percent / 100), n: count },
          });
        const reference = before?.get(set);
        if (reference !== undefined) {
          const change = norms.map((norm, row) => norm - reference[row]!);
          rows.push({ ...from, metric: "lipschitz-change", ...meanRow(change, uniform), chance: 0 });
        }
        const start = sum(few.slice(0, index));
        const own = (values: Float64Array) => values.slice(start, start + few[index]!);
        const converged = own(spectral.changes).filter((change) => change < CONVERGED).length;
        rows.push({ ...from, metric: "spectral-norm", ...meanRow(own(spectral.norms), uniform) });
        rows.push({
          ...{ ...from, metric: "spectral-converged", value: converged / few[index]!, n: few[index]! },
          ...wilsonInterval(converged, few[index]!),
        });
      }
      await writeFile(join(context.folder, LIPSCHITZ), encodeSafetensors(kept));
      await writeRows(context, rows);
    },
  };
}

async function readLipschitz(folder: string): Promise<ReadonlyMap<string, Float64Array>> {
  const path = join(folder, LIPSCHITZ);
  const { tensors } = parseSafetensors(await readFile(path), path);
  return new Map([...tensors].map(([set, { data }]) => [set, data as Float64Array]));
}
