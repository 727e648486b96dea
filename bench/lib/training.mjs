// Our training as the benchmarks drive it: through the same loop that a study runs, timed from step to step.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gptParameters, initializeParameters } from "../../dist/model/index.js";
import { integer, randomKey } from "../../dist/random/index.js";
import { freshState, gptLayout, pretrain, train } from "../../dist/train/index.js";

export const ADAMW = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 1e-4 };
export const CLIP = 1;

/** A GPT of the given shape that reads `time` tokens. */
export function gptOf({ time, width, blocks, heads, vocabulary = 50 }) {
  return { vocabulary, context: time, width, blocks, heads, mlp: 4 * width, residual: "pre-ln", epsilon: 1e-5 };
}

/** A batch without padding whose every position is scored: equal work for everyone. The last id is padding's and never drawn. */
export function fullBatch({ batch, time, vocabulary = 50 }) {
  const key = randomKey(0, "bench");
  const draw = (index) => Int32Array.from({ length: batch * time }, (_, i) => integer(key, index, i, vocabulary - 1));
  return { tokens: draw(0), targets: draw(1), weights: new Float32Array(batch * time).fill(1) };
}

/** Our side of a training race. `turn(n)` trains n steps on and resolves to the seconds of each, and their losses. */
export function ourTraining(
  engine,
  {
    model,
    objective = pretrain,
    reference,
    batch,
    time,
    scored,
    sharedPrefix,
    pad,
    batchAt,
    schedule,
    initial,
    clip = CLIP,
    adamw = ADAMW,
    onStep = () => {},
  },
) {
  let state = freshState(initial);
  return {
    async turn(count) {
      const seconds = [];
      const losses = [];
      let last;
      // A step's time is from the end of the one before, so one step more is run than counted: the first also finds its session.
      state = await train(engine, state, {
        model,
        objective,
        ...(reference !== undefined && { reference }),
        adamw,
        clip,
        schedule,
        until: state.step + count + 1,
        batch,
        time,
        scored,
        ...(sharedPrefix !== undefined && { sharedPrefix }),
        pad,
        batchAt,
        batchName: "bench",
        onStep: (metrics) => {
          onStep(metrics);
          const now = performance.now();
          if (last !== undefined) seconds.push((now - last) / 1000);
          last = now;
          losses.push(metrics.loss);
        },
      });
      return { seconds, losses };
    },
  };
}

/** Fresh weights of a model, the same in every run. */
export function initialWeights(model, seed = 0) {
  return initializeParameters(gptParameters(model), gptLayout(model), seed);
}

/** Gives the peer the same model, weights and batches through files that live as long as the call. */
export async function loadPeer(
  peer,
  { model, batch, batches, time, pad, masked, schedule, initial, clip = CLIP, adamw = ADAMW, compile, metrics },
) {
  const folder = mkdtempSync(join(tmpdir(), "nullscope-bench-"));
  try {
    const weights = join(folder, "weights.f32");
    writeFileSync(weights, initial);
    const ids = batches.flatMap((one) => [BigInt64Array.from(one.tokens, BigInt), denseTargets(one, batch)]);
    const samples = join(folder, "batches.i64");
    writeFileSync(samples, Buffer.concat(ids.map(({ buffer }) => Buffer.from(buffer))));
    return await peer.ask({
      do: "load",
      model,
      slots: gptLayout(model).slots,
      weights,
      samples,
      batch,
      time,
      pad,
      masked,
      schedule,
      clip,
      adamw,
      compile,
      metrics,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Targets as PyTorch wants them, one for each token: int64, -100 where nothing is scored. [batch, time] */
function denseTargets({ tokens, positions, targets, weights }, batch) {
  const [time, scored] = [tokens.length / batch, targets.length / batch];
  const dense = new BigInt64Array(tokens.length).fill(-100n);
  for (let i = 0; i < targets.length; i++)
    if (weights[i] !== 0) dense[Math.floor(i / scored) * time + (positions?.[i] ?? i % scored)] = BigInt(targets[i]);
  return dense;
}

/** A batch whose buffers no later batch can overwrite. */
export function copyOf(batch) {
  return Object.fromEntries(Object.entries(batch).map(([name, values]) => [name, values.slice()]));
}

/** Throws unless both trainings give the same losses, step by step. Relative; float32 sums in another order drift as weights move. */
export function checkParity(ours, peers, tolerance) {
  for (let step = 0; step < Math.min(ours.length, peers.length); step++) {
    const difference = Math.abs(ours[step] - peers[step]) / Math.abs(peers[step]);
    if (!(difference <= tolerance))
      throw new Error(
        `no time is reported: at step ${step + 1} our loss is ${ours[step]} and the peer's ${peers[step]} (relative difference ${difference.toExponential(1)}, at most ${tolerance})`,
      );
  }
}
