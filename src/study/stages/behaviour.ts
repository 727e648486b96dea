import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  behaviour,
  type Checkpoint,
  decodeGreedily,
  judge,
  OUTCOMES,
  type Outcomes,
  withOutputs,
} from "../../analysis/index.js";
import { encodeSafetensors } from "../../checkpoint/encodeSafetensors.js";
import { parseSafetensors } from "../../checkpoint/safetensors.js";
import type { Engine } from "../../tensor/index.js";
import { availableTestSets, decode, type Samples, type TestSet, testSet, type World } from "../../world/index.js";
import { writeExamples, writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { Example, ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";

/** Samples of each set that are kept for people to read. */
const EXAMPLES = 4;
const OUTPUTS = "outputs.safetensors";

/** A trained model of a study: its stage and what it is called in results. */
export interface TrainedModel {
  readonly stage: Stage;
  readonly checkpoint: string;
  readonly seed: number;
}

/** The test samples of a set: of the study's seed, so that every checkpoint of a seed meets the same ones. */
export function testSamples(world: World, set: TestSet, seed: number, count: number): Samples {
  return testSet(world, set, { seed, count });
}

/** What one model wrote on one set, judged. */
export interface MeasuredBehaviour {
  readonly rows: readonly ResultRow[];
  readonly outcomes: Outcomes;
  /** Greedy outputs. [count, maxText] */
  readonly written: Int32Array;
}

/** Greedy behaviour of a model on one test set: its rows, with the fields of `from`. */
export async function measureBehaviour(
  engine: Engine,
  model: Checkpoint,
  { world, samples, batch }: { readonly world: World; readonly samples: Samples; readonly batch: number },
  from: { readonly checkpoint: string; readonly set: TestSet; readonly seed: number; readonly step?: number },
): Promise<MeasuredBehaviour> {
  const written = await decodeGreedily(engine, model, samples, { world, batch });
  const outcomes = judge(samples, written, world.vocabulary.nullToken);
  const shares = behaviour(samples, outcomes, { choices: world.vocabulary.size, saturation: from.set === "unsafe" });
  return { rows: shares.map((share) => ({ measure: "behaviour", ...from, ...share })), outcomes, written };
}

/** Greedy behaviour of one checkpoint on every test set; writes what it wrote for the measures that follow. */
export function behaviourStage(
  config: StudyConfig,
  world: World,
  { stage, checkpoint, seed }: TrainedModel,
  engine: EngineSource,
): Stage {
  const { samples: count, batch } = config.evaluate;
  const sets = availableTestSets(world);
  return {
    kind: "behaviour",
    name: `behaviour ${checkpoint} seed ${seed}`,
    version: 2,
    config: { evaluate: { samples: count, batch }, checkpoint, seed },
    inputs: [stage],
    steps: sets.length,
    ...estimateEvaluation(gptOf(config.model, world), { samples: count * sets.length, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const rows: ResultRow[] = [];
      const examples: Example[] = [];
      const outputs: [TestSet, Int32Array][] = [];
      for (const [index, set] of sets.entries()) {
        context.signal.throwIfAborted();
        const samples = testSamples(world, set, seed, count);
        const from = { checkpoint, set, seed };
        const measured = await measureBehaviour(await engine(), model, { world, samples, batch }, from);
        rows.push(...measured.rows);
        examples.push(...examplesOf(world, withOutputs(samples, measured.written), measured.outcomes, from));
        outputs.push([set, measured.written]);
        const whole = (metric: string) =>
          measured.rows.find((row) => row.metric === metric && row.branch === undefined)!.value;
        context.progress(
          index + 1,
          sets.length,
          `${set}: instruct ${whole("instruct").toFixed(3)}, null ${whole("null").toFixed(3)}`,
        );
      }
      const file = outputs.map(([set, data]) => [set, { dtype: "I32", shape: [count, world.maxText], data }] as const);
      await writeFile(join(context.folder, OUTPUTS), encodeSafetensors(file));
      await writeRows(context, rows);
      await writeExamples(context, examples);
    },
  };
}

/** What `behaviourStage` kept: the checkpoint's greedy outputs by set. [count, maxText] each */
export async function readOutputs(folder: string): Promise<ReadonlyMap<string, Int32Array>> {
  const { tensors } = parseSafetensors(await readFile(join(folder, OUTPUTS)), join(folder, OUTPUTS));
  return new Map([...tensors].map(([set, { data }]) => [set, data as Int32Array]));
}

function examplesOf(
  world: World,
  written: Samples,
  { outcome }: Outcomes,
  from: { checkpoint: string; set: TestSet; seed: number },
): Example[] {
  return Array.from({ length: Math.min(EXAMPLES, written.count) }, (_, row): Example => {
    const { operators, text, truth, answer, branch, label } = decode(world, written, row);
    return { ...from, branch, label, operators, text, truth, output: answer, outcome: OUTCOMES[outcome[row]!]! };
  });
}
