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
 * Every parameter in order. Linear weights are [out, in], as in PyTorch; embeddings and matrices start normal with std 0.02,
 * those that end a residual branch with 0.02 / sqrt(2 blocks) (Radford 2019).
 */
export function gptParameters(config: GptConfig): ParameterSpec[] {
  const { vocabulary, width, blocks, mlp, residual } = config;
  const std = 0.02;
  const branchStd = std / Math.sqrt(2 * blocks);
  const norm = (name: string): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [width], init: { fill: 1 }, decay: false },
    { name: `${name}.bias`, shape: [width], init: { fill: 0 }, decay: false },
  ];
  const linear = (name: string, out: number, input: number, deviation: number): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [out, input], init: { std: deviation }, decay: true },
    { name: `${name}.bias`, shape: [out], init: { fill: 0 }, decay: false },
  ];
  return [
    { name: "embed.weight", shape: [vocabulary, width], init: { std }, decay: false },
    ...Array.from({ length: blocks }, (_, block) => `blocks.${block}`).flatMap((block) => [
      ...norm(`${block}.ln1`),
      ...linear(`${block}.attn.qkv`, 3 * width, width, std),
      ...linear(`${block}.attn.proj`, width, width, branchStd),
      ...(residual === "pre-ln" ? norm(`${block}.ln2`) : []),
      ...linear(`${block}.mlp.fc`, mlp, width, std),
      ...linear(`${block}.mlp.proj`, width, mlp, branchStd),
    ]),
    ...norm("ln_final"),
    { name: "unembed.weight", shape: [vocabulary, width], init: { std }, decay: true },
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
