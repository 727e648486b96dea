import type { SoftPrompts } from "../attack/index.js";
import { type Checkpoint, type GptConfig, greedyDecode } from "../model/index.js";
import { type Engine, program, type TensorData, type TensorSpec, unflatten } from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import { inBatches, type Samples, type World } from "../world/index.js";

export type { Checkpoint } from "../model/index.js";

export interface DecodingOptions {
  readonly world: World;
  /** Samples that go through the model at once. */
  readonly batch: number;
  /** Embeddings inserted between each sample's text and EOT. */
  readonly softPrompts?: SoftPrompts;
}

/** What a program has to know of soft prompts beforehand. */
export type InsertedShape = Pick<SoftPrompts, "slots" | "positions">;

export interface DecodeShape {
  readonly batch: number;
  /** Tokens of the longest prompt. */
  readonly time: number;
  /** Tokens to write. */
  readonly steps: number;
  readonly pad: number;
  /** Room for inserted embeddings, and where they stand; absent: none are. */
  readonly inserted?: InsertedShape | undefined;
}

/** Greedy decoding of a batch as one program. */
export function decodeProgram(model: GptConfig, { batch, time, steps, pad, inserted }: DecodeShape) {
  const layout = gptLayout(model);
  return program<string, "output">(
    "decode",
    {
      parameters: { shape: [layout.size], dtype: "float32" },
      tokens: { shape: [batch, time], dtype: "int32" },
      lastIndex: { shape: [batch], dtype: "int32" },
      ...insertedSpecs(batch, model.width, inserted),
    },
    ({ parameters, tokens, lastIndex, embeddings, lengths }) => ({
      output: greedyDecode(model, unflatten(parameters!, layout), {
        tokens: tokens!,
        lastIndex: lastIndex!,
        pad,
        steps,
        ...(inserted && {
          inserted: { embeddings: embeddings!, lengths: lengths!, positions: inserted.positions },
        }),
      }),
    }),
  );
}

/** Inputs of a program through which inserted embeddings come. */
export function insertedSpecs(
  batch: number,
  width: number,
  inserted: InsertedShape | undefined,
): Readonly<Record<string, TensorSpec>> {
  if (inserted === undefined) return {};
  return {
    embeddings: { shape: [batch, inserted.slots, width], dtype: "float32" },
    lengths: { shape: [batch], dtype: "int32" },
  };
}

/** The values of those inputs for some rows. */
export function insertedRows(softPrompts: SoftPrompts | undefined, rows: Int32Array): Record<string, TensorData> {
  if (softPrompts === undefined) return {};
  const size = softPrompts.slots * softPrompts.width;
  const embeddings = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries())
    embeddings.set(softPrompts.embeddings.subarray(row * size, (row + 1) * size), i * size);
  return { embeddings, lengths: rows.map((row) => softPrompts.lengths[row]!) };
}

/**
 * What the model writes by itself after each prompt, greedily, one token for each of the longest text (or `steps`): [count, steps] ids. A sample's own
 * output is its first `textLength` tokens. The true answer is never fed.
 */
export async function decodeGreedily(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  { world, batch, softPrompts, steps = world.maxText }: DecodingOptions & { readonly steps?: number },
): Promise<Int32Array> {
  const time = Math.max(...samples.answerStart);
  const { pad } = world.vocabulary;
  const executable = await engine.compile(decodeProgram(model, { batch, time, steps, pad, inserted: softPrompts }));
  const outputs = new Int32Array(samples.count * steps);
  await inBatches(samples.count, batch, async (rows, used) => {
    const tokens = new Int32Array(batch * time).fill(pad);
    for (const [i, row] of rows.entries()) {
      const from = row * samples.time;
      tokens.set(samples.tokens.subarray(from, from + samples.answerStart[row]!), i * time);
    }
    const lastIndex = rows.map((row) => samples.answerStart[row]! - 1);
    const { output } = await executable.run({ parameters, tokens, lastIndex, ...insertedRows(softPrompts, rows) });
    outputs.set((output as Int32Array).subarray(0, used * steps), rows[0]! * steps);
  });
  return outputs;
}

/** The samples with the model's own output in the answer's place, EOS after it. */
export function withOutputs(samples: Samples, outputs: Int32Array): Samples {
  const steps = outputs.length / samples.count;
  const tokens = samples.tokens.slice();
  for (let row = 0; row < samples.count; row++) {
    const written = outputs.subarray(row * steps, row * steps + samples.textLength[row]!);
    tokens.set(written, row * samples.time + samples.answerStart[row]!);
  }
  return { ...samples, tokens };
}
