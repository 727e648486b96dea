import { UserError } from "../errors.js";
import { type GptConfig, gptParameters, sinusoidalPositions } from "../model/index.js";
import { parameterLayout, parameterView } from "../tensor/index.js";

/** Weights of a GPT as one flat vector in `gptParameters`' order, and its positions table where it is not the sinusoidal one. */
export interface GptWeights {
  readonly model: GptConfig;
  readonly flat: Float32Array;
  /** [context, width] */
  readonly positions?: Float32Array;
}

/** A tensor as it stands in a file. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** GPT-2's name for our parameter, and whether it keeps it transposed: its linear layers are Conv1D, [in, out]. */
function gpt2Name(name: string): { readonly name: string; readonly transposed: boolean } {
  const transposed = /\.(attn|mlp)\.\w+\.weight$/.test(name);
  const renamed = name
    .replace(/^embed\.weight$/, "transformer.wte.weight")
    .replace(/^unembed\.weight$/, "lm_head.weight")
    .replace(/^ln_final\./, "transformer.ln_f.")
    .replace(/^blocks\.(\d+)\./, "transformer.h.$1.")
    .replace(/\.ln([12])\./, ".ln_$1.")
    .replace(/\.attn\.qkv\./, ".attn.c_attn.")
    .replace(/\.attn\.proj\./, ".attn.c_proj.")
    .replace(/\.mlp\.fc\./, ".mlp.c_fc.")
    .replace(/\.mlp\.proj\./, ".mlp.c_proj.");
  return { name: renamed, transposed };
}

/** [rows, columns] -> [columns, rows], row-major. */
function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = data[row * columns + column]!;
  return out;
}

/**
 * Our GPT as Hugging Face's GPT-2: with standard pre-LN blocks it is the same function, and `GPT2LMHeadModel` loads it (positions as a
 * table, head untied). Blocks as the paper released them have no such twin and get a model type of their own.
 */
export function toGpt2(
  { model, flat, positions }: GptWeights,
  extra: Readonly<Record<string, unknown>> = {},
): { config: Record<string, unknown>; tensors: NamedTensor[] } {
  const layout = parameterLayout(gptParameters(model));
  const tensors = layout.slots.map((slot): NamedTensor => {
    const data = parameterView(flat, layout, slot.name);
    const target = gpt2Name(slot.name);
    if (!target.transposed) return { name: target.name, shape: slot.shape, data };
    const [out, input] = slot.shape as [number, number];
    return { name: target.name, shape: [input, out], data: transposed(data, out, input) };
  });
  const table = positions ?? Float32Array.from(sinusoidalPositions(model.context, model.width));
  tensors.push({ name: "transformer.wpe.weight", shape: [model.context, model.width], data: table });
  const preLn = model.residual === "pre-ln";
  const config = {
    architectures: [preLn ? "GPT2LMHeadModel" : "NullscopeReleasedGpt"],
    model_type: preLn ? "gpt2" : "nullscope-released-gpt",
    activation_function: "gelu_new",
    vocab_size: model.vocabulary,
    n_positions: model.context,
    n_embd: model.width,
    n_layer: model.blocks,
    n_head: model.heads,
    n_inner: model.mlp,
    layer_norm_epsilon: model.epsilon,
    tie_word_embeddings: false,
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    dtype: "float32",
    ...extra,
  };
  return { config, tensors };
}

const MAX_SIZE = 1 << 20;

/**
 * A GPT-2 folder's config and tensors as our GPT. Head tied to the embedding when there is none of its own; learned positions come
 * back as a table. Throws a UserError that names what is missing or does not fit, before anything is allocated by a number the file claims.
 */
export function fromGpt2(
  config: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array | Float64Array }>,
  where: string,
): GptWeights {
  const size = (key: string, fallback?: number): number => {
    const value = config[key] ?? fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > MAX_SIZE)
      throw new UserError(
        `${where}: config.json says ${key} is ${JSON.stringify(config[key])}, but it must be an integer from 1 to ${MAX_SIZE}.`,
      );
    return value;
  };
  const type = config.model_type;
  if (type !== "gpt2" && type !== "nullscope-released-gpt")
    throw new UserError(`${where}: config.json says model_type ${JSON.stringify(type)}; this reader knows "gpt2".`);
  const activation = config.activation_function ?? "gelu_new";
  if (activation !== "gelu_new" && activation !== "gelu_pytorch_tanh")
    throw new UserError(
      `${where}: config.json says activation_function ${JSON.stringify(activation)}; this reader knows "gelu_new".`,
    );
  const epsilon = config.layer_norm_epsilon ?? 1e-5;
  if (typeof epsilon !== "number" || !(epsilon > 0 && epsilon < 1))
    throw new UserError(
      `${where}: config.json says layer_norm_epsilon is ${JSON.stringify(epsilon)}; it must lie between 0 and 1.`,
    );
  const width = size("n_embd");
  const model: GptConfig = {
    vocabulary: size("vocab_size"),
    context: size("n_positions"),
    width,
    blocks: size("n_layer"),
    heads: size("n_head"),
    mlp: size("n_inner", 4 * width),
    residual: type === "gpt2" ? "pre-ln" : "released",
    epsilon,
  };
  // Hugging Face saves GPT2Model without the prefix of GPT2LMHeadModel: hub files come both ways.
  const find = (name: string, shape: readonly number[]) => {
    const tensor = tensors.get(name) ?? tensors.get(name.replace(/^transformer\./, ""));
    if (tensor === undefined) throw new UserError(`${where} has no tensor ${name}; is it a GPT-2 checkpoint?`);
    if (tensor.shape.join() !== shape.join())
      throw new UserError(
        `${where}: tensor ${name} has shape [${tensor.shape.join(", ")}], but config.json asks for [${shape.join(", ")}].`,
      );
    return Float32Array.from(tensor.data);
  };
  const specs = gptParameters(model);
  const pieces = specs.map(({ name, shape }) => {
    const target = gpt2Name(name);
    if (name === "unembed.weight" && !tensors.has(target.name)) return find("transformer.wte.weight", shape);
    if (!target.transposed) return find(target.name, shape);
    const [out, input] = shape as [number, number];
    return transposed(find(target.name, [input, out]), input, out);
  });
  const layout = parameterLayout(specs);
  const flat = new Float32Array(layout.size);
  for (const [index, { offset }] of layout.slots.entries()) flat.set(pieces[index]!, offset);
  return { model, flat, positions: find("transformer.wpe.weight", [model.context, width]) };
}
