import {
  add,
  argmax,
  concat,
  constant,
  equal,
  type FloatDType,
  gather,
  reshape,
  scalar,
  type Tensor,
  where,
} from "../tensor/index.js";
import type { GptConfig } from "./config.js";
import {
  atIndex,
  gptBlock,
  gptForward,
  type KeysAndValues,
  MASKED,
  type Parameters,
  parameter,
  positionTable,
  recorder,
  unembed,
} from "./gpt.js";

export interface DecodeInput {
  /** Prompts; whatever is no prompt is `pad`. int32 [batch, time] */
  readonly tokens: Tensor;
  /** Index of each prompt's last token. int32 [batch] */
  readonly lastIndex: Tensor;
  readonly pad: number;
  /** How many tokens to write. */
  readonly steps: number;
}

/**
 * Greedy decoding in one program: the prompts pass through the model once, then each new token attends to stored keys and values, so
 * nothing of the past is computed again. Returns ids, int32 [batch, steps].
 */
export function greedyDecode(
  config: GptConfig,
  parameters: Parameters,
  { tokens, lastIndex, pad, steps }: DecodeInput,
): Tensor {
  const [batch, time] = tokens.shape as [number, number];
  const table = parameter(parameters, "embed.weight");
  const dtype = table.dtype as FloatDType;
  const positions = positionTable(config, dtype);
  const { record } = recorder();

  const prompt = gptForward(config, parameters, { tokens, pad });
  const last = atIndex(prompt.activations.get(`blocks.${config.blocks - 1}.resid_post`)!, lastIndex);
  let next = argmax(unembed(config, parameters, last, record)); // [batch]
  const written = [next];
  let cache: readonly KeysAndValues[] = prompt.cache;
  // Keys of padding stay hidden; a new token's key may stand behind them, since positions are in the embeddings.
  let bias = reshape(where(equal(tokens, pad), scalar(MASKED, dtype), scalar(0, dtype)), [batch, 1, 1, time]);
  const visible = constant(new Float32Array(batch), [batch, 1, 1, 1], dtype);
  for (let step = 1; step < steps; step++) {
    bias = concat([bias, visible], 3);
    const embedded = add(gather(table, next), gather(positions, add(lastIndex, step))); // [batch, width]
    let x = reshape(embedded, [batch, 1, config.width]);
    cache = cache.map((past, index) => {
      const { keys, values, x: out } = gptBlock(config, parameters, index, x, bias, record, { past });
      x = out;
      return { keys, values };
    });
    next = argmax(unembed(config, parameters, reshape(x, [batch, config.width]), record));
    written.push(next);
  }
  return concat(
    written.map((ids) => reshape(ids, [batch, 1])),
    1,
  );
}
