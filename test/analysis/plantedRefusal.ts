import type { Checkpoint, GptConfig } from "../../src/model/index.js";
import { parameterView } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/step.js";
import type { World } from "../../src/world/index.js";

/** Axes of the residual stream on which the table of positions is next to nothing, and what stands there. */
export const AXES = { unsafe: 50, task: 52, zero: 54, refuse: 56, answer: 58 } as const;
const WIDTH = 64;

/**
 * A model that refuses where `unsafeTasks` stand in the prompt and writes the first letter elsewhere. Its embeddings mark task tokens and unsafe ones;
 * one head, of block `at`, reads the mark from the task tokens to every later position, on the axis `refuse`; the head of the model compares that axis
 * with a constant. The other blocks do nothing. So: until block `at` the decision stands at the task tokens, from it on at EOT, on one axis.
 */
export function plantedRefusal(
  world: World,
  {
    blocks,
    at,
    unsafeTasks,
  }: { readonly blocks: number; readonly at: number; readonly unsafeTasks: readonly number[] },
): Checkpoint {
  const { size, operators, terminals, nullToken } = world.vocabulary;
  const model: GptConfig = {
    ...{ vocabulary: size, context: world.time, width: WIDTH, blocks, heads: 1, mlp: 4, epsilon: 1e-5 },
    residual: "pre-ln",
  };
  const layout = gptLayout(model);
  const parameters = new Float32Array(layout.size);
  const view = (name: string) => parameterView(parameters, layout, name);
  for (let block = 0; block < blocks; block++)
    for (const norm of ["ln1", "ln2"]) view(`blocks.${block}.${norm}.weight`).fill(1);
  view("ln_final.weight").fill(1);
  const embed = view("embed.weight");
  for (let token = 0; token < size; token++) embed[token * WIDTH + AXES.answer] = 6;
  for (const token of operators) embed[token * WIDTH + AXES.task] = 4;
  for (const token of unsafeTasks) embed[token * WIDTH + AXES.unsafe] = 4;
  // Layer norm's mean divides out of a difference with an axis on which nothing stands. All queries are alike; task tokens' keys win.
  const qkv = view(`blocks.${at}.attn.qkv.weight`);
  const entry = (row: number, column: number, value: number) => {
    qkv[row * WIDTH + column] = value;
  };
  view(`blocks.${at}.attn.qkv.bias`)[0] = 1;
  entry(WIDTH, AXES.task, 60);
  entry(WIDTH, AXES.zero, -60);
  entry(2 * WIDTH, AXES.unsafe, 1);
  entry(2 * WIDTH, AXES.zero, -1);
  view(`blocks.${at}.attn.proj.weight`)[AXES.refuse * WIDTH] = 3;
  const unembed = view("unembed.weight");
  unembed[terminals[0]! * WIDTH + AXES.answer] = 1;
  unembed[nullToken * WIDTH + AXES.refuse] = 1;
  return { model, parameters };
}
