import { z } from "zod";
import { UserError } from "../errors.js";
import type { DecoderConfig, Family, Rope, RopeScaling } from "../model/index.js";
import { plainJson } from "./foreignJson.js";
import { quoteName, type StrictJson } from "./strictJson.js";

/** No model comes near these; a file that claims more is refused before anything is allocated by it. */
const count = (max: number) => z.number().int().min(1).max(max);
const VOCABULARY = count(2 ** 22);
const CONTEXT = count(2 ** 24);
const WIDTH = count(2 ** 17);
const BLOCKS = count(1024);
const HEADS = count(1024);
const MLP = count(2 ** 20);
const EPSILON = z.number().positive().max(0.1);
const THETA = z.number().positive().max(1e12);
const FACTOR = z.number().min(1).max(1e6);
const flag = z.boolean();

/** Null means absent everywhere: transformers writes one or the other. */
const optional = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? undefined);

const modelType = z.object({ model_type: z.enum(["llama", "mistral", "qwen2", "gpt2"]) });

/**
 * `rope_parameters` of transformers 5 and `rope_scaling` of 4 (in older files `type` for `rope_type`). Flat: an object inside would be a
 * setting per kind of layer, which no family here has.
 */
const ropeFields = z
  .object({
    rope_type: optional(z.string().max(40)),
    type: optional(z.string().max(40)),
    rope_theta: optional(THETA),
    factor: optional(FACTOR),
    low_freq_factor: optional(z.number().positive().max(1e6)),
    high_freq_factor: optional(z.number().positive().max(1e6)),
    original_max_position_embeddings: optional(CONTEXT),
    partial_rotary_factor: optional(z.literal(1)),
  })
  .catchall(z.union([z.number(), z.string(), z.boolean(), z.null(), z.array(z.number())]));

const llamaFields = z.object({
  vocab_size: VOCABULARY,
  hidden_size: WIDTH,
  intermediate_size: MLP,
  num_hidden_layers: BLOCKS,
  num_attention_heads: HEADS,
  num_key_value_heads: optional(HEADS),
  head_dim: optional(count(4096)),
  max_position_embeddings: optional(CONTEXT),
  rms_norm_eps: optional(EPSILON),
  rope_theta: optional(THETA),
  rope_scaling: optional(ropeFields),
  rope_parameters: optional(ropeFields),
  partial_rotary_factor: optional(z.literal(1)),
  hidden_act: optional(z.literal("silu")),
  attention_bias: optional(flag),
  mlp_bias: optional(flag),
  // Absent is not null here: a Mistral without the field has a window of 4096, one with null has none.
  sliding_window: CONTEXT.nullish(),
  use_sliding_window: optional(flag),
  max_window_layers: optional(z.number().int().min(0).max(1024)),
  layer_types: optional(z.array(z.enum(["full_attention", "sliding_attention"])).max(1024)),
  tie_word_embeddings: optional(flag),
});

const gpt2Fields = z.object({
  vocab_size: VOCABULARY,
  n_positions: CONTEXT,
  n_embd: WIDTH,
  n_layer: BLOCKS,
  n_head: HEADS,
  n_inner: optional(MLP),
  layer_norm_epsilon: optional(EPSILON),
  activation_function: optional(z.enum(["gelu_new", "gelu_pytorch_tanh"])),
  scale_attn_weights: optional(z.literal(true)),
  scale_attn_by_inverse_layer_idx: optional(z.literal(false)),
  add_cross_attention: optional(z.literal(false)),
  tie_word_embeddings: optional(flag),
});

/** What transformers takes where a field is absent. */
const DEFAULT_EPSILON: Record<Family, number> = { llama: 1e-6, mistral: 1e-6, qwen2: 1e-6, gpt2: 1e-5 };
const DEFAULT_CONTEXT: Record<string, number> = { llama: 2048, mistral: 4096 * 32, qwen2: 32768 };
const DEFAULT_THETA = 10_000;
const DEFAULT_WINDOW = 4096;

/**
 * `config.json` as our one form, and remarks on what it says beyond that. Both formats are read: `rope_parameters` (transformers 5) and
 * `rope_theta` with `rope_scaling` (4 and older).
 * @param where names the file in errors. @throws UserError for a field that is missing, out of bounds or asks for what is not computed here.
 */
export function decoderConfigOf(
  json: StrictJson,
  where: string,
): { readonly config: DecoderConfig; readonly notes: readonly string[] } {
  if (!(json instanceof Map)) throw new UserError(`${where} is not a JSON object.`);
  const plain = plainJson(json);
  const notes: string[] = [];
  if (json.has("auto_map"))
    notes.push("config.json names code to run (auto_map); it was ignored, as code from elsewhere is never run here");
  if (json.get("quantization_config") !== undefined && json.get("quantization_config") !== null)
    throw new UserError(
      `${where} says that the weights are quantised (quantization_config); give the unquantised model.`,
    );
  const family = parsed(modelType, plain, where).model_type;
  const config =
    family === "gpt2"
      ? gpt2Config(parsed(gpt2Fields, plain, where), where)
      : llamaLike(family, parsed(llamaFields, plain, where), where);
  return { config, notes };
}

function gpt2Config(fields: z.infer<typeof gpt2Fields>, where: string): DecoderConfig {
  const { n_embd: width, n_head: heads, n_layer: blocks } = fields;
  if (width % heads !== 0) throw new UserError(`${where}: n_embd ${width} is not a multiple of n_head ${heads}.`);
  return {
    family: "gpt2",
    vocabulary: fields.vocab_size,
    context: fields.n_positions,
    width,
    blocks,
    heads,
    keyValueHeads: heads,
    headWidth: width / heads,
    mlp: fields.n_inner ?? 4 * width,
    epsilon: fields.layer_norm_epsilon ?? DEFAULT_EPSILON.gpt2,
    rope: null,
    slidingWindows: Array.from({ length: blocks }, () => null),
    biases: { qkv: true, o: true, mlp: true },
    tied: fields.tie_word_embeddings ?? true,
  };
}

type LlamaFields = z.infer<typeof llamaFields>;

function llamaLike(family: Exclude<Family, "gpt2">, fields: LlamaFields, where: string): DecoderConfig {
  const { hidden_size: width, num_attention_heads: heads, num_hidden_layers: blocks } = fields;
  const keyValueHeads = fields.num_key_value_heads ?? heads;
  if (heads % keyValueHeads !== 0)
    throw new UserError(
      `${where}: num_attention_heads ${heads} is not a multiple of num_key_value_heads ${keyValueHeads}.`,
    );
  const headWidth = fields.head_dim ?? width / heads;
  if (!Number.isInteger(headWidth))
    throw new UserError(`${where}: hidden_size ${width} is not a multiple of num_attention_heads ${heads}.`);
  if (headWidth % 2 !== 0)
    throw new UserError(`${where}: head_dim ${headWidth} is odd, but rotary positions turn pairs.`);
  const context = fields.max_position_embeddings ?? DEFAULT_CONTEXT[family]!;
  const llama = family === "llama";
  return {
    family,
    vocabulary: fields.vocab_size,
    context,
    width,
    blocks,
    heads,
    keyValueHeads,
    headWidth,
    mlp: fields.intermediate_size,
    epsilon: fields.rms_norm_eps ?? DEFAULT_EPSILON[family],
    rope: ropeOf(fields, context, where),
    slidingWindows: windowsOf(family, fields, where),
    biases: {
      qkv: family === "qwen2" || (llama && (fields.attention_bias ?? false)),
      o: llama && (fields.attention_bias ?? false),
      mlp: llama && (fields.mlp_bias ?? false),
    },
    tied: fields.tie_word_embeddings ?? false,
  };
}

function ropeOf(fields: LlamaFields, context: number, where: string): Rope {
  const rope = { ...fields.rope_scaling, ...fields.rope_parameters };
  const theta = fields.rope_parameters?.rope_theta ?? fields.rope_theta ?? rope.rope_theta ?? DEFAULT_THETA;
  return { theta, scaling: scalingOf(rope, context, where) };
}

function scalingOf(rope: Partial<z.infer<typeof ropeFields>>, context: number, where: string): RopeScaling | null {
  const type = rope.rope_type ?? rope.type ?? "default";
  const need = (field: keyof typeof rope): number => {
    const value = rope[field];
    if (typeof value !== "number") throw new UserError(`${where}: rope scaling of type "${type}" has no ${field}.`);
    return value;
  };
  if (type === "default") return null;
  if (type === "linear") return { type, factor: need("factor") };
  if (type !== "llama3")
    throw new UserError(
      `${where}: rope scaling of type ${quoteName(type)} is not computed here; models with "default", "linear" and "llama3" are.`,
    );
  const lowFrequencyFactor = need("low_freq_factor");
  const highFrequencyFactor = need("high_freq_factor");
  if (highFrequencyFactor <= lowFrequencyFactor)
    throw new UserError(
      `${where}: rope scaling has high_freq_factor ${highFrequencyFactor}, which must be above low_freq_factor ${lowFrequencyFactor}.`,
    );
  return {
    type,
    factor: need("factor"),
    lowFrequencyFactor,
    highFrequencyFactor,
    originalContext: rope.original_max_position_embeddings ?? context,
  };
}

/**
 * The window of each block. Mistral has one for all; Qwen2 has one where `use_sliding_window` is on, in the blocks that `layer_types` names
 * or, in older files, from `max_window_layers` on.
 */
function windowsOf(family: Family, fields: LlamaFields, where: string): (number | null)[] {
  const { num_hidden_layers: blocks, layer_types: types, sliding_window: window } = fields;
  if (types !== undefined && types.length !== blocks)
    throw new UserError(`${where}: layer_types has ${types.length} entries, but num_hidden_layers is ${blocks}.`);
  const ofBlock = (index: number): number | null => {
    if (family === "mistral") return window === undefined ? DEFAULT_WINDOW : window;
    if (family !== "qwen2" || fields.use_sliding_window !== true) return null;
    const slides =
      types === undefined ? index >= (fields.max_window_layers ?? 28) : types[index] === "sliding_attention";
    return slides ? (window ?? DEFAULT_WINDOW) : null;
  };
  return Array.from({ length: blocks }, (_, index) => ofBlock(index));
}

/** The value by its schema. @throws UserError with the first thing that is wrong, as one sentence. */
function parsed<T extends z.ZodType>(schema: T, value: unknown, where: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const found = issue.path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
  const field = issue.path.map(String).join(".");
  if (found === undefined) throw new UserError(`${where} has no ${field}.`);
  throw new UserError(`${where}: ${field} is ${shown(found)}, but must be ${wanted(issue)}.`);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)} ...` : text;
}

function wanted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.expected === "int" ? "a whole number" : `of type ${issue.expected}`;
    case "invalid_value":
      return issue.values.map((one) => JSON.stringify(one)).join(" or ");
    case "too_small":
      return `${issue.inclusive === false ? "above" : "at least"} ${issue.minimum}`;
    case "too_big":
      return `at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}
