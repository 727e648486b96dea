import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openHuggingFace } from "../../src/checkpoint/huggingFace.js";
import { layerMatrices, layerTensorNames, readMatrix } from "../../src/checkpoint/matrices.js";
import { UserError } from "../../src/errors.js";
import { decoderParameters } from "../../src/model/index.js";
import { fixture, readGolden } from "../fixtures.js";

const FOLDERS = [
  "a_llama2",
  "b_llama3_sharded",
  "c_llama31_rope",
  "d_mistral",
  "d2_mistral_sliding",
  "e_qwen2",
  "f_gpt2",
  "f2_gpt2_hubnames",
];
const folderOf = (name: string) => fixture(`checkpoints/${name}`);

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "nullscope-hf-"));
});
afterAll(() => rm(scratch, { recursive: true }));

/** A copy of a fixture to damage. */
async function copyOf(name: string, as: string): Promise<string> {
  const folder = join(scratch, as);
  await cp(folderOf(name), folder, { recursive: true });
  return folder;
}

async function withConfig(name: string, as: string, change: Record<string, unknown>): Promise<string> {
  const folder = await copyOf(name, as);
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
  await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, ...change }));
  return folder;
}

async function opened<T>(
  folder: string,
  use: (checkpoint: Awaited<ReturnType<typeof openHuggingFace>>) => T | Promise<T>,
) {
  const checkpoint = await openHuggingFace(folder);
  try {
    return await use(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

describe.each(FOLDERS)("%s", (name) => {
  test("opens with every parameter of its architecture, and both config formats say the same", async () => {
    const old = await copyOf(name, `${name}-v4`);
    await rename(join(old, "config.v4.json"), join(old, "config.json"));
    await opened(folderOf(name), async (now) => {
      expect([...now.tensors.keys()]).toEqual([...decoderParameters(now.config)].map((one) => one.name));
      expect(now.notes).toEqual([]);
      await opened(old, async (then) => {
        expect(then.config).toEqual(now.config);
        expect(await then.fingerprint()).toBe(await now.fingerprint());
      });
    });
  });

  test("rows are the whole tensor's rows, and numbers are the stored ones", async () => {
    await opened(folderOf(name), async ({ tensors, readFloats, readRows, readBytes, fill }) => {
      for (const [tensor, { shape, dtype }] of tensors) {
        const whole = await readFloats(tensor);
        const [rows, perRow] = [shape[0]!, whole.length / shape[0]!];
        const [from, to] = [Math.floor(rows / 3), Math.floor(rows / 3) + 2];
        expect(await readRows(tensor, from, to)).toEqual(whole.slice(from * perRow, to * perRow));
        const [narrow, wide] = [new Float32Array(2 * perRow), new Float64Array(2 * perRow)];
        await fill(tensor, narrow, from);
        await fill(tensor, wide, from);
        expect([...narrow]).toEqual([...whole.slice(from * perRow, to * perRow)]);
        expect([...wide]).toEqual([...narrow]);
        await expect(fill(tensor, narrow, rows - 1)).rejects.toThrow(RangeError);
        if (dtype !== "F32") continue;
        const bytes = await readBytes(tensor, 4, 8);
        expect(new DataView(bytes.buffer).getFloat32(0, true)).toBe(whole[1]);
      }
    });
  });
});

test("the shapes of heads, biases, tied heads, windows and rope scaling come out of the configurations", async () => {
  await opened(folderOf("c_llama31_rope"), ({ config }) => {
    expect(config.rope).toEqual({
      theta: 500000,
      scaling: { type: "llama3", factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64 },
    });
  });
  await opened(folderOf("d2_mistral_sliding"), ({ config }) => {
    expect(config).toMatchObject({ headWidth: 16, heads: 3, width: 24, slidingWindows: [4, 4] });
  });
  await opened(folderOf("e_qwen2"), ({ config }) => {
    expect(config).toMatchObject({
      tied: true,
      biases: { qkv: true, o: false, mlp: false },
      slidingWindows: [null, null],
    });
  });
});

test("a Qwen2 with sliding windows has them in its upper blocks, in both formats", async () => {
  const old = await withConfig("e_qwen2", "qwen-window-v4", {
    use_sliding_window: true,
    sliding_window: 3,
    max_window_layers: 1,
    layer_types: undefined,
  });
  await opened(old, ({ config }) => expect(config.slidingWindows).toEqual([null, 3]));
  const now = await withConfig("e_qwen2", "qwen-window-v5", {
    use_sliding_window: true,
    sliding_window: 3,
    layer_types: ["full_attention", "sliding_attention"],
  });
  await opened(now, ({ config }) => expect(config.slidingWindows).toEqual([null, 3]));
});

test("a Mistral without the field has transformers' window of 4096; with null it has none", async () => {
  const absent = await withConfig("d_mistral", "mistral-absent", { sliding_window: undefined });
  await opened(absent, ({ config }) => expect(config.slidingWindows).toEqual([4096, 4096]));
  const none = await withConfig("d_mistral", "mistral-null", { sliding_window: null });
  await opened(none, ({ config }) => expect(config.slidingWindows).toEqual([null, null]));
});

test("matrices have one name in all families: GPT-2's are turned to [out, in] and cut from one tensor", async () => {
  await opened(folderOf("a_llama2"), async (checkpoint) => {
    const gate = layerMatrices(checkpoint.config, 2).get("mlp.gate")!;
    expect(gate).toMatchObject({ tensor: "model.layers.1.mlp.gate_proj.weight", shape: [172, 64] });
    expect(await readMatrix(checkpoint, gate)).toEqual(await checkpoint.readFloats(gate.tensor));
    expect(layerTensorNames(checkpoint.config, 1)).toContain("model.layers.0.self_attn.o_proj.weight");
  });
  await opened(folderOf("f_gpt2"), async (checkpoint) => {
    const stored = readGolden("checkpoints/f_gpt2/model.safetensors").get("transformer.h.1.attn.c_attn.weight")!.data;
    const values = await readMatrix(checkpoint, layerMatrices(checkpoint.config, 2).get("attn.v")!);
    expect(values).toHaveLength(32 * 32);
    for (const [out, input] of [
      [0, 0],
      [5, 7],
      [31, 2],
    ] as const)
      expect(values[out * 32 + input]).toBe(stored[input * 96 + 64 + out]);
  });
});

test("the fingerprint knows the model, not its folder, its shards or its index's order", async () => {
  const copy = await copyOf("b_llama3_sharded", "renamed-shards");
  const index = await readFile(join(copy, "model.safetensors.index.json"), "utf8");
  await writeFile(join(copy, "model.safetensors.index.json"), index.replaceAll("-of-00004", "-of-4"));
  for (const name of await readdir(copy))
    if (name.endsWith("-of-00004.safetensors"))
      await rename(join(copy, name), join(copy, name.replace("-of-00004", "-of-4")));
  const of = (folder: string) => opened(folder, (checkpoint) => checkpoint.fingerprint());
  const original = await of(folderOf("b_llama3_sharded"));
  expect(original).toMatch(/^[0-9a-f]{64}$/);
  expect(await of(copy)).toBe(original);
  expect(await of(fixture("twins/b_llama3_sharded_tuned"))).not.toBe(original);
});

test("code that a configuration names is not run, and the user is told", async () => {
  const folder = await withConfig("a_llama2", "auto-map", { auto_map: { AutoModel: "evil--code.Model" } });
  await opened(folder, ({ notes }) => expect(notes).toEqual([expect.stringContaining("auto_map")]));
});

describe("refused, each with its own sentence", () => {
  test.each([
    ["a foreign architecture", { model_type: "mixtral" }, /model_type is "mixtral", but must be "llama" or/],
    ["a missing size", { hidden_size: undefined }, /has no hidden_size/],
    ["a negative size", { num_hidden_layers: -3 }, /num_hidden_layers is -3, but must be at least 1/],
    ["a size that no model has", { vocab_size: 1e15 }, /vocab_size is 1000000000000000, but must be at most/],
    ["a fraction", { intermediate_size: 171.5 }, /intermediate_size is 171\.5, but must be a whole number/],
    [
      "a size that the file does not have",
      { intermediate_size: 170 },
      /shape \[172, 64\], but config\.json asks for \[170, 64\]/,
    ],
    ["more blocks than there are", { num_hidden_layers: 5 }, /no tensor "model\.layers\.4\./],
    ["heads that do not divide", { num_key_value_heads: 3 }, /not a multiple of num_key_value_heads 3/],
    ["another activation", { hidden_act: "gelu" }, /hidden_act is "gelu", but must be "silu"/],
    [
      "rope scaling that is not computed",
      { rope_parameters: { rope_type: "yarn", factor: 4 } },
      /rope scaling of type "yarn"/,
    ],
    [
      "rope scaling without its numbers",
      { rope_parameters: { rope_type: "llama3", factor: 8 } },
      /has no low_freq_factor/,
    ],
    [
      "rope settings per kind of layer",
      { rope_parameters: { full_attention: { rope_theta: 1 } } },
      /rope_parameters\.full_attention/,
    ],
    ["quantised weights", { quantization_config: { bits: 4 } }, /quantised/],
  ])("%s", async (what, change, message) => {
    const folder = await withConfig("a_llama2", what.replaceAll(" ", "-"), change);
    const error = await openHuggingFace(folder).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(message);
  });

  test("a folder with pickles only: the name of a converter", async () => {
    const folder = join(scratch, "pickle");
    await mkdir(folder);
    await writeFile(join(folder, "pytorch_model.bin"), "");
    await expect(openHuggingFace(folder)).rejects.toThrow(/pytorch_model\.bin, a pickle.*convert\.py/);
  });

  test("a link out of the folder; a link into the cache's blobs is followed", async () => {
    const outside = await copyOf("a_llama2", "linked");
    await rm(join(outside, "model.safetensors"));
    await symlink(folderOf("a_llama2/model.safetensors"), join(outside, "model.safetensors"));
    await expect(openHuggingFace(outside)).rejects.toThrow(/is a link to a file outside its folder/);

    const snapshot = join(scratch, "models--x--y", "snapshots", "abc");
    const blobs = join(scratch, "models--x--y", "blobs");
    await mkdir(snapshot, { recursive: true });
    await mkdir(blobs);
    for (const name of ["config.json", "model.safetensors"]) {
      await cp(folderOf(`a_llama2/${name}`), join(blobs, `sha-${name}`));
      await symlink(join("..", "..", "blobs", `sha-${name}`), join(snapshot, name));
    }
    await opened(snapshot, ({ tensors }) => expect(tensors.size).toBeGreaterThan(0));
    await rm(join(snapshot, "model.safetensors"));
    await symlink(join("..", "..", "elsewhere"), join(snapshot, "model.safetensors"));
    await cp(folderOf("a_llama2/model.safetensors"), join(scratch, "models--x--y", "elsewhere"));
    await expect(openHuggingFace(snapshot)).rejects.toThrow(/outside its folder/);
  });

  test("a folder where a file should be, a missing folder, and an empty one", async () => {
    const folder = await copyOf("a_llama2", "directory");
    await rm(join(folder, "model.safetensors"));
    await mkdir(join(folder, "model.safetensors"));
    await expect(openHuggingFace(folder)).rejects.toThrow(/is not a file/);
    await expect(openHuggingFace(join(scratch, "absent"))).rejects.toThrow(/ENOENT/);
    await mkdir(join(scratch, "empty"));
    await expect(openHuggingFace(join(scratch, "empty"))).rejects.toThrow(/holds neither/);
  });
});
