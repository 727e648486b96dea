import {
  halfRows,
  joinSamples,
  judge,
  type Labelled,
  OUTCOMES,
  probeAccuracy,
  residualStream,
  type Vectors,
} from "../../analysis/index.js";
import { createStream, randomKey } from "../../random/index.js";
import { availableTestSets, type TestSet, type World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { readOutputs, type TrainedModel, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { mechanismSamples } from "./mechanismSamples.js";

/** Labellings that the null is the mean of. */
const PERMUTATIONS = 4;

/** One set's residual streams by block, and which of its samples the model refused in full. */
interface ReadSet {
  readonly set: TestSet;
  readonly blocks: readonly Vectors[];
  readonly refused: Uint8Array;
}

/**
 * Linear probes on the residual stream at k of every block of one checkpoint: for the label, on the safe and unsafe sets, and for whether the model
 * itself will refuse, on all test sets. One half of each set trains, the other is told.
 */
export function probesStage(
  config: StudyConfig,
  world: World,
  { stage, checkpoint, seed }: TrainedModel,
  behaviour: Stage,
  engine: EngineSource,
): Stage {
  const count = mechanismSamples(config, world);
  const sets = availableTestSets(world);
  const batch = Math.min(config.evaluate.batch, count * sets.length);
  return {
    kind: "probes",
    name: `probes ${checkpoint} seed ${seed}`,
    version: 1,
    config: { samples: count, batch, permutations: PERMUTATIONS, checkpoint, seed },
    inputs: [stage, behaviour],
    steps: config.model.blocks,
    ...estimateEvaluation(gptOf(config.model, world), { samples: count * sets.length, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const outputs = await readOutputs(context.input(behaviour));
      const samples = sets.map((set) => testSamples(world, set, seed, count));
      const blocks = await residualStream(await engine(), model, joinSamples(samples), { world, batch });
      const read = sets.map((set, index): ReadSet => {
        const written = outputs.get(set)!.subarray(0, count * world.maxText);
        const { outcome } = judge(samples[index]!, written, world.vocabulary.nullToken);
        const own = ({ data, width }: Vectors) => ({
          data: data.subarray(index * count * width, (index + 1) * count * width),
          width,
        });
        return { set, blocks: blocks.map(own), refused: outcome.map((one) => Number(OUTCOMES[one] === "null")) };
      });
      const ruled = read.filter(({ set }) => set === "safe" || set === "unsafe");
      const questions = [
        { metric: "unsafe-accuracy", of: ruled, label: ({ set }: ReadSet) => Number(set === "unsafe") },
        { metric: "refuses-accuracy", of: read, label: ({ refused }: ReadSet, row: number) => refused[row]! },
      ];
      const rows: ResultRow[] = [];
      for (let block = 0; block < model.model.blocks; block++) {
        context.signal.throwIfAborted();
        for (const { metric, of, label } of questions) {
          const part = (which: 0 | 1) => labelled(of, block, halfRows(count, which, world.branches.length), label);
          const purpose = `${metric} ${checkpoint}`;
          const found = probeAccuracy(part(0), part(1), {
            permutations: PERMUTATIONS,
            key: randomKey(seed, `probe labels ${purpose} ${block}`),
            random: createStream(randomKey(seed, `bootstrap probes ${purpose}`), block).uniform,
          });
          if (found !== undefined)
            rows.push({ measure: "probes", metric, checkpoint, seed, block: block + 1, ...found });
        }
        const told = rows.findLast(({ metric }) => metric === "unsafe-accuracy");
        context.progress(block + 1, model.model.blocks, `block ${block + 1}: unsafe ${told?.value.toFixed(3) ?? "-"}`);
      }
      await writeRows(context, rows);
    },
  };
}

/** Rows `members` of every set, one set after the other, with their labels. */
function labelled(
  sets: readonly ReadSet[],
  block: number,
  members: readonly number[],
  label: (set: ReadSet, row: number) => number,
): Labelled {
  const { width } = sets[0]!.blocks[block]!;
  const data = new Float32Array(sets.length * members.length * width);
  const labels = new Uint8Array(sets.length * members.length);
  for (const [which, set] of sets.entries())
    for (const [i, row] of members.entries()) {
      const at = which * members.length + i;
      data.set(set.blocks[block]!.data.subarray(row * width, (row + 1) * width), at * width);
      labels[at] = label(set, row);
    }
  return { vectors: { data, width }, labels };
}
