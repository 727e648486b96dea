import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clusters } from "../../src/analysis/index.js";
import { activationStages } from "../../src/audit/activations/activationStages.js";
import { readKept, readTensors } from "../../src/audit/activations/chunkFiles.js";
import { auditMemory } from "../../src/audit/activations/memory.js";
import { type AuditModel, checkpointModel, fillDelta, pathModel } from "../../src/audit/activations/model.js";
import { type AuditPrompt, fullestBatch, promptChunks } from "../../src/audit/activations/promptChunks.js";
import { type HuggingFaceCheckpoint, openHuggingFace } from "../../src/checkpoint/huggingFace.js";
import { MATRIX_NAMES } from "../../src/checkpoint/matrices.js";
import { type DecoderConfig, decoderForward } from "../../src/model/index.js";
import { createStream, randomKey } from "../../src/random/index.js";
import { readRows } from "../../src/study/assembleResults.js";
import type { ResultRow } from "../../src/study/results.js";
import { runStudy } from "../../src/study/runStudy.js";
import type { Stage } from "../../src/study/stage.js";
import { stageFolder } from "../../src/study/store.js";
import {
  amax,
  createEngine,
  gradients,
  onnxRuntime,
  program,
  reshape,
  sizeOf,
  slice,
  sum,
  type Tensor,
} from "../../src/tensor/index.js";
import { fixture, readJson } from "../fixtures.js";
import { maxDifference } from "../numbers.js";

// One session for every length of the models that are held against: opening them anew would be most of the time.
const engine = createEngine(onnxRuntime(ort), { openSessions: 24 });
const dtype = "float64" as const;
let scratch: string;
const opened: HuggingFaceCheckpoint[] = [];
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "nullscope-activations-"));
});
afterAll(async () => {
  for (const one of opened) await one.close();
  await rm(scratch, { recursive: true, force: true });
  await engine.release();
});

async function modelOf(folder: string, name: string): Promise<AuditModel> {
  const checkpoint = await openHuggingFace(fixture(folder));
  opened.push(checkpoint);
  return checkpointModel(checkpoint, name, await checkpoint.fingerprint());
}

/** Random prompts of 3, 8 or 13 tokens in three sets, in a mixed order. */
function somePrompts(vocabulary: number, count = 20): AuditPrompt[] {
  const { integer } = createStream(randomKey(7, "prompts"), 0);
  return Array.from({ length: count }, (_, i) => ({
    set: i % 10 === 9 ? "prefix" : i % 2 === 0 ? "safe" : "unsafe",
    tokens: Array.from({ length: 3 + 5 * integer(3) }, () => integer(vocabulary)),
  }));
}

const optionsOf = (base: AuditModel, tuned: AuditModel, prompts: AuditPrompt[], tokensAtATime = 40) => ({
  ...{ base, tuned, dtype, engine: () => Promise.resolve(engine), matrices: MATRIX_NAMES, alphas: [0, 0.5, 1] },
  ...{ sensitivity: true, firstGenerated: true, prompts: promptChunks(prompts, base.config, tokensAtATime) },
  blocks: Array.from({ length: base.config.blocks }, (_, i) => i + 1),
});

interface Whole {
  readonly prompt: Record<string, Float64Array>;
  readonly token: number;
  readonly next: Record<string, Float64Array>;
}
const known = new WeakMap<AuditModel, Map<string, Promise<Whole>>>();

/** One prompt through the whole model in memory, and the token it generates first once more. */
function whole(model: AuditModel, tokens: readonly number[]): Promise<Whole> {
  const own = known.get(model) ?? new Map<string, Promise<Whole>>();
  known.set(model, own);
  const found = own.get(tokens.join()) ?? computeWhole(model, tokens);
  own.set(tokens.join(), found);
  return found;
}

async function computeWhole(model: AuditModel, tokens: readonly number[]): Promise<Whole> {
  const { config } = model;
  const weights: Record<string, Float64Array> = {};
  for (const [name, shape] of model.shapes) {
    weights[name] = new Float64Array(sizeOf(shape));
    await model.fill(name, weights[name]);
  }
  const forward = async (ids: readonly number[]) => {
    const shape = [1, ids.length] as const;
    const specs = {
      ...Object.fromEntries([...model.shapes].map(([name, one]) => [name, { shape: one, dtype }])),
      ...{ tokens: { shape, dtype: "int32" as const }, attend: { shape, dtype: "int32" as const } },
      ...{ positions: { shape, dtype: "int32" as const } },
      embeddings: { shape: [1, ids.length, config.width], dtype },
    };
    const compiled = await engine.compile(
      program("whole", specs, (inputs) => wholeOutputs(config, inputs as Record<string, Tensor>, ids.length)),
    );
    const table = weights[config.family === "gpt2" ? "transformer.wte.weight" : "model.embed_tokens.weight"]!;
    return compiled.run({
      ...weights,
      tokens: Int32Array.from(ids),
      attend: new Int32Array(ids.length).fill(1),
      positions: Int32Array.from(ids, (_, i) => i),
      embeddings: Float64Array.from(
        ids.flatMap((id) => [...table.subarray(id * config.width, (id + 1) * config.width)]),
      ),
    } as never) as Promise<Record<string, Float64Array>>;
  };
  const prompt = await forward(tokens);
  const token = prompt.logits!.indexOf(Math.max(...prompt.logits!));
  return { prompt, token, next: await forward([...tokens, token]) };
}

function wholeOutputs(config: DecoderConfig, inputs: Record<string, Tensor>, time: number): Record<string, Tensor> {
  const parameters = new Map(Object.entries(inputs));
  const { logits, activations } = decoderForward(config, parameters, inputs as never);
  const last = (x: Tensor) => reshape(slice(x, 1, time - 1), [-1]);
  const outputs: Record<string, Tensor> = { logits: last(logits) };
  for (let layer = 1; layer <= config.blocks; layer++) {
    const of = (name: string) => activations.get(`blocks.${layer - 1}.${name}`)!;
    outputs[`input ${layer}`] = last(of("mlp.in"));
    outputs[`activation ${layer}`] = last(of("mlp.post"));
    outputs[`stream ${layer}`] = last(of("resid_post"));
  }
  outputs.slope = gradients(sum(amax(outputs.logits!)), [inputs.embeddings!])[0]!;
  return outputs;
}

const stageNamed = (stages: readonly Stage[], name: string): Stage => {
  const all = new Map<string, Stage>();
  const visit = (stage: Stage) => {
    all.set(stage.name, stage);
    for (const input of stage.inputs) if (!all.has(input.name)) visit(input);
  };
  for (const stage of stages) visit(stage);
  return all.get(name) ?? expect.fail(`no stage ${name} among ${[...all.keys()].join(", ")}`);
};

describe.each(["a_llama2", "b_llama3_sharded", "c_llama31_rope", "d2_mistral_sliding", "e_qwen2", "f2_gpt2_hubnames"])(
  "%s, block by block",
  (name) => {
    test("activations, the first token and gradients are those of the whole model in memory, whatever the chunks", async () => {
      const model = await modelOf(`checkpoints/${name}`, "base");
      const other = await modelOf(`checkpoints/${name}`, "tuned");
      const prompts = somePrompts(model.config.vocabulary);
      const run = join(scratch, `whole-${name}`);
      const options = { ...optionsOf(model, other, prompts), alphas: [], matrices: [] };
      const stages = activationStages(options);
      expect(options.prompts.chunks.length).toBeGreaterThan(3);
      await runStudy(stages, { runFolder: run });
      const folder = (title: string) => stageFolder(run, stageNamed(stages, title));
      const head = await readTensors(folder("head base"), "head");
      const { lipschitz } = await readTensors(folder("backward base block 1"), "lipschitz");
      for (const [row, { tokens }] of prompts.entries()) {
        if (row % 4 !== 0) continue;
        const { prompt, token, next } = await whole(model, tokens as number[]);
        expect(head.token!.data[row]).toBe(token);
        expect(Math.abs(head.largest!.data[row]! - Math.max(...prompt.logits!))).toBeLessThan(1e-9);
        const norm = Math.sqrt(prompt.slope!.reduce((total, x) => total + x * x, 0));
        expect(Math.abs(lipschitz!.data[row]! - norm)).toBeLessThan(1e-9);
        for (let layer = 1; layer <= model.config.blocks; layer++)
          for (const [title, wanted] of [
            [`forward base block ${layer}`, prompt],
            [`first generated token base block ${layer}`, next],
          ] as const) {
            const kept = await readKept(folder(title));
            for (const part of ["input", "activation", "stream"] as const) {
              const size = kept[part].length / prompts.length;
              const own = kept[part].subarray(row * size, (row + 1) * size);
              expect(maxDifference(own, wanted[`${part} ${layer}`]!), `${title} ${part}`).toBeLessThan(1e-9);
            }
          }
      }
    });
  },
);

describe("the pair with planted changes", () => {
  let base: AuditModel;
  let tuned: AuditModel;
  let prompts: AuditPrompt[];
  let stages: Stage[];
  let run: string;
  beforeAll(async () => {
    base = await modelOf("checkpoints/a_llama2", "a_llama2");
    tuned = await modelOf("twins/a_llama2_tuned", "a_llama2_tuned");
    prompts = somePrompts(base.config.vocabulary);
    run = join(scratch, "planted");
    stages = activationStages(optionsOf(base, tuned, prompts));
    await runStudy(stages, { runFolder: run });
  });
  const rowsOf = async (title: string): Promise<ResultRow[]> => readRows(stageFolder(run, stageNamed(stages, title)));

  test("clusters are those of the activations of the whole models", async () => {
    for (const model of [base, tuned]) {
      const sets: Record<string, number[]> = { safe: [], unsafe: [], prefix: [] };
      for (const { set, tokens } of prompts)
        sets[set]!.push(...(await whole(model, tokens as number[])).prompt["activation 3"]!);
      const vectors = (set: string) => ({ data: Float32Array.from(sets[set]!), width: model.config.mlp });
      const wanted = clusters({
        ...{ safe: vectors("safe"), unsafe: vectors("unsafe"), branches: 1, others: { prefix: vectors("prefix") } },
        random: createStream(randomKey(0, "any"), 0).uniform,
      });
      const found = await rowsOf(`clusters ${model.name} block 3`);
      for (const { metric, set, value, n } of wanted) {
        const row = found.find((one) => one.measure === "clusters" && one.metric === metric && one.set === set)!;
        expect(row).toMatchObject({ checkpoint: model.name, block: 3, index: 1, n });
        expect(row.value).toBeCloseTo(value, 6);
      }
      expect(found.some(({ measure, metric }) => measure === "clusters-generated" && metric === "auc")).toBe(true);
    }
  });

  test("the path at 0 and 1 is the base and the tuned model; between them it is W + alpha dW", async () => {
    for (const [alpha, model] of [
      [0, base],
      [1, tuned],
    ] as const) {
      for (const block of [2, 4]) {
        const own = await rowsOf(`clusters ${model.name} block ${block}`);
        const path = await rowsOf(`path ${tuned.name} alpha ${alpha} block ${block}`);
        for (const row of path) {
          expect(row).toMatchObject({ checkpoint: tuned.name, alpha });
          const same = own.find((one) => one.measure === "clusters" && one.metric === row.metric)!;
          expect(row.value).toBe(same.value);
        }
        const ofStudy = path.filter(({ measure }) => measure === "interventions");
        expect(ofStudy.map(({ metric }) => metric)).toEqual(
          block === 4 ? ["separation", "auc", "cosine-auc", "fisher"] : [],
        );
      }
    }
    const half = pathModel(base, tuned, 0.5);
    const kept = await readKept(stageFolder(run, stageNamed(stages, "forward a_llama2_tuned alpha 0.5 block 4")));
    const { prompt } = await whole(half, prompts[5]!.tokens as number[]);
    const { mlp } = base.config;
    expect(maxDifference(kept.activation.subarray(5 * mlp, 6 * mlp), prompt["activation 4"]!)).toBeLessThan(1e-9);
  });

  test.each([
    ["row-space", "prompt"],
    ["row-space-generated", "next"],
  ] as const)(
    "gains are |dW a| of the planted change, and grow along its directions alone: %s",
    async (measure, position) => {
      const { matrices } = readJson<{ matrices: { tensor: string; delta_frobenius: number }[] }>(
        "twins/a_llama2_tuned/golden.json",
      );
      for (const [matrix, tensor, part] of [
        ["mlp.gate", "gate_proj", "input"],
        ["mlp.up", "up_proj", "input"],
        ["mlp.down", "down_proj", "activation"],
      ] as const) {
        const name = `model.layers.1.mlp.${tensor}.weight`;
        const [out, input] = tuned.shapes.get(name) as [number, number];
        const delta = new Float64Array(out * input);
        await fillDelta(base, tuned, name, delta);
        const planted = matrices.find((one) => one.tensor === name)!.delta_frobenius;
        expect(Math.sqrt(delta.reduce((total, x) => total + x * x, 0))).toBeCloseTo(planted, 10);
        const gains: number[] = [];
        for (const { set, tokens } of prompts) {
          if (set !== "unsafe") continue;
          const a = (await whole(tuned, tokens as number[]))[position][`${part} 2`]!;
          const norm = Math.sqrt(a.reduce((total, x) => total + x * x, 0));
          let squares = 0;
          for (let i = 0; i < out; i++) {
            let total = 0;
            for (let j = 0; j < input; j++) total += delta[i * input + j]! * (a[j]! / norm);
            squares += total * total;
          }
          gains.push(Math.sqrt(squares));
        }
        const rows = await rowsOf("row space block 2");
        const row = rows.find(
          (one) => one.measure === measure && one.matrix === matrix && one.metric === "gain" && one.set === "unsafe",
        )!;
        // Inputs pass through float32 on their way into sets.
        expect(row.value).toBeCloseTo(gains.reduce((total, one) => total + one, 0) / gains.length, 6);
        expect(row.chance).toBeCloseTo(planted / Math.sqrt(input), 10);
      }
    },
  );

  test("sensitivity, the refusal direction and activation space have their rows, finite and with their nulls", async () => {
    const sensitivity = await rowsOf("sensitivity a_llama2_tuned");
    expect(sensitivity.filter(({ metric }) => metric === "lipschitz").map(({ set }) => set)).toEqual([
      "safe",
      "unsafe",
      "prefix",
    ]);
    expect(sensitivity.some(({ metric, chance }) => metric === "lipschitz-change" && chance === 0)).toBe(true);
    const direction = await rowsOf("refusal direction block 4");
    expect(direction.find(({ metric }) => metric === "base-cosine")!.value).toBeLessThan(1);
    expect(direction.find(({ metric, set }) => metric === "place" && set === "prefix")).toBeDefined();
    const space = await rowsOf("activation space block 1");
    for (const row of space) expect(row.value).toBeGreaterThanOrEqual(0);
    for (const measure of ["activation-space", "activation-space-generated"]) {
      const ofBase = space.filter((row) => row.measure === measure && row.checkpoint === "a_llama2");
      expect(ofBase.length).toBe(10); // 4 directions of each half and class, and all of them
      for (const row of ofBase) expect(row.value).toBe(row.chance);
    }
  });

  test.each([
    ["refusal-direction", "prompt"],
    ["refusal-direction-generated", "next"],
  ] as const)("the direction of the whole models: %s", async (measure, position) => {
    const rows = (await rowsOf("refusal direction block 3")).filter((row) => row.measure === measure);
    for (const model of [base, tuned]) {
      const means: Record<string, Float64Array> = {};
      const counted: Record<string, number> = { safe: 0, unsafe: 0 };
      const used: Record<string, number> = { safe: 0, unsafe: 0 };
      for (const { set, tokens } of prompts) {
        // Rows 0, 1, 4, 5, .. of each class are the half that gives the direction.
        if (!(set in counted) || Math.floor(counted[set]!++ / 2) % 2 === 1) continue;
        used[set]!++;
        means[set] ??= new Float64Array(model.config.width);
        const state = (await whole(model, tokens as number[]))[position]["stream 3"]!;
        for (const [i, x] of state.entries()) means[set][i]! += x;
      }
      const r = means.unsafe!.map((x, i) => x / used.unsafe! - means.safe![i]! / used.safe!);
      const norm = rows.find((row) => row.metric === "norm" && row.checkpoint === model.name)!;
      expect(norm.value).toBeCloseTo(Math.sqrt(r.reduce((total, x) => total + x * x, 0)), 5);
      expect(norm.n).toBe(used.safe! + used.unsafe!);
    }
    expect(rows.find(({ metric }) => metric === "base-cosine")!.value).toBeLessThan(1);
    expect(rows.find(({ metric, set }) => metric === "place" && set === "prefix")).toBeDefined();
  });

  test("killed between two blocks, the same command goes on, and ends in the same bytes", async () => {
    const again = join(scratch, "killed");
    const part = () => activationStages({ ...optionsOf(base, tuned, prompts), alphas: [] });
    let finished = 0;
    const killed = runStudy(part(), {
      runFolder: again,
      afterStage: async () => {
        if (++finished === 6) throw new Error("killed");
      },
    });
    await expect(killed).rejects.toThrow("killed");
    expect(await readdir(join(again, "stages"))).toHaveLength(6);
    const summary = await runStudy(part(), { runFolder: again });
    expect(summary.already).toHaveLength(6);
    const folders = await readdir(join(again, "stages"));
    expect(folders).toHaveLength(summary.already.length + summary.ran.length);
    for (const folder of folders)
      for (const file of await readdir(join(again, "stages", folder)))
        if (file !== "manifest.json")
          expect(await readFile(join(again, "stages", folder, file))).toEqual(
            await readFile(join(run, "stages", folder, file)),
          );
  });
});

test("prompts that no model could read are refused by their number", () => {
  const config = { vocabulary: 50, context: 16 };
  const prompts = somePrompts(50);
  const refused = (change: Partial<AuditPrompt>) =>
    promptChunks([...prompts.slice(0, 4), { ...prompts[4]!, ...change }, ...prompts.slice(5)], config, 64);
  expect(() => refused({ tokens: [1, 50] })).toThrow(/Prompt 5 \(safe\) holds token 50, but the model has 50 tokens/);
  expect(() => refused({ tokens: [] })).toThrow(/Prompt 5 \(safe\) has no token/);
  expect(() => refused({ tokens: Array.from({ length: 16 }, () => 1) })).toThrow(/too many for a model made for 16/);
  expect(() => promptChunks(prompts.slice(0, 6), config, 64)).toThrow(/3 prompts in the set safe; at least 8/);
});

test("chunks are as large as they may be, and leave no place empty where a somewhat smaller size does not", () => {
  expect(fullestBatch(200, 12)).toBe(10);
  expect(fullestBatch(24, 12)).toBe(12);
  expect(fullestBatch(13, 12)).toBe(7);
  expect(fullestBatch(5, 12)).toBe(5);
  expect(fullestBatch(7, 1)).toBe(1);
});

test("200 prompts of 40 tokens through the 7B shape: under 4 GiB, and hardly more for ten times as many", () => {
  const llama7b = {
    ...{ family: "llama", vocabulary: 32000, context: 4096, width: 4096, blocks: 32, heads: 32, keyValueHeads: 32 },
    ...{ headWidth: 128, mlp: 11008, epsilon: 1e-5, rope: { theta: 10000, scaling: null }, tied: false },
    ...{ slidingWindows: Array.from({ length: 32 }, () => null), biases: { qkv: false, o: false, mlp: false } },
  } satisfies DecoderConfig;
  const peakOf = (count: number) => {
    const prompts = Array.from({ length: count }, (_, i) => ({
      set: i % 2 === 0 ? "safe" : "unsafe",
      tokens: new Int32Array(40).fill(1),
    }));
    return auditMemory(llama7b, promptChunks(prompts, llama7b, 512), {
      dtype: "float32",
      models: 2,
      sensitivity: true,
    });
  };
  expect(peakOf(200).peak).toBeLessThan(4 * 2 ** 30);
  expect(peakOf(2000).peak).toBeLessThan(1.2 * peakOf(200).peak);
  expect(peakOf(200).weights).toBe(4 * (4 * 4096 ** 2 + 3 * 4096 * 11008 + 2 * 4096));
});
