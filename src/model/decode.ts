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
  slice,
  type Tensor,
  where,
} from "../tensor/index.js";
import type { GptConfig } from "./config.js";
import {
  atIndex,
  type Edit,
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
import { afterStart, type Inserted, promptStart, shiftOf } from "./inserted.js";

export interface DecodeInput {
  /** Prompts; whatever is no prompt is `pad`. int32 [batch, time] */
  readonly tokens: Tensor;
  /** Index of each prompt's last token. int32 [batch] */
  readonly lastIndex: Tensor;
  readonly pad: number;
  /** How many tokens to write. */
  readonly steps: number;
  /** Embeddings between each prompt and its last token. */
  readonly inserted?: Inserted;
  /** Of prompts and of every token that is written. */
  readonly edit?: Edit | undefined;
}

/**
 * Greedy decoding in one program: the prompts pass through the model once, then each new token attends to stored keys and values, so
 * nothing of the past is computed again. Returns ids, int32 [batch, steps].
 */
export function greedyDecode(
  config: GptConfig,
  parameters: Parameters,
  { steps, inserted, ...prompts }: DecodeInput,
): Tensor {
  const [batch] = prompts.tokens.shape as [number, number];
  const table = parameter(parameters, "embed.weight");
  const dtype = table.dtype as FloatDType;
  const { record } = recorder(prompts.edit);
  const context = config.context + (inserted?.embeddings.shape[1] ?? 0);
  const positions = positionTable({ ...config, context }, dtype);
  const lastIndex = inserted === undefined ? prompts.lastIndex : add(prompts.lastIndex, shiftOf(inserted));

  const prompt =
    inserted === undefined
      ? wholePrompts(config, parameters, prompts)
      : withInserted(config, parameters, { ...prompts, inserted });
  let next = argmax(prompt.logits); // [batch]
  const written = [next];
  let { cache, bias } = prompt;
  // Keys of padding stay hidden; a new token's key may stand behind them, since positions are in the embeddings.
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

interface ReadPrompts {
  /** At each prompt's last token. [batch, vocabulary] */
  readonly logits: Tensor;
  readonly cache: readonly KeysAndValues[];
  /** 0 at keys that exist. [batch, 1, 1, keys] */
  readonly bias: Tensor;
}

type Prompts = Pick<DecodeInput, "tokens" | "lastIndex" | "pad" | "edit">;

function wholePrompts(
  config: GptConfig,
  parameters: Parameters,
  { tokens, lastIndex, pad, edit }: Prompts,
): ReadPrompts {
  const [batch, time] = tokens.shape as [number, number];
  const { cache, activations } = gptForward(config, parameters, { tokens, pad, edit });
  const last = atIndex(activations.get(`blocks.${config.blocks - 1}.resid_post`)!, lastIndex);
  const dtype = last.dtype as FloatDType;
  return {
    logits: unembed(config, parameters, last, recorder(edit).record),
    cache,
    bias: reshape(where(equal(tokens, pad), scalar(MASKED, dtype), scalar(0, dtype)), [batch, 1, 1, time]),
  };
}

function withInserted(
  config: GptConfig,
  parameters: Parameters,
  { inserted, ...prompts }: Prompts & { readonly inserted: Inserted },
): ReadPrompts {
  const { logits, ...rest } = afterStart(config, parameters, promptStart(config, parameters, prompts), {
    inserted,
    edit: prompts.edit,
  });
  return { ...rest, logits: reshape(slice(logits, 1, logits.shape[1]! - 1), [logits.shape[0]!, config.vocabulary]) };
}
