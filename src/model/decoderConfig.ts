/** Model families of real checkpoints; each has a file of its own in this folder. */
export const FAMILIES = ["llama", "mistral", "qwen2", "gpt2"] as const;
export type Family = (typeof FAMILIES)[number];

/** How rotary frequencies are stretched to longer contexts. */
export type RopeScaling =
  | { readonly type: "linear"; readonly factor: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    };

export interface Rope {
  /** Base of the frequencies: 10,000 in Su et al. 2021 and Llama 2, 500,000 in Llama 3. */
  readonly theta: number;
  readonly scaling: RopeScaling | null;
}

/** The shape of a pretrained decoder-only transformer, in one form for all families. */
export interface DecoderConfig {
  readonly family: Family;
  readonly vocabulary: number;
  /** Longest sequence that the model was made for; rows of the position table in GPT-2. */
  readonly context: number;
  readonly width: number;
  readonly blocks: number;
  readonly heads: number;
  /** Heads of keys and values; each serves heads / keyValueHeads heads of queries (Ainslie et al. 2023). */
  readonly keyValueHeads: number;
  readonly headWidth: number;
  /** Hidden units of the MLP. */
  readonly mlp: number;
  /** Of the norms. */
  readonly epsilon: number;
  /** Null where positions are a learned table. */
  readonly rope: Rope | null;
  /** Per block: a query at i sees the keys j with i - window < j <= i; null: all of j <= i. */
  readonly slidingWindows: readonly (number | null)[];
  /** Which linear layers have biases. */
  readonly biases: { readonly qkv: boolean; readonly o: boolean; readonly mlp: boolean };
  /** Whether the head is the token embedding. */
  readonly tied: boolean;
}

/** A parameter's name, as Hugging Face has it, and shape. */
export interface NamedShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * Parameters of one block, without the block's prefix. Linear weights are [out, in]; GPT-2's Conv1D weights are [in, out].
 */
export function blockParameters(config: DecoderConfig): NamedShape[] {
  const { family, width, mlp, heads, keyValueHeads, headWidth, biases } = config;
  if (family === "gpt2")
    return [
      { name: "ln_1.weight", shape: [width] },
      { name: "ln_1.bias", shape: [width] },
      { name: "attn.c_attn.weight", shape: [width, 3 * width] },
      { name: "attn.c_attn.bias", shape: [3 * width] },
      { name: "attn.c_proj.weight", shape: [width, width] },
      { name: "attn.c_proj.bias", shape: [width] },
      { name: "ln_2.weight", shape: [width] },
      { name: "ln_2.bias", shape: [width] },
      { name: "mlp.c_fc.weight", shape: [width, mlp] },
      { name: "mlp.c_fc.bias", shape: [mlp] },
      { name: "mlp.c_proj.weight", shape: [mlp, width] },
      { name: "mlp.c_proj.bias", shape: [width] },
    ];
  const linear = (name: string, out: number, input: number, bias: boolean): NamedShape[] => [
    { name: `${name}.weight`, shape: [out, input] },
    ...(bias ? [{ name: `${name}.bias`, shape: [out] }] : []),
  ];
  return [
    { name: "input_layernorm.weight", shape: [width] },
    ...linear("self_attn.q_proj", heads * headWidth, width, biases.qkv),
    ...linear("self_attn.k_proj", keyValueHeads * headWidth, width, biases.qkv),
    ...linear("self_attn.v_proj", keyValueHeads * headWidth, width, biases.qkv),
    ...linear("self_attn.o_proj", width, heads * headWidth, biases.o),
    { name: "post_attention_layernorm.weight", shape: [width] },
    ...linear("mlp.gate_proj", mlp, width, biases.mlp),
    ...linear("mlp.up_proj", mlp, width, biases.mlp),
    ...linear("mlp.down_proj", width, mlp, biases.mlp),
  ];
}

/** Prefix of a block's parameters. @param layer counts from 1, as blocks do in results. */
export function blockPrefix({ family }: DecoderConfig, layer: number): string {
  return family === "gpt2" ? `transformer.h.${layer - 1}.` : `model.layers.${layer - 1}.`;
}

/** Names of the parameters outside the blocks. `head` is the embedding's where it is tied. */
export function outerNames({ family, tied }: DecoderConfig) {
  const embedding = family === "gpt2" ? "transformer.wte.weight" : "model.embed_tokens.weight";
  return {
    embedding,
    positions: family === "gpt2" ? "transformer.wpe.weight" : undefined,
    finalNorm: family === "gpt2" ? "transformer.ln_f.weight" : "model.norm.weight",
    finalNormBias: family === "gpt2" ? "transformer.ln_f.bias" : undefined,
    head: tied ? embedding : "lm_head.weight",
  };
}

/** Parameters outside the blocks: embeddings, final norm and, where it is not tied, head. */
export function outerParameters(config: DecoderConfig): NamedShape[] {
  const { vocabulary, width, context, tied } = config;
  const { embedding, positions, finalNorm, finalNormBias, head } = outerNames(config);
  return [
    { name: embedding, shape: [vocabulary, width] },
    ...(positions === undefined ? [] : [{ name: positions, shape: [context, width] }]),
    { name: finalNorm, shape: [width] },
    ...(finalNormBias === undefined ? [] : [{ name: finalNormBias, shape: [width] }]),
    ...(tied ? [] : [{ name: head, shape: [vocabulary, width] }]),
  ];
}

/** Every parameter of the model. */
export function* decoderParameters(config: DecoderConfig): Generator<NamedShape> {
  yield* outerParameters(config);
  const block = blockParameters(config);
  for (let layer = 1; layer <= config.blocks; layer++)
    for (const { name, shape } of block) yield { name: blockPrefix(config, layer) + name, shape };
}
