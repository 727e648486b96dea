/** The shape of a GPT. Paper: method §2 (6 blocks, 6 heads, width 192, MLP 768). */
export interface GptConfig {
  readonly vocabulary: number;
  /** Longest sequence: rows of the position table. */
  readonly context: number;
  readonly width: number;
  readonly blocks: number;
  readonly heads: number;
  /** Hidden units of the MLP; usually 4 x width. */
  readonly mlp: number;
  /**
   * `pre-ln`: x = x + attn(ln1(x)); x = x + mlp(ln2(x)).
   * `released`: x = ln1(x); x = x + attn(x); x = x + mlp(x), as the paper's released code trains.
   */
  readonly residual: "pre-ln" | "released";
  readonly epsilon: number;
}

/** A model at one checkpoint: its shape and its weights as one flat vector. */
export interface Checkpoint {
  readonly model: GptConfig;
  readonly parameters: Float32Array;
}

/** How a parameter begins and whether weight decay acts on it. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Standard deviation of the normal it is drawn from, or the constant it is filled with. */
  readonly init: { readonly std: number } | { readonly fill: number };
  /** Weight decay acts on the weights of linear layers only, as PyTorch users group them. */
  readonly decay: boolean;
}

/**
 * Token embeddings stand beside sinusoids of root mean square 0.71; much smaller ones drown in them and the first thousand steps
 * go into growing them.
 */
const EMBEDDING_STD = 0.5;

/**
 * Every parameter in order. Linear weights are [out, in], as in PyTorch, and start normal with the variance of PyTorch's default,
 * 1 / (3 in); those that end a residual branch are smaller by sqrt(2 blocks) (Radford 2019).
 */
export function gptParameters(config: GptConfig): ParameterSpec[] {
  const { vocabulary, width, blocks, mlp, residual } = config;
  const linearStd = (input: number) => 1 / Math.sqrt(3 * input);
  const branch = 1 / Math.sqrt(2 * blocks);
  const norm = (name: string): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [width], init: { fill: 1 }, decay: false },
    { name: `${name}.bias`, shape: [width], init: { fill: 0 }, decay: false },
  ];
  const linear = (name: string, out: number, input: number, scale: number): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [out, input], init: { std: scale * linearStd(input) }, decay: true },
    { name: `${name}.bias`, shape: [out], init: { fill: 0 }, decay: false },
  ];
  return [
    { name: "embed.weight", shape: [vocabulary, width], init: { std: EMBEDDING_STD }, decay: false },
    ...Array.from({ length: blocks }, (_, block) => `blocks.${block}`).flatMap((block) => [
      ...norm(`${block}.ln1`),
      ...linear(`${block}.attn.qkv`, 3 * width, width, 1),
      ...linear(`${block}.attn.proj`, width, width, branch),
      ...(residual === "pre-ln" ? norm(`${block}.ln2`) : []),
      ...linear(`${block}.mlp.fc`, mlp, width, 1),
      ...linear(`${block}.mlp.proj`, width, mlp, branch),
    ]),
    ...norm("ln_final"),
    { name: "unembed.weight", shape: [vocabulary, width], init: { std: linearStd(width) }, decay: true },
  ];
}

/**
 * Sinusoidal positions: p[t, 2i] = sin(t / 10000^(2i/width)), p[t, 2i+1] = cos(the same). Vaswani 2017. [context, width]
 */
export function sinusoidalPositions(context: number, width: number): Float64Array {
  const table = new Float64Array(context * width);
  for (let t = 0; t < context; t++)
    for (let column = 0; column < width; column++) {
      const angle = t / 10000 ** ((column - (column % 2)) / width);
      table[t * width + column] = column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    }
  return table;
}
