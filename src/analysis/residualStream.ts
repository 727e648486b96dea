import { promptBatch, promptTime } from "../attack/index.js";
import { atIndex, type GptConfig, gptForward } from "../model/index.js";
import { type Engine, type Program, program, type Tensor, unflatten } from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import { inBatches, type Samples, type World } from "../world/index.js";
import type { Vectors } from "./clusters.js";
import type { Checkpoint } from "./decoding.js";

/** The residual stream after every block at k: outputs `block0`, ... [batch, width]. */
export function residualStreamProgram(
  model: GptConfig,
  { batch, promptTime, pad }: { readonly batch: number; readonly promptTime: number; readonly pad: number },
): Program {
  const layout = gptLayout(model);
  return program<string, string>(
    "residual-stream",
    {
      parameters: { shape: [layout.size], dtype: "float32" },
      tokens: { shape: [batch, promptTime], dtype: "int32" },
      lastIndex: { shape: [batch], dtype: "int32" },
    },
    ({ parameters, tokens, lastIndex }) => {
      const { activations } = gptForward(model, unflatten(parameters!, layout), { tokens: tokens!, pad });
      const blocks = Array.from({ length: model.blocks }, (_, block): [string, Tensor] => [
        `block${block}`,
        atIndex(activations.get(`blocks.${block}.resid_post`)!, lastIndex!),
      ]);
      return Object.fromEntries(blocks);
    },
  );
}

/**
 * The residual stream after each block at k, the position that predicts the first output token: what the model knows of a prompt when it begins to
 * answer. One entry a block, [count, width] each.
 */
export async function residualStream(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  { world, batch }: { readonly world: World; readonly batch: number },
): Promise<readonly Vectors[]> {
  const { width } = model;
  const shape = { batch, promptTime: promptTime(world), pad: world.vocabulary.pad };
  const executable = await engine.compile(residualStreamProgram(model, shape));
  const blocks = Array.from({ length: model.blocks }, () => new Float32Array(samples.count * width));
  await inBatches(samples.count, batch, async (rows, used) => {
    const { tokens, lastIndex } = promptBatch(world, samples, rows);
    const out = await executable.run({ parameters, tokens, lastIndex });
    for (const [block, kept] of blocks.entries())
      kept.set((out[`block${block}`] as Float32Array).subarray(0, used * width), rows[0]! * width);
  });
  return blocks.map((data) => ({ data, width }));
}
