import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AuditModel, checkpointModel } from "../../src/audit/activations/model.js";
import { folderStates, generate, generationCost, heldInMemory } from "../../src/audit/generate.js";
import { type HuggingFaceCheckpoint, openHuggingFace } from "../../src/checkpoint/huggingFace.js";
import { type DecoderConfig, decoderForward } from "../../src/model/index.js";
import { createStream, randomKey } from "../../src/random/index.js";
import { program, reshape, sizeOf, slice, type Tensor } from "../../src/tensor/index.js";
import { cpuEngine } from "../engines.js";
import { fixture } from "../fixtures.js";

const engine = cpuEngine();
const dtype = "float64" as const;
const opened: HuggingFaceCheckpoint[] = [];
let scratch: string;
beforeAll(async () => void (scratch = await mkdtemp(join(tmpdir(), "nullscope-generate-"))));
afterAll(async () => {
  for (const one of opened) await one.close();
  await rm(scratch, { recursive: true, force: true });
  await engine.release();
});

async function modelOf(name: string): Promise<AuditModel> {
  const checkpoint = await openHuggingFace(fixture(name));
  opened.push(checkpoint);
  return checkpointModel(checkpoint, name, await checkpoint.fingerprint());
}

/** The token of the largest logit after `ids`, by the whole model on that one sequence, without padding and without a past. */
async function argmaxAfter(
  model: AuditModel,
  weights: Record<string, Float64Array>,
  ids: readonly number[],
): Promise<number> {
  const shape = [1, ids.length] as const;
  const int = { shape, dtype: "int32" as const };
  const specs = {
    ...Object.fromEntries([...model.shapes].map(([name, one]) => [name, { shape: one, dtype }])),
    ...{ tokens: int, attend: int, positions: int },
  };
  const compiled = await engine.compile(
    program("whole", specs, (inputs) => {
      const tensors = inputs as Record<string, Tensor>;
      const { logits } = decoderForward(model.config, new Map(Object.entries(tensors)), tensors as never);
      return { logits: reshape(slice(logits, 1, ids.length - 1), [-1]) };
    }),
  );
  const feeds = {
    ...weights,
    tokens: Int32Array.from(ids),
    attend: new Int32Array(ids.length).fill(1),
    positions: Int32Array.from(ids, (_, i) => i),
  };
  const { logits } = (await compiled.run(feeds as never)) as { logits: Float64Array };
  return logits.indexOf(Math.max(...logits));
}

function somePrompts(vocabulary: number, count: number): number[][] {
  const { integer } = createStream(randomKey(11, "generate"), 0);
  return Array.from({ length: count }, () => Array.from({ length: 2 + integer(14) }, () => integer(vocabulary)));
}

const TOKENS = 4;

describe.each(["a_llama2", "b_llama3_sharded", "d2_mistral_sliding", "e_qwen2", "f_gpt2"])(
  "greedy decoding of %s",
  (name) => {
    test("is the repeated argmax of the whole model's logits, whatever the padding", async () => {
      const model = await modelOf(`checkpoints/${name}`);
      const weights: Record<string, Float64Array> = {};
      for (const [parameter, shape] of model.shapes)
        await model.fill(parameter, (weights[parameter] = new Float64Array(sizeOf(shape))));
      const prompts = somePrompts(model.config.vocabulary, 4);
      const answers = await generate({
        model,
        prompts,
        tokens: TOKENS,
        endIds: new Set(),
        engine,
        dtype,
        tokensAtATime: 40,
      });
      for (const [row, prompt] of prompts.entries()) {
        const ids = [...prompt];
        for (let step = 0; step < TOKENS; step++) ids.push(await argmaxAfter(model, weights, ids));
        expect([...answers[row]!]).toEqual(ids.slice(prompt.length));
      }
    });
  },
);

describe("greedy decoding", () => {
  test("is the same alone and together, in memory and streamed, with states on disk", async () => {
    const model = await modelOf("checkpoints/a_llama2");
    const prompts = somePrompts(model.config.vocabulary, 6);
    const options = { prompts, tokens: TOKENS, endIds: new Set<number>(), engine, dtype };
    const together = await generate({ ...options, model });
    const held = heldInMemory(model, dtype);
    const onDisk = await generate({ ...options, model: held, states: folderStates(scratch), tokensAtATime: 16 });
    expect(onDisk).toEqual(together);
    for (const [row, prompt] of prompts.entries())
      expect(await generate({ ...options, model: held, prompts: [prompt] })).toEqual([together[row]]);
  });

  test("stops at a token that ends the answer, and goes on with the others", async () => {
    const model = await modelOf("checkpoints/a_llama2");
    const prompts = somePrompts(model.config.vocabulary, 4);
    const options = { model, prompts, tokens: TOKENS, engine, dtype };
    const free = await generate({ ...options, endIds: new Set() });
    const end = free[1]![2]!;
    const stopped = await generate({ ...options, endIds: new Set([end]) });
    for (const [row, answer] of free.entries()) {
      const at = answer.indexOf(end);
      expect([...stopped[row]!]).toEqual([...answer.subarray(0, at < 0 ? answer.length : at)]);
    }
    expect(stopped[1]!.length).toBeLessThanOrEqual(2);
  });

  test("refuses what does not fit into the model", async () => {
    const model = await modelOf("checkpoints/a_llama2");
    const options = { model, tokens: 1, endIds: new Set<number>(), engine, dtype };
    await expect(generate({ ...options, prompts: [[model.config.vocabulary]] })).rejects.toThrow(
      /Prompt 1 holds a token that the model does not have/,
    );
    await expect(generate({ ...options, prompts: [Array(model.config.context).fill(1)] })).rejects.toThrow(
      /does not fit into a model made for/,
    );
    await expect(generate({ ...options, prompts: [[1], []] })).rejects.toThrow(/Prompt 2 has no token/);
  });
});

test("for Llama-2 7B, 200 prompts of 40 tokens and 16 more, generating is planned to stay below 4 GiB", () => {
  const config = {
    ...{ family: "llama", vocabulary: 32000, context: 4096, width: 4096, blocks: 32, heads: 32, keyValueHeads: 32 },
    ...{ headWidth: 128, mlp: 11008, epsilon: 1e-5, rope: { theta: 1e4, scaling: null }, tied: false },
    ...{ slidingWindows: Array(32).fill(null), biases: { qkv: false, o: false, mlp: false } },
  } as DecoderConfig;
  const prompts = Array.from({ length: 200 }, () => new Int32Array(40));
  const { peak, disk } = generationCost(config, prompts, { tokens: 16, dtype: "float32" });
  expect(peak).toBeLessThan(4 * 2 ** 30);
  // 32 blocks x 200 prompts x 55 positions x 4096 numbers of 4 bytes, and the padding of the last chunk.
  expect(disk).toBeGreaterThanOrEqual(32 * 200 * 55 * 4096 * 4);
  expect(disk).toBeLessThan(1.1 * 32 * 200 * 55 * 4096 * 4);
});
