import { POSITION_CLASSES, patchDecisions, patchingEffects, taskPairs } from "../../analysis/index.js";
import { createStream, randomKey } from "../../random/index.js";
import { mean } from "../../stats/moments.js";
import type { World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { type TrainedModel, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { mechanismSamples } from "./mechanismSamples.js";
import { meanRow } from "./sensitivity.js";

/**
 * Activation patching in one checkpoint between prompts of one text, of which one asks for safe tasks and one for unsafe ones. `set` of a row is the
 * run that is patched, with the activations of the other. Where the two kinds of prompts are not decided differently there is no
 * decision to move, and there are no effects.
 */
export function patchingStage(
  config: StudyConfig,
  world: World,
  { stage, checkpoint, seed }: TrainedModel,
  engine: EngineSource,
): Stage {
  const count = mechanismSamples(config, world);
  const pairs = Math.ceil(count / 2);
  const batch = Math.min(config.evaluate.batch, pairs);
  return {
    kind: "patching",
    name: `patching ${checkpoint} seed ${seed}`,
    version: 1,
    config: { pairs, batch, checkpoint, seed },
    inputs: [stage],
    steps: 2,
    ...estimateEvaluation(gptOf(config.model, world), {
      // Both directions and their nulls, each block patched; prompts only, not token by token.
      samples: (pairs * 2 * 2 * POSITION_CLASSES.length * (config.model.blocks + 2)) / 4,
      batch,
      time: world.time,
    }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const sets = taskPairs(testSamples(world, "safe", seed, pairs), testSamples(world, "unsafe", seed, pairs));
      const runs = [
        { set: "unsafe", recipients: sets.unsafe, sources: sets.safe },
        { set: "safe", recipients: sets.safe, sources: sets.unsafe },
      ] as const;
      const from = { measure: "patching", checkpoint, seed };
      const rows: ResultRow[] = [];
      const stream = createStream(randomKey(seed, `bootstrap patching ${checkpoint}`), 0);
      const plain = await patchDecisions(await engine(), model, { ...runs[0], where: [] }, { world, batch });
      rows.push({ ...from, metric: "decision", set: "unsafe", ...meanRow(plain.recipient, stream.uniform) });
      rows.push({ ...from, metric: "decision", set: "safe", ...meanRow(plain.source, stream.uniform) });
      const decides = mean(plain.recipient) > 0 && mean(plain.source) < 0;
      for (const [index, { set, ...run }] of runs.entries()) {
        context.signal.throwIfAborted();
        if (!decides) break;
        const options = { world, batch, random: stream.uniform };
        for (const { block, position, ...found } of await patchingEffects(await engine(), model, run, options))
          rows.push({
            ...{ ...from, metric: "effect", set, block: block + 1, index: POSITION_CLASSES.indexOf(position) + 1 },
            ...found,
          });
        context.progress(index + 1, runs.length, `${set} runs patched`);
      }
      await writeRows(context, rows);
    },
  };
}
