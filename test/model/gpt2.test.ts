import { afterAll, expect, test } from "vitest";
import { fromGpt2, toGpt2 } from "../../src/checkpoint/gpt2.js";
import { gptForward } from "../../src/model/index.js";
import { constant, gradients, program, unflatten } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/step.js";
import { cpuEngine } from "../engines.js";
import { readGolden, readJson } from "../fixtures.js";
import { atIndexOf, maxDifference } from "../numbers.js";

const folder = "checkpoints/f_gpt2";
const golden = readGolden(`${folder}/golden.safetensors`);
const weights = fromGpt2(readJson(`${folder}/config.json`), readGolden(`${folder}/model.safetensors`), folder);
const engine = cpuEngine();
afterAll(() => engine.release());

const layout = gptLayout(weights.model);
const dtype = "float64" as const;
const positions = () => constant(weights.positions!, [weights.model.context, weights.model.width], dtype);
const flat = Float64Array.from(weights.flat);

/** Logits, every block's output and MLP activation for given tokens. */
async function forward(tokens: Int32Array, shape: readonly [number, number], pad: number) {
  const compiled = await engine.compile(
    program("gpt2", { flat: { shape: [layout.size], dtype }, tokens: { shape, dtype: "int32" } }, (inputs) => {
      const { logits, activations } = gptForward(weights.model, unflatten(inputs.flat, layout), {
        tokens: inputs.tokens,
        pad,
        positions: positions(),
      });
      return {
        logits,
        post0: activations.get("blocks.0.mlp.post")!,
        post1: activations.get("blocks.1.mlp.post")!,
        hidden1: activations.get("blocks.0.resid_post")!,
        prenorm: activations.get("blocks.1.resid_post")!,
      };
    }),
  );
  return compiled.run({ flat, tokens });
}

test("our GPT is Hugging Face's GPT-2: logits, hidden states and MLP activations agree in float64, padded and alone", async () => {
  const ids = golden.get("input_ids")!;
  const mask = golden.get("attention_mask")!.data;
  const PAD = [...Array(100).keys()].find((id) => !ids.data.includes(id))!; // an id that no sequence uses
  const tokens = Int32Array.from(ids.data, (id, i) => (mask[i] === 1 ? id : PAD));
  const padded = await forward(tokens, ids.shape as [number, number], PAD);
  const lengths = [9, 5, 3];
  const pairs = { logits: "logits", hidden1: "hidden.1", prenorm: "prenorm" } as const;
  for (const [row, length] of lengths.entries()) {
    const alone = await forward(tokens.slice(row * 9, row * 9 + length), [1, length], PAD);
    for (const [ours, theirs] of Object.entries(pairs) as [keyof typeof pairs, string][]) {
      const wanted = golden.get(`alone${row}.${theirs}.f64`)!;
      const width = wanted.shape.at(-1)!;
      expect(maxDifference(alone[ours], wanted.data)).toBeLessThan(1e-9);
      expect(maxDifference(atIndexOf(padded[ours], row, 9 * width, length * width), wanted.data)).toBeLessThan(1e-9);
    }
    for (const [block, post] of [padded.post0, padded.post1].entries()) {
      const wanted = golden.get(`padded.mlp_act.${block}.f64`)!.data;
      expect(
        maxDifference(atIndexOf(post, row, 9 * 128, length * 128), atIndexOf(wanted, row, 9 * 128, length * 128)),
      ).toBeLessThan(1e-9);
    }
  }
});

test("the gradient of the largest logit with respect to the token embeddings is PyTorch's", async () => {
  const embeds = golden.get("grad.input_embeds.f64")!;
  const [time, width] = embeds.shape as [number, number];
  const { gradient } = readJson<{ gradient: { token: number } }>(`${folder}/golden.json`);
  const compiled = await engine.compile(
    program(
      "sensitivity",
      {
        flat: { shape: [layout.size], dtype },
        embeddings: { shape: [1, time, width], dtype },
        seed: { shape: [1, time, weights.model.vocabulary], dtype },
      },
      (inputs) => {
        const tokens = constant(new Int32Array(time), [1, time], "int32");
        const { logits } = gptForward(weights.model, unflatten(inputs.flat, layout), {
          tokens,
          pad: -1,
          embeddings: inputs.embeddings,
          positions: positions(),
        });
        return { gradient: gradients(logits, [inputs.embeddings], inputs.seed)[0]! };
      },
    ),
  );
  const seed = new Float64Array(time * weights.model.vocabulary);
  seed[(time - 1) * weights.model.vocabulary + gradient.token] = 1;
  const out = await compiled.run({ flat, embeddings: embeds.data, seed });
  expect(maxDifference(out.gradient, golden.get("grad.embeds.f64")!.data)).toBeLessThan(1e-9);
});

test("weights written as GPT-2 and read again are the same, bit for bit", () => {
  for (const residual of ["pre-ln", "released"] as const) {
    const model = { ...weights.model, residual };
    const original = Float32Array.from({ length: gptLayout(model).size }, (_, i) => Math.sin(i));
    const { config, tensors } = toGpt2({ model, flat: original });
    const again = fromGpt2(config, new Map(tensors.map((tensor) => [tensor.name, tensor])), "here");
    expect(again.model).toEqual(model);
    expect(again.flat).toEqual(original);
  }
});

test("a tensor of another shape, a missing one, and a foreign architecture are refused by name", () => {
  const { config, tensors } = toGpt2({ model: weights.model, flat: weights.flat });
  const map = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  expect(() => fromGpt2({ ...config, n_embd: 64 }, map, "here")).toThrow(
    /wte\.weight has shape \[100, 32\], but config\.json asks for \[100, 64\]/,
  );
  expect(() => fromGpt2({ ...config, n_layer: 3 }, map, "here")).toThrow(/no tensor transformer\.h\.2/);
  expect(() => fromGpt2({ ...config, model_type: "bert" }, map, "here")).toThrow(/model_type "bert"/);
  expect(() => fromGpt2({ ...config, n_layer: 1e99 }, map, "here")).toThrow(/n_layer is 1e\+99/);
});
