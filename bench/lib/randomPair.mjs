// A pair of random checkpoints in the shape of Llama-2 7B, of as many blocks as wanted: what an audit reads, without anybody's weights.
import { mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { refusal } from "./refusal.mjs";

export const SHAPE = { width: 4096, mlp: 11008, heads: 32, vocabulary: 32000, blocks: 32 };
const PIECE = 2 ** 22;

/** Every tensor of a Llama of this many blocks, in the order of the file: [name, shape]. */
function tensorsOf(layers, { width, mlp, vocabulary }) {
  const block = (i) => {
    const name = (part) => `model.layers.${i}.${part}.weight`;
    return [
      [name("input_layernorm"), [width]],
      [name("mlp.down_proj"), [width, mlp]],
      [name("mlp.gate_proj"), [mlp, width]],
      [name("mlp.up_proj"), [mlp, width]],
      [name("post_attention_layernorm"), [width]],
      ...["k", "o", "q", "v"].map((part) => [name(`self_attn.${part}_proj`), [width, width]]),
    ];
  };
  return [
    ["lm_head.weight", [vocabulary, width]],
    ["model.embed_tokens.weight", [vocabulary, width]],
    ...Array.from({ length: layers }, (_, i) => block(i)).flat(),
    ["model.norm.weight", [width]],
  ];
}

const elements = (shape) => shape.reduce((product, size) => product * size, 1);

/** Bytes of both checkpoints, BF16. */
export function pairBytes(layers, shape = SHAPE) {
  return 2 * 2 * tensorsOf(layers, shape).reduce((sum, [, own]) => sum + elements(own), 0);
}

/** A table of bfloat16 numbers, normally distributed with this deviation: 2^16 of them, drawn by position. */
function normalTable(deviation) {
  const values = new Float32Array(2 ** 16);
  let state = 12345;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  for (let i = 0; i < values.length; i++)
    values[i] = deviation * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return values;
}

/**
 * Writes `base` and `tuned` into a folder, the second with a random change of a tenth of the weights' size in every matrix of its blocks. Throws a refusal
 * when the disk would not hold them.
 */
export async function writeRandomPair(folder, layers, shape = SHAPE) {
  const { bavail, bsize } = statfsSync(folder);
  const needed = pairBytes(layers, shape);
  if (bavail * bsize < 1.2 * needed)
    throw refusal(
      `the pair takes ${(needed / 1e9).toFixed(1)} GB and ${folder} has ${((bavail * bsize) / 1e9).toFixed(1)} GB free; give fewer --layers, or another TMPDIR.`,
    );
  const tensors = tensorsOf(layers, shape);
  const header = {};
  let end = 0;
  for (const [name, own] of tensors) {
    const begin = end;
    end += 2 * elements(own);
    header[name] = { dtype: "BF16", shape: own, data_offsets: [begin, end] };
  }
  let text = JSON.stringify(header);
  text = text.padEnd(Math.ceil(text.length / 8) * 8);
  const start = new Uint8Array(8 + text.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(text.length), true);
  start.set(new TextEncoder().encode(text), 8);

  const dirs = ["base", "tuned"].map((name) => join(folder, name));
  const files = [];
  for (const dir of dirs) {
    mkdirSync(dir);
    writeFileSync(join(dir, "config.json"), configOf(layers, shape));
    files.push(await open(join(dir, "model.safetensors"), "w"));
    await files.at(-1).write(start);
  }
  const [weights, change] = [normalTable(0.02), normalTable(0.002)];
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const rounded = (value) => {
    float[0] = value;
    return (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16; // to nearest even, as PyTorch rounds to bfloat16
  };
  const [before, after] = [new Uint16Array(PIECE), new Uint16Array(PIECE)];
  let state = 1;
  for (const [name, own] of tensors) {
    const size = elements(own);
    const norm = own.length === 1;
    const tuned = name.includes(".layers.") && !norm;
    for (let at = 0; at < size; at += PIECE) {
      const count = Math.min(PIECE, size - at);
      for (let i = 0; i < count; i++) {
        state ^= state << 13; // xorshift32, Marsaglia 2003
        state ^= state >>> 17;
        state ^= state << 5;
        const value = norm ? 1 : weights[state & 0xffff];
        before[i] = rounded(value);
        after[i] = tuned ? rounded(value + change[state >>> 16]) : before[i];
      }
      for (const [k, piece] of [before, after].entries())
        await files[k].write(new Uint8Array(piece.buffer, 0, 2 * count));
    }
  }
  for (const file of files) await file.close();
  return { base: dirs[0], tuned: dirs[1] };
}

function configOf(layers, { width, mlp, heads, vocabulary }) {
  const config = {
    ...{ architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_act: "silu", torch_dtype: "bfloat16" },
    ...{ hidden_size: width, intermediate_size: mlp, num_attention_heads: heads, num_key_value_heads: heads },
    ...{ num_hidden_layers: layers, vocab_size: vocabulary, max_position_embeddings: 4096, rms_norm_eps: 1e-5 },
    ...{ rope_theta: 10000, tie_word_embeddings: false, bos_token_id: 1, eos_token_id: 2 },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
