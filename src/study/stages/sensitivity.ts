import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { lipschitz, spectralNorms } from "../../analysis/index.js";
import { selectRows } from "../../attack/index.js";
import { encodeSafetensors } from "../../checkpoint/encodeSafetensors.js";
import { parseSafetensors, type TensorValue } from "../../checkpoint/safetensors.js";
import { createStream, randomKey } from "../../random/index.js";
import { bootstrapMeanInterval, wilsonInterval } from "../../stats/intervals.js";
import { mean, quantile } from "../../stats/moments.js";
import { availableTestSets, type World } from "../../world/index.js";
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
/** A step of power iteration costs four times what a gradient does, and there are twelve: every fourth sample. */
const SPECTRAL_SHARE = 4;
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
  const { count, batch } = mechanismSamples(config, world);
  const spectralCount = Math.max(2, Math.floor(count / SPECTRAL_SHARE));
  const sets = availableTestSets(world);
  const passes = 3 + (8 * ITERATIONS) / SPECTRAL_SHARE;
  return {
    kind: "sensitivity",
    name: `sensitivity ${checkpoint} seed ${seed}`,
    version: 1,
    config: { samples: count, spectralSamples: spectralCount, iterations: ITERATIONS, batch, checkpoint, seed },
    inputs: [stage, behaviour, ...(reference === undefined ? [] : [reference])],
    steps: sets.length,
    // Prompts only, which are about half of a sequence.
    ...estimateEvaluation(gptOf(config.model, world), {
      samples: (count * sets.length * passes) / 4,
      batch,
      time: world.time,
    }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const outputs = await readOutputs(context.input(behaviour));
      const before = reference === undefined ? undefined : await readLipschitz(context.input(reference));
      const rows: ResultRow[] = [];
      const kept: [string, TensorValue][] = [];
      for (const [index, set] of sets.entries()) {
        context.signal.throwIfAborted();
        const { uniform } = createStream(randomKey(seed, `bootstrap sensitivity ${checkpoint}`), index);
        const from = { measure: "sensitivity", checkpoint, set, seed };
        const { written, succeeded } = firstWritten(world, set, outputs, { count, seed });
        const norms = await lipschitz(await engine(), model, written, { world, batch });
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
        const few = selectRows(written, [...Array(spectralCount).keys()]);
        const options = { world, batch: Math.min(batch, spectralCount), seed, iterations: ITERATIONS };
        const spectral = await spectralNorms(await engine(), model, few, options);
        const converged = spectral.changes.reduce((total, one) => total + Number(one < CONVERGED), 0);
        rows.push({ ...from, metric: "spectral-norm", ...meanRow(spectral.norms, uniform) });
        rows.push({
          ...{ ...from, metric: "spectral-converged", value: converged / spectralCount, n: spectralCount },
          ...wilsonInterval(converged, spectralCount),
        });
        context.progress(index + 1, sets.length, `${set}: lipschitz ${mean(norms).toFixed(2)}`);
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
