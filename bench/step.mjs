// One whole training step: forward, backward, clip, AdamW, float32, two threads, batches without padding. Ours beside PyTorch's, in turn.
import { engineSource } from "../dist/study/engines.js";
import { alternate, mean, median, medianRatio } from "./lib/alternate.mjs";
import { startPeer } from "./lib/peer.mjs";
import { checkParity, fullBatch, gptOf, initialWeights, loadPeer, ourTraining } from "./lib/training.mjs";

const THREADS = 2;
const SHAPES = [
  { batch: 32, time: 115, width: 192, blocks: 6, heads: 6 },
  { batch: 64, time: 40, width: 64, blocks: 3, heads: 4 },
  { batch: 256, time: 56, width: 96, blocks: 3, heads: 4 },
];
const PAD = 49;
const SCHEDULE = { peak: 1e-4, final: 1e-4, warmup: 0, steps: 1_000_000 };
/** A turn is about this long, so that what the machine does besides is shared out. */
const TURN_SECONDS = 1.5;
/** Largest relative difference of losses over the steps before timing. */
const PARITY = 1e-4;

const milliseconds = (costs) => (costs === undefined ? null : 1000 * median(costs));

/** @returns {Promise<{ title: string, columns: string[], rows: object[] }>} ours, peer, compiled: ms a step; ratio: ours / peer. */
export async function run({ peer: interpreter, compile = false, repeats = 7, note = () => {} } = {}) {
  const peer = interpreter === undefined ? undefined : await startPeer(interpreter, { threads: THREADS, note });
  const compiling = peer !== undefined && compile;
  const engine = await engineSource({ device: "cpu", threads: THREADS })();
  const rows = [];
  try {
    for (const shape of SHAPES) {
      const { batch, time } = shape;
      const model = gptOf(shape);
      const initial = initialWeights(model);
      const one = fullBatch(shape);
      const setting = { model, time, pad: PAD, schedule: SCHEDULE, initial };
      const ours = ourTraining(engine, { ...setting, batch, batchAt: () => one });
      const load = (how) => loadPeer(peer, { ...setting, batch, batches: [one], masked: false, compile: how });
      const eager = peer && (await load(false)).id;
      const compiled = compiling ? (await load(true)).id : undefined;

      const warm = await ours.turn(3);
      for (const id of [eager, compiled])
        if (id !== undefined) checkParity(warm.losses, (await peer.ask({ do: "turn", id, count: 4 })).losses, PARITY);
      const count = Math.max(2, Math.min(40, Math.round(TURN_SECONDS / median(warm.seconds))));
      const turnOf = (id) => async () => mean((await peer.ask({ do: "turn", id, count: count + 1 })).seconds.slice(1));
      const costs = await alternate(
        {
          ours: async () => mean((await ours.turn(count)).seconds),
          ...(eager !== undefined && { peer: turnOf(eager) }),
          ...(compiled !== undefined && { compiled: turnOf(compiled) }),
        },
        repeats,
      );
      for (const id of [eager, compiled]) if (id !== undefined) await peer.ask({ do: "drop", id });
      rows.push({
        shape: `${batch} x ${time}, width ${shape.width}, ${shape.blocks} blocks, ${shape.heads} heads`,
        ours: milliseconds(costs.ours),
        peer: milliseconds(costs.peer),
        ratio: costs.peer === undefined ? null : medianRatio(costs.ours, costs.peer),
        ...(compiling && { compiled: milliseconds(costs.compiled) }),
      });
    }
  } finally {
    peer?.stop();
    await engine.release();
  }
  const against = peer === undefined ? "" : `; peer: ${peer.about.description}`;
  return {
    title: `One training step in ms, ${THREADS} threads, median of ${repeats} alternating turns${against}`,
    columns: ["shape", "ours", "peer", "ratio", ...(compiling ? ["compiled"] : [])],
    rows,
  };
}
