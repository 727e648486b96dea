import { promptBatch, promptTime, type SoftPrompts } from "../attack/index.js";
import { afterStart, type GptConfig, promptStart } from "../model/index.js";
import { type Engine, program, slice, unflatten } from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import { inBatches, type Samples } from "../world/index.js";
import { blockMeans, emptyMeans, type MeanActivations, storeMeans, weighPositions } from "./activations.js";
import { type Checkpoint, type DecodingOptions, type InsertedShape, insertedRows, insertedSpecs } from "./decoding.js";

export interface SoftActivationsShape {
  readonly batch: number;
  /** Tokens of the longest prompt, EOT included. */
  readonly promptTime: number;
  /** Tokens of the longest output. */
  readonly answerTime: number;
  readonly inserted: InsertedShape;
  readonly means: number;
  readonly pad: number;
}

/** As `activationsProgram`, with embeddings inserted; `weights` count from EOT on: there is no place in them for a soft token. */
export function softActivationsProgram(
  model: GptConfig,
  { batch, promptTime, answerTime, inserted, means, pad }: SoftActivationsShape,
) {
  const layout = gptLayout(model);
  return program<string, string>(
    "soft-activations",
    {
      parameters: { shape: [layout.size], dtype: "float32" },
      tokens: { shape: [batch, promptTime], dtype: "int32" },
      lastIndex: { shape: [batch], dtype: "int32" },
      answers: { shape: [batch, answerTime], dtype: "int32" },
      weights: { shape: [batch, means, answerTime], dtype: "float32" },
      ...insertedSpecs(batch, model.width, inserted),
    },
    ({ parameters: flat, tokens, lastIndex, answers, weights, embeddings, lengths }) => {
      const parameters = unflatten(flat!, layout);
      const start = promptStart(model, parameters, { tokens: tokens!, lastIndex: lastIndex!, pad });
      const following = answerTime === 1 ? undefined : slice(answers!, 1, 0, answerTime - 1);
      const { activations } = afterStart(model, parameters, start, {
        inserted: { embeddings: embeddings!, lengths: lengths!, positions: inserted.positions },
        following,
      });
      const posts = [...activations].filter(([name]) => name.endsWith(".mlp.post"));
      return blockMeans(model, new Map(posts.map(([name, post]) => [name, slice(post, 1, inserted.slots)])), weights!);
    },
  );
}

/**
 * `meanActivations` of samples under a soft prompt: k is the shifted position, where EOT stands after the inserted embeddings, and nothing is read
 * at these. `samples` hold in the answer's place what the model itself wrote under the attack. Method §3.6.
 */
export async function softPromptActivations(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  {
    world,
    batch,
    softPrompts,
    positions,
  }: DecodingOptions & { readonly softPrompts: SoftPrompts; readonly positions: readonly number[] },
): Promise<readonly MeanActivations[]> {
  const means = emptyMeans(model, samples.count, positions);
  const { pad } = world.vocabulary;
  const shape = { batch, promptTime: promptTime(world), answerTime: world.maxText, inserted: softPrompts, pad };
  const executable = await engine.compile(softActivationsProgram(model, { ...shape, means: positions.length }));
  const time = world.maxText;
  await inBatches(samples.count, batch, async (rows, used) => {
    const { tokens, lastIndex, answers } = promptBatch(world, samples, rows);
    const weights = new Float32Array(batch * positions.length * time);
    for (const [i, row] of rows.entries())
      weighPositions(weights, { i, k: 0, length: samples.textLength[row]!, time, positions });
    const embeddings = insertedRows(softPrompts, rows);
    const out = await executable.run({ parameters, tokens, lastIndex, answers, weights, ...embeddings });
    storeMeans(means, out, rows, used);
  });
  return means;
}
