import type { Checkpoint } from "../../analysis/index.js";
import { readCheckpointFolder, writeCheckpointFolder } from "../../checkpoint/checkpointFolder.js";
import { fromGpt2, toGpt2 } from "../../checkpoint/gpt2.js";
import type { GptConfig } from "../../model/index.js";
import type { World } from "../../world/index.js";
import type { StudyConfig } from "../config.js";

/** The GPT that a configuration asks for in a world. */
export function gptOf({ width, blocks, heads, mlp, residual }: StudyConfig["model"], world: World): GptConfig {
  return { vocabulary: world.vocabulary.size, context: world.time, width, blocks, heads, mlp, residual, epsilon: 1e-5 };
}

/** What a checkpoint says of itself, beside its weights. */
export interface CheckpointNote {
  readonly checkpoint: string;
  readonly seed: number;
  readonly world: World;
}

/** Writes a Hugging Face folder: `config.json` and `model.safetensors`. */
export async function saveCheckpoint(
  folder: string,
  { model, parameters }: Checkpoint,
  { checkpoint, seed, world }: CheckpointNote,
): Promise<void> {
  const { bos, eos, pad, names } = world.vocabulary;
  const { config, tensors } = toGpt2(
    { model, flat: parameters },
    {
      bos_token_id: bos,
      eos_token_id: eos,
      pad_token_id: pad,
      nullscope: { checkpoint, seed, world: world.hash, vocabulary: names },
    },
  );
  await writeCheckpointFolder(folder, {
    config,
    tensors: tensors.map(({ name, shape, data }) => [name, { dtype: "F32", shape, data }] as const),
  });
}

/** Reads what `saveCheckpoint` wrote. */
export async function loadCheckpoint(folder: string): Promise<Checkpoint> {
  const { config, tensors } = await readCheckpointFolder(folder);
  try {
    const read = new Map<string, { shape: readonly number[]; data: Float32Array | Float64Array }>();
    for (const [name, { shape }] of tensors.tensors) read.set(name, { shape, data: await tensors.readFloats(name) });
    const { model, flat } = fromGpt2(config, read, folder);
    return { model, parameters: flat };
  } finally {
    await tensors.close();
  }
}
