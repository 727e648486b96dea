import { type Checkpoint, type GptConfig, gptForward, parameter } from "../model/index.js";
import { permutation } from "../random/index.js";
import {
  type Engine,
  type FloatDType,
  gather,
  gradients,
  matmul,
  mul,
  program,
  slice,
  sum,
  tokenNll,
  unflatten,
} from "../tensor/index.js";
import { gptLayout, TEXT_START } from "../train/index.js";
import { inBatches, readRow, type Samples, trueOutput, type World } from "../world/index.js";
import { type DiscreteObjective, greedyCoordinateGradient } from "./greedyCoordinateGradient.js";
import { promptKey } from "./prompts.js";

export interface TextAttackOptions {
  readonly world: World;
  /** Sequences that go through the model at once. */
  readonly batch: number;
  readonly seed: number;
  /** How many letters of each text may change, at positions drawn at random; a shorter text may change whole. */
  readonly strength: number;
  readonly topK: number;
  readonly candidates: number;
  /** Forward passes per sample. */
  readonly budget: number;
}

export interface TextAttack {
  /** The samples with the texts that were found, and the true outputs of these in the answer's place. */
  readonly samples: Samples;
  /** Summed negative log-likelihood of the true output under the found text, in nats. [count] */
  readonly losses: Float64Array;
  /** Forward passes that each sample's search used. [count] */
  readonly passes: Int32Array;
}

/** Below this summed loss every token of the output has a probability above 1/2, so greedy decoding writes it: the attack has succeeded. */
const CERTAIN = Math.LN2;

export interface TextProgramShape {
  readonly batch: number;
  /** Tokens that go into the model: all of a row but its last output token and EOS, which nothing looks at. */
  readonly time: number;
  readonly pad: number;
  readonly dtype?: FloatDType;
}

const textInputs = (model: GptConfig, { batch, time, dtype = "float32" }: TextProgramShape) => ({
  parameters: { shape: [gptLayout(model).size], dtype },
  tokens: { shape: [batch, time], dtype: "int32" as const },
  targets: { shape: [batch, time], dtype: "int32" as const },
  /** 1 at the positions that predict the output. */
  weights: { shape: [batch, time], dtype },
});

/** Summed negative log-likelihood of each sequence's output, in nats: `losses` [batch]. */
export function textLossProgram(model: GptConfig, shape: TextProgramShape) {
  return program("text-loss", textInputs(model, shape), ({ parameters, tokens, targets, weights }) => {
    const { logits } = gptForward(model, unflatten(parameters, gptLayout(model)), { tokens, pad: shape.pad });
    return { losses: sum(mul(tokenNll(logits, targets), weights), { axis: -1 }) };
  });
}

/**
 * Gradient of that loss with respect to a one-hot choice among `terminals` at each text position: dL/de . E', e the position's token embedding, E
 * the terminals' rows of the embedding table. `slopes` [batch, maxText, terminals]
 */
export function textGradientProgram(
  model: GptConfig,
  shape: TextProgramShape & { readonly maxText: number; readonly terminals: readonly number[] },
) {
  return program("text-gradient", textInputs(model, shape), ({ parameters: flat, tokens, targets, weights }) => {
    const parameters = unflatten(flat, gptLayout(model));
    const table = parameter(parameters, "embed.weight");
    const embeddings = gather(table, tokens); // [batch, time, width]
    const { logits } = gptForward(model, parameters, { tokens, pad: shape.pad, embeddings });
    const loss = sum(mul(tokenNll(logits, targets), weights)); // samples do not meet: each has its own gradient
    const slope = slice(gradients(loss, [embeddings])[0]!, 1, TEXT_START, TEXT_START + shape.maxText);
    const [first, last] = [shape.terminals[0]!, shape.terminals.at(-1)!]; // terminals are neighbours in the vocabulary
    return { slopes: matmul(slope, slice(table, 0, first, last + 1), { transposeB: true }) };
  });
}

/**
 * Greedy coordinate gradient on the letters of each text. The target is the true output f_j(f_i(T')) of the *changed* text T': what the model
 * should write is then always known, and success judged exactly. A candidate is evaluated with its own target; the gradient flows through the
 * text alone and takes the target as it stands.
 */
export async function textAttack(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  { world, batch, seed, strength, topK, candidates, budget }: TextAttackOptions,
): Promise<TextAttack> {
  const { pad, terminals } = world.vocabulary;
  const { count } = samples;
  const time = samples.time - 2;
  const shape = { batch, time, pad };
  const lossOf = await engine.compile(textLossProgram(model, shape));
  const slopesOf = await engine.compile(textGradientProgram(model, { ...shape, maxText: world.maxText, terminals }));
  const keys = Array.from({ length: count }, (_, row) => promptKey(seed, "gcg", samples, row));
  // Step 1 of the key: step 0 is the search's own stream. A text of fewer letters repeats its positions: the last change of one counts.
  const editable = keys.map((key, row) => {
    const order = permutation(key, 1, samples.textLength[row]!);
    return Int32Array.from({ length: strength }, (_, i) => order[i % order.length]!);
  });

  /** The sample's row with other letters at its editable positions and the true output of that text. */
  const rewrite = (row: number, letters: Int32Array): Int32Array => {
    const { tasks, text, grammar } = readRow(world, samples, row);
    for (const [i, position] of editable[row]!.entries()) text[position] = terminals[letters[i]!]!;
    const tokens = samples.tokens.slice(row * samples.time, (row + 1) * samples.time);
    tokens.set(text, TEXT_START);
    tokens.set(trueOutput(world, grammar, tasks, text), samples.answerStart[row]!);
    return tokens;
  };
  /** A batch of texts as the programs take them. */
  const feedsOf = (items: Int32Array, owners: Int32Array, texts: Int32Array) => {
    const tokens = new Int32Array(batch * time);
    const targets = new Int32Array(batch * time);
    const weights = new Float32Array(batch * time);
    for (const [i, item] of items.entries()) {
      const row = owners[item]!;
      const written = rewrite(row, texts.subarray(item * strength, (item + 1) * strength));
      tokens.set(written.subarray(0, time), i * time);
      targets.set(written.subarray(1, time + 1), i * time);
      const from = i * time + samples.answerStart[row]! - 1;
      weights.fill(1, from, from + samples.textLength[row]!);
    }
    return { parameters, tokens, targets, weights };
  };

  const letters = terminals.length;
  const objective: DiscreteObjective = {
    async losses(owners, texts) {
      const all = new Float64Array(owners.length);
      await inBatches(owners.length, batch, async (items, used) => {
        const out = await lossOf.run(feedsOf(items, owners, texts));
        all.set((out.losses as Float32Array).subarray(0, used), items[0]!);
      });
      return all;
    },
    async gradients(owners, texts) {
      const all = new Float64Array(owners.length * strength * letters);
      await inBatches(owners.length, batch, async (items, used) => {
        const { slopes } = await slopesOf.run(feedsOf(items, owners, texts));
        for (let i = 0; i < used; i++)
          for (const [slot, position] of editable[owners[items[i]!]!]!.entries()) {
            const from = (i * world.maxText + position) * letters;
            all.set((slopes as Float32Array).subarray(from, from + letters), (items[i]! * strength + slot) * letters);
          }
      });
      return all;
    },
  };

  const starts = new Int32Array(count * strength);
  for (let row = 0; row < count; row++)
    for (const [i, position] of editable[row]!.entries())
      starts[row * strength + i] = samples.tokens[row * samples.time + TEXT_START + position]! - terminals[0]!;
  const found = await greedyCoordinateGradient(objective, starts, {
    ...{ positions: strength, letters, topK, candidates, budget, keys },
    stopBelow: CERTAIN,
  });
  const tokens = samples.tokens.slice();
  for (const [row, { text }] of found.entries()) tokens.set(rewrite(row, text), row * samples.time);
  return {
    samples: { ...samples, tokens },
    losses: Float64Array.from(found, ({ loss }) => loss),
    passes: Int32Array.from(found, ({ passes }) => passes),
  };
}
