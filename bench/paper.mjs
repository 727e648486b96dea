// How long the preset paper takes on a device: its trainings at their true shape, a few steps of each, beside PyTorch on the same device, and what the whole study comes to.

import { buildStudy } from "../dist/study/build.js";
import { resolveDevice } from "../dist/study/devices.js";
import { engineSource } from "../dist/study/engines.js";
import { inDependencyOrder } from "../dist/study/graph.js";
import { loadWorld } from "../dist/study/loadWorld.js";
import { resolveConfig } from "../dist/study/resolveConfig.js";
import { gptOf } from "../dist/study/stages/checkpoints.js";
import { tuningBatchesOf, tuningObjective, tuningsOf } from "../dist/study/stages/tunings.js";
import { pretrain, pretrainBatches, scoredPositions, sharedPromptTokens } from "../dist/train/index.js";
import { alternate, mean, median, medianRatio } from "./lib/alternate.mjs";
import { startPeer } from "./lib/peer.mjs";
import { checkParity, copyOf, initialWeights, loadPeer, ourTraining } from "./lib/training.mjs";

const WARM = 3;
/** A turn is about this long, so that what the machine does besides is shared out. */
const TURN_SECONDS = 2;
const MOST_STEPS = 200;
/** Relative, over the steps before timing. */
const PARITY = 1e-3;
/** So small that any setting stays finite; how long a step takes does not depend on it. */
const RATE = { peak: 1e-6, final: 1e-6, warmup: 0, steps: 1_000_000 };

/**
 * @param options device: cpu, webgpu, cuda or auto. `preset` and `turnSeconds` are for tests: a smaller study, shorter turns.
 * @returns {Promise<{ title: string, columns: string[], rows: object[] }>} steps: of the whole study; stepsPerSecond: ours; peer: the same of PyTorch, pretraining only; ratio: time of ours / peer; hours.
 */
export async function run({
  device: asked = "auto",
  peer: interpreter,
  repeats = 3,
  preset = "paper",
  turnSeconds = TURN_SECONDS,
  note = () => {},
} = {}) {
  const device = await resolveDevice(asked);
  const config = await resolveConfig({ source: preset, device });
  const world = await loadWorld(config.world);
  const { threads } = config;
  const peer =
    interpreter === undefined
      ? undefined
      : await startPeer(interpreter, { threads, device: device === "cpu" ? "cpu" : "gpu", note });
  const engine = await engineSource(config)();
  try {
    const rows = [];
    for (const training of trainingsOf(config, world)) {
      const rival = training.name === "pretrain" ? peer : undefined;
      const { ours, peers } = await measured(engine, config, world, training, { peer: rival, repeats, turnSeconds });
      const seconds = median(ours);
      rows.push({
        training: training.name,
        steps: training.steps,
        stepsPerSecond: 1 / seconds,
        peer: peers === undefined ? null : 1 / median(peers),
        ratio: peers === undefined ? null : medianRatio(ours, peers),
        hours: (training.steps * seconds) / 3600,
      });
    }
    const hours = rows.reduce((sum, row) => sum + row.hours, 0);
    rows.push({ training: "everything else, estimated", hours: hours * shareOfTheRest(config, world) });
    rows.push({ training: "the whole study", hours: hours + rows.at(-1).hours });
    const { batch } = config.pretrain;
    const { width, blocks, heads } = config.model;
    return {
      title: `Trainings of ${preset} (${batch} x ${world.time - 1}, width ${width}, ${blocks} blocks, ${heads} heads) on ${device}, steps a second, median of ${repeats} turns${peer === undefined ? "" : `; peer: ${peer.about.description}`}`,
      columns: ["training", "steps", "stepsPerSecond", ...(peer === undefined ? [] : ["peer", "ratio"]), "hours"],
      rows,
    };
  } finally {
    peer?.stop();
    await engine.release();
  }
}

/** Kinds of trainings of a study, with the steps of all of a kind. Tunings of one method differ in their rate alone. */
function trainingsOf(config, world) {
  const seed = config.seeds[0];
  const { pretrain: settings, tune, seeds } = config;
  const first = {
    name: "pretrain",
    steps: settings.steps * seeds.length,
    settings,
    objective: pretrain,
    batchAt: pretrainBatches(world, { ...settings, seed, textShare: settings.curriculum.textShare }),
  };
  const tunings = tuningsOf(config, seed);
  const methods = [...new Set(tunings.map(({ method }) => method))];
  const others = methods.map((method) => {
    const same = tunings.filter((tuning) => tuning.method === method);
    return {
      name: `tune ${method}`,
      steps: tune.steps * same.length * seeds.length,
      settings: tune,
      objective: tuningObjective(config, same[0]).objective,
      batchAt: tuningBatchesOf(config, world, same[0]),
    };
  });
  return [first, ...others];
}

async function measured(engine, config, world, { settings, objective, batchAt }, { peer, repeats, turnSeconds }) {
  const model = gptOf(config.model, world);
  const initial = initialWeights(model, config.seeds[0]);
  const { batch, clip } = settings;
  const setting = {
    ...{ model, objective, batch, clip, initial, adamw: settings, schedule: RATE, reference: initial },
    ...{ time: world.time - 1, scored: scoredPositions(world), sharedPrefix: sharedPromptTokens(world) },
    pad: world.vocabulary.pad,
  };
  const ours = ourTraining(engine, { ...setting, batchAt });
  const warm = await ours.turn(WARM);
  const count = Math.max(1, Math.min(MOST_STEPS, Math.round(turnSeconds / median(warm.seconds))));
  const rivals = { ours: async () => mean((await ours.turn(count)).seconds) };
  if (peer !== undefined) {
    // A few batches, gone through again: what they hold does not change how long a step takes.
    const batches = Array.from({ length: WARM + 1 }, (_, step) => copyOf(batchAt(step)));
    const { id } = await loadPeer(peer, { ...setting, batches, masked: true, compile: false });
    checkParity(warm.losses, (await peer.ask({ do: "turn", id, count: WARM + 1 })).losses, PARITY);
    rivals.peer = async () => mean((await peer.ask({ do: "turn", id, count: count + 1 })).seconds.slice(1));
  }
  const costs = await alternate(rivals, repeats);
  return { ours: costs.ours, peers: costs.peer };
}

/** What all stages but the trainings take, as a share of the trainings, by the plan's estimates. */
function shareOfTheRest(config, world) {
  let [trainings, rest] = [0, 0];
  for (const { kind, estimateSeconds = 0 } of inDependencyOrder(buildStudy(config, world))) {
    if (kind === "pretrain" || kind === "tune") trainings += estimateSeconds;
    else rest += estimateSeconds;
  }
  return rest / trainings;
}
