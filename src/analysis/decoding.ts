import { type GptConfig, greedyDecode } from "../model/index.js";
import { type Engine, program, unflatten } from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import type { Samples, World } from "../world/index.js";
import { inBatches } from "./inBatches.js";

/** A model at one checkpoint: its shape and its weights as one flat vector. */
export interface Checkpoint {
  readonly model: GptConfig;
  readonly parameters: Float32Array;
}

export interface DecodingOptions {
  readonly world: World;
  /** Samples that go through the model at once. */
  readonly batch: number;
}

export interface DecodeShape {
  readonly batch: number;
  /** Tokens of the longest prompt. */
  readonly time: number;
  /** Tokens to write. */
  readonly steps: number;
  readonly pad: number;
}

/** Greedy decoding of a batch as one program. */
export function decodeProgram(model: GptConfig, { batch, time, steps, pad }: DecodeShape) {
  const layout = gptLayout(model);
  return program(
    "decode",
    {
      parameters: { shape: [layout.size], dtype: "float32" },
      tokens: { shape: [batch, time], dtype: "int32" },
      lastIndex: { shape: [batch], dtype: "int32" },
    },
    ({ parameters, tokens, lastIndex }) => ({
      output: greedyDecode(model, unflatten(parameters, layout), { tokens, lastIndex, pad, steps }),
    }),
  );
}

/**
 * What the model writes by itself after each prompt, greedily, one token for each of the longest text: [count, maxText] ids. A sample's own
 * output is its first `textLength` tokens. The true answer is never fed.
 */
export async function decodeGreedily(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  { world, batch }: DecodingOptions,
): Promise<Int32Array> {
  const steps = world.maxText;
  const time = Math.max(...samples.answerStart);
  const { pad } = world.vocabulary;
  const executable = await engine.compile(decodeProgram(model, { batch, time, steps, pad }));
  const outputs = new Int32Array(samples.count * steps);
  await inBatches(samples.count, batch, async (rows, used) => {
    const tokens = new Int32Array(batch * time).fill(pad);
    for (const [i, row] of rows.entries()) {
      const from = row * samples.time;
      tokens.set(samples.tokens.subarray(from, from + samples.answerStart[row]!), i * time);
    }
    const lastIndex = rows.map((row) => samples.answerStart[row]! - 1);
    const { output } = await executable.run({ parameters, tokens, lastIndex });
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
