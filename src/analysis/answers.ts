import { type GptConfig, gptForward } from "../model/index.js";
import {
  div,
  type Engine,
  mul,
  type Program,
  program,
  reshape,
  slice,
  sum,
  tokenNll,
  unflatten,
} from "../tensor/index.js";
import { gptLayout, nextTokenBatch, scoredPositions } from "../train/index.js";
import { inBatches, type Samples } from "../world/index.js";
import type { Vectors } from "./clusters.js";
import type { Checkpoint, DecodingOptions } from "./decoding.js";

/** What one forward pass with the true answer shows of each sample. */
export interface TrueAnswers {
  /** Mean cross-entropy of the true output and EOS, in nats a token. [count] */
  readonly loss: Float64Array;
  /** Post-GELU MLP activations of the last block at k, a_L of q = 1: causal, so the answer that is fed does not matter. [count, mlp] */
  readonly lastBlock: Vectors;
}

function trueAnswersProgram(
  model: GptConfig,
  { batch, time, scored, pad }: Readonly<Record<"batch" | "time" | "scored" | "pad", number>>,
): Program {
  const layout = gptLayout(model);
  return program<string, string>(
    "true-answers",
    {
      parameters: { shape: [layout.size], dtype: "float32" },
      tokens: { shape: [batch, time], dtype: "int32" },
      positions: { shape: [batch, scored], dtype: "int32" },
      targets: { shape: [batch, scored], dtype: "int32" },
      weights: { shape: [batch, scored], dtype: "float32" },
    },
    ({ parameters, tokens, positions, targets, weights }) => {
      const input = { tokens: tokens!, pad, askedPositions: positions! };
      const { logits, activations } = gptForward(model, unflatten(parameters!, layout), input);
      const post = activations.get(`blocks.${model.blocks - 1}.mlp.post`)!; // [batch, scored, mlp]
      return {
        loss: div(sum(mul(tokenNll(logits, targets!), weights!), { axis: -1 }), sum(weights!, { axis: -1 })),
        lastBlock: reshape(slice(post, 1, 0, 1), [batch, model.mlp]), // the first scored position is k
      };
    },
  );
}

/** Loss of the true output and the last block's activations at k, in one pass. Loss as SSFT and pretraining have it: EOS counts. */
export async function trueAnswers(
  engine: Engine,
  { model, parameters }: Checkpoint,
  samples: Samples,
  { world, batch }: Pick<DecodingOptions, "world" | "batch">,
): Promise<TrueAnswers> {
  const scored = scoredPositions(world);
  const time = samples.time - 1;
  const { pad } = world.vocabulary;
  const executable = await engine.compile(trueAnswersProgram(model, { batch, time, scored, pad }));
  const all = nextTokenBatch(samples, scored, () => "answer");
  const loss = new Float64Array(samples.count);
  const data = new Float32Array(samples.count * model.mlp);
  await inBatches(samples.count, batch, async (rows, used) => {
    const gathered = <T extends Int32Array | Float32Array>(from: T, length: number): T => {
      const out = new (from.constructor as new (size: number) => T)(batch * length);
      for (const [i, row] of rows.entries()) out.set(from.subarray(row * length, (row + 1) * length), i * length);
      return out;
    };
    const out = await executable.run({
      parameters,
      tokens: gathered(all.tokens as Int32Array, time),
      positions: gathered(all.positions as Int32Array, scored),
      targets: gathered(all.targets as Int32Array, scored),
      weights: gathered(all.weights as Float32Array, scored),
    });
    const first = rows[0]!;
    loss.set((out.loss as Float32Array).subarray(0, used), first);
    data.set((out.lastBlock as Float32Array).subarray(0, used * model.mlp), first * model.mlp);
  });
  return { loss, lastBlock: { data, width: model.mlp } };
}
