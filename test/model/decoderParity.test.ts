import { afterAll, describe, expect, test } from "vitest";
import { openHuggingFace } from "../../src/checkpoint/huggingFace.js";
import {
  blockParameters,
  blockPrefix,
  type DecoderConfig,
  decoderBlock,
  decoderForward,
  decoderParameters,
} from "../../src/model/index.js";
import { type FloatDType, gradients, program, type Tensor, type TensorData } from "../../src/tensor/index.js";
import { cpuEngine } from "../engines.js";
import { fixture, readGolden, readJson } from "../fixtures.js";
import { atIndexOf, maxDifference } from "../numbers.js";

const engine = cpuEngine();
afterAll(() => engine.release());

/** Folder of weights, folder of goldens. */
const MODELS = [
  ["a_llama2", "a_llama2"],
  ["b_llama3_sharded", "b_llama3_sharded"],
  ["c_llama31_rope", "c_llama31_rope"],
  ["d_mistral", "d_mistral"],
  ["d2_mistral_sliding", "d2_mistral_sliding"],
  ["e_qwen2", "e_qwen2"],
  ["f_gpt2", "f_gpt2"],
  ["f2_gpt2_hubnames", "f_gpt2"],
] as const;

// The promise is 1e-9 and 1e-4. Goldens were computed with the exact rotary frequencies, and our float64 agrees to rounding.
const TOLERANCE = { float64: 1e-9, float32: 1e-4 } as const;

interface Loaded {
  readonly config: DecoderConfig;
  readonly weights: Readonly<Record<string, TensorData>>;
}

async function load(name: string, dtype: FloatDType): Promise<Loaded> {
  const checkpoint = await openHuggingFace(fixture(`checkpoints/${name}`));
  try {
    const weights: Record<string, TensorData> = {};
    for (const tensor of checkpoint.tensors.keys()) {
      const numbers = await checkpoint.readFloats(tensor);
      weights[tensor] = dtype === "float64" ? Float64Array.from(numbers) : Float32Array.from(numbers);
    }
    return { config: checkpoint.config, weights };
  } finally {
    await checkpoint.close();
  }
}

const arrayOf = (dtype: FloatDType, numbers: Iterable<number>) =>
  dtype === "float64" ? Float64Array.from(numbers) : Float32Array.from(numbers);

interface Batch {
  readonly tokens: Int32Array;
  readonly attend: Int32Array;
  readonly positions: Int32Array;
  readonly shape: readonly [number, number];
}

/** Sequences in one batch, padded on a side with an id that is a token like any other: the mask alone tells. */
function batchOf(sequences: readonly (readonly number[])[], side: "left" | "right"): Batch {
  const time = Math.max(...sequences.map((one) => one.length));
  const shape = [sequences.length, time] as const;
  const batch = { tokens: new Int32Array(shape[0] * time).fill(1), attend: new Int32Array(shape[0] * time), shape };
  const positions = new Int32Array(shape[0] * time);
  for (const [row, sequence] of sequences.entries()) {
    const start = row * time + (side === "left" ? time - sequence.length : 0);
    for (const [index, id] of sequence.entries()) {
      batch.tokens[start + index] = id;
      batch.attend[start + index] = 1;
      positions[start + index] = index;
    }
  }
  return { ...batch, positions };
}

function inputSpecs(config: DecoderConfig, shape: readonly [number, number], dtype: FloatDType) {
  const parameters = [...decoderParameters(config)];
  return {
    ...Object.fromEntries(parameters.map((one) => [one.name, { shape: one.shape, dtype }])),
    tokens: { shape, dtype: "int32" as const },
    attend: { shape, dtype: "int32" as const },
    positions: { shape, dtype: "int32" as const },
  };
}

/** Logits, what enters each block, what leaves the last, and each MLP activation. */
async function wholeModel({ config, weights }: Loaded, batch: Batch, dtype: FloatDType) {
  const compiled = await engine.compile(
    program("decoder", inputSpecs(config, batch.shape, dtype), (inputs) => {
      const named = inputs as unknown as Record<"tokens" | "attend" | "positions", Tensor>;
      const { logits, activations } = decoderForward(config, new Map(Object.entries(inputs)), named);
      const outputs: Record<string, typeof logits> = { logits };
      for (let block = 0; block < config.blocks; block++) {
        outputs[`hidden.${block}`] = activations.get(`blocks.${block}.resid_pre`)!;
        outputs[`mlp_act.${block}`] = activations.get(`blocks.${block}.mlp.post`)!;
      }
      outputs.prenorm = activations.get(`blocks.${config.blocks - 1}.resid_post`)!;
      return outputs;
    }),
  );
  const { tokens, attend, positions } = batch;
  return compiled.run({ ...weights, tokens, attend, positions } as never) as Promise<Record<string, TensorData>>;
}

describe.each(MODELS)("%s", (name, goldenName) => {
  const golden = readGolden(`checkpoints/${goldenName}/golden.safetensors`);
  const facts = readJson<{ sequences: number[][]; gradient: { token: number; logit: number } }>(
    `checkpoints/${goldenName}/golden.json`,
  );
  const { sequences, gradient } = facts;

  test.each(["float64", "float32"] as const)(
    "logits, hidden states and MLP activations are Hugging Face's, alone and padded on either side (%s)",
    async (dtype) => {
      const loaded = await load(name, dtype);
      const { blocks } = loaded.config;
      const parts = ["logits", "prenorm", ...Array.from({ length: blocks }, (_, block) => `hidden.${block}`)];
      const acts = Array.from({ length: blocks }, (_, block) => `mlp_act.${block}`);
      const right = await wholeModel(loaded, batchOf(sequences, "right"), dtype);
      const left = await wholeModel(loaded, batchOf(sequences, "left"), dtype);
      const time = Math.max(...sequences.map((one) => one.length));
      for (const [row, sequence] of sequences.entries()) {
        const alone = await wholeModel(loaded, batchOf([sequence], "right"), dtype);
        for (const part of [...parts, ...acts]) {
          const width = alone[part]!.length / sequence.length;
          const length = sequence.length * width;
          const wanted = acts.includes(part)
            ? atIndexOf(golden.get(`padded.${part}.f64`)!.data, row, time * width, length)
            : golden.get(`alone${row}.${part}.f64`)!.data;
          const leftRow = Array.from(left[part]!, Number).slice(
            (row + 1) * time * width - length,
            (row + 1) * time * width,
          );
          const tolerance = TOLERANCE[dtype];
          expect(maxDifference(alone[part]!, wanted), `${part} alone`).toBeLessThan(tolerance);
          expect(
            maxDifference(atIndexOf(right[part]!, row, time * width, length), wanted),
            `${part} padded`,
          ).toBeLessThan(tolerance);
          expect(maxDifference(leftRow, wanted), `${part} padded on the left`).toBeLessThan(tolerance);
        }
      }
    },
  );

  test.each(["float64", "float32"] as const)(
    "the gradient of the largest logit with respect to the token embeddings is PyTorch's (%s)",
    async (dtype) => {
      const { config, weights } = await load(name, dtype);
      const embeds = golden.get("grad.input_embeds.f64")!;
      const batch = batchOf([sequences[0]!], "right");
      const time = batch.shape[1];
      const specs = {
        ...inputSpecs(config, batch.shape, dtype),
        embeddings: { shape: [1, time, config.width], dtype },
        seed: { shape: [1, time, config.vocabulary], dtype },
      };
      const compiled = await engine.compile(
        program("sensitivity", specs, (inputs) => {
          const { logits } = decoderForward(config, new Map(Object.entries(inputs)), inputs as never);
          return { slope: gradients(logits, [inputs.embeddings], inputs.seed)[0]!, logits };
        }),
      );
      const seed = arrayOf(dtype, new Float64Array(time * config.vocabulary));
      seed[(time - 1) * config.vocabulary + gradient.token] = 1;
      const { slope, logits } = await compiled.run({
        ...weights,
        tokens: batch.tokens,
        attend: batch.attend,
        positions: batch.positions,
        embeddings: arrayOf(dtype, embeds.data),
        seed,
      } as never);
      const last = Array.from(logits, Number).slice(-config.vocabulary);
      expect(last.indexOf(Math.max(...last))).toBe(gradient.token);
      expect(maxDifference(slope, golden.get("grad.embeds.f64")!.data)).toBeLessThan(TOLERANCE[dtype]);
    },
  );

  test("one block alone, from its own parameters and what enters it, gives what leaves it in the whole model", async () => {
    const dtype = "float64" as const;
    const { config, weights } = await load(name, dtype);
    const batch = batchOf(sequences, "right");
    const [rows, time] = batch.shape;
    const { width } = config;
    const compiled = await engine.compile(
      program(
        "block",
        {
          ...Object.fromEntries(blockParameters(config).map((one) => [one.name, { shape: one.shape, dtype }])),
          hiddenStates: { shape: [rows, time, width], dtype },
          attend: { shape: [rows, time], dtype: "int32" as const },
          positions: { shape: [rows, time], dtype: "int32" as const },
        },
        (inputs) => {
          const { hiddenStates, attend, positions } = inputs as unknown as Record<string, Tensor>;
          const input = {
            hiddenStates: hiddenStates!,
            attend: attend!,
            positions: positions!,
            parameters: new Map(Object.entries(inputs)),
            layer: 1,
          };
          const last = decoderBlock(config, { ...input, asked: 2 });
          return {
            next: decoderBlock(config, input).hiddenStates,
            last: last.hiddenStates,
            lastActivation: last.activations.get("mlp.post")!,
          };
        },
      ),
    );
    const own = Object.fromEntries(
      blockParameters(config).map((one) => [one.name, weights[blockPrefix(config, 1) + one.name]!]),
    );
    const whole = await wholeModel({ config, weights }, batch, dtype);
    const { next, last, lastActivation } = await compiled.run({
      ...own,
      hiddenStates: whole["hidden.0"]!,
      attend: batch.attend,
      positions: batch.positions,
    } as never);
    expect(maxDifference(next, whole["hidden.1"]!)).toBeLessThan(1e-12);
    // Asked for its last two positions only, it gives those.
    for (const [part, all] of [
      [last, whole["hidden.1"]!],
      [lastActivation, whole["mlp_act.0"]!],
    ] as const) {
      const size = all.length / (rows * time);
      for (let row = 0; row < rows; row++)
        expect(
          maxDifference(
            atIndexOf(part, row, 2 * size, 2 * size),
            Array.from(all, Number).slice(((row + 1) * time - 2) * size, (row + 1) * time * size),
          ),
        ).toBeLessThan(1e-12);
    }
  });
});
