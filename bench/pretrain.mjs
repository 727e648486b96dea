// The real work of the preset quick's pretraining: its world, its samples in its order, its steps, with data and metrics.
// Ours draws its samples as it goes; the peer reads the same ones, drawn beforehand and not timed, which is an advantage for it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engineSource } from "../dist/study/engines.js";
import { nodeFileSystem } from "../dist/study/fileSystem.js";
import { loadWorld } from "../dist/study/loadWorld.js";
import { openMetrics } from "../dist/study/metrics.js";
import { resolveConfig } from "../dist/study/resolveConfig.js";
import { gptOf } from "../dist/study/stages/checkpoints.js";
import { trainingLog } from "../dist/study/stages/trainingLog.js";
import { pretrainBatches, scoredPositions } from "../dist/train/index.js";
import { alternate, mean, median, medianRatio } from "./lib/alternate.mjs";
import { startPeer } from "./lib/peer.mjs";
import { checkParity, copyOf, initialWeights, loadPeer, ourTraining } from "./lib/training.mjs";

const STEPS_A_TURN = 40;
const WARM = 10;
/** Relative; the first steps of a warm-up move the weights little. */
const PARITY = 1e-3;

/** @returns {Promise<{ title: string, columns: string[], rows: object[] }>} ours, peer: ms a step; ratio: ours / peer. */
export async function run({ peer: interpreter, compile = false, repeats = 7, note = () => {} } = {}) {
  const config = await resolveConfig({ source: "quick" });
  const world = await loadWorld(config.world);
  const { threads, pretrain: settings } = config;
  const { steps, batch, warmup, learningRate, finalLearningRate, clip, curriculum } = settings;
  const [seed] = config.seeds;
  const peer = interpreter === undefined ? undefined : await startPeer(interpreter, { threads, note });
  const compiling = peer !== undefined && compile;
  const folder = mkdtempSync(join(tmpdir(), "nullscope-bench-"));
  const engine = await engineSource(config)();
  const metrics = openMetrics(nodeFileSystem, join(folder, "metrics.jsonl"));
  try {
    const model = gptOf(config.model, world);
    const time = world.time - 1;
    const batchAt = pretrainBatches(world, { seed, batch, steps, textShare: curriculum.textShare });
    const setting = {
      model,
      batch,
      time,
      scored: scoredPositions(world),
      pad: world.vocabulary.pad,
      schedule: { peak: learningRate, final: finalLearningRate, warmup, steps },
      initial: initialWeights(model, seed),
      clip,
      adamw: settings,
    };
    const { onStep } = trainingLog({ metrics: metrics.write, progress: () => {} }, "instruct", { seed, steps });
    const ours = ourTraining(engine, { ...setting, batchAt, onStep });

    const total = WARM + 1 + repeats * (STEPS_A_TURN + 1);
    const rivals = {};
    const batches = peer && Array.from({ length: total }, (_, step) => copyOf(batchAt(step)));
    const load = (how) =>
      loadPeer(peer, { ...setting, batches, masked: true, compile: how, metrics: join(folder, `${how}.jsonl`) });
    if (peer !== undefined) rivals.peer = (await load(false)).id;
    if (compiling) rivals.compiled = (await load(true)).id;

    const warm = await ours.turn(WARM);
    for (const id of Object.values(rivals))
      checkParity(warm.losses, (await peer.ask({ do: "turn", id, count: WARM + 1 })).losses, PARITY);
    // A turn's first step is run but not counted, on both sides: the clock starts at its end.
    const turnOf = (id) => async () =>
      mean((await peer.ask({ do: "turn", id, count: STEPS_A_TURN + 1 })).seconds.slice(1));
    const costs = await alternate(
      {
        ours: async () => mean((await ours.turn(STEPS_A_TURN)).seconds),
        ...Object.fromEntries(Object.entries(rivals).map(([name, id]) => [name, turnOf(id)])),
      },
      repeats,
    );
    const milliseconds = (name) => (costs[name] === undefined ? null : 1000 * median(costs[name]));
    return {
      title: `A step of quick's pretraining in ms, data and metrics included, ${threads} threads, median of ${repeats} alternating turns of ${STEPS_A_TURN} steps${peer === undefined ? "" : `; peer: ${peer.about.description}`}`,
      columns: ["work", "ours", "peer", "ratio", ...(compiling ? ["compiled"] : [])],
      rows: [
        {
          work: `${batch} x ${time}, width ${model.width}, ${model.blocks} blocks, ${model.heads} heads`,
          ours: milliseconds("ours"),
          peer: milliseconds("peer"),
          ratio: costs.peer === undefined ? null : medianRatio(costs.ours, costs.peer),
          ...(compiling && { compiled: milliseconds("compiled") }),
        },
      ],
    };
  } finally {
    peer?.stop();
    await metrics.flush();
    await engine.release();
    rmSync(folder, { recursive: true, force: true });
  }
}
