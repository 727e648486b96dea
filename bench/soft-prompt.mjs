// Soft-prompt attacks on quick's world and model: all samples at once against one sample at a time, through the same code.
import { softPromptAttack } from "../dist/attack/index.js";
import { engineSource } from "../dist/study/engines.js";
import { loadWorld } from "../dist/study/loadWorld.js";
import { resolveConfig } from "../dist/study/resolveConfig.js";
import { gptOf } from "../dist/study/stages/checkpoints.js";
import { testSet } from "../dist/world/index.js";
import { alternate, median, medianRatio } from "./lib/alternate.mjs";
import { initialWeights } from "./lib/training.mjs";

const SAMPLES = 240;
const BATCHES = [1, 10, 20, 40, 80, 240];

/** @returns {Promise<{ title: string, columns: string[], rows: object[] }>} ratio: speed against one sample at a time, round by round. */
export async function run({ repeats = 5 } = {}) {
  const config = await resolveConfig({ source: "quick" });
  const world = await loadWorld(config.world);
  const model = gptOf(config.model, world);
  const checkpoint = { model, parameters: initialWeights(model) };
  const samples = testSet(world, "unsafe", { seed: 0, count: SAMPLES });
  const engine = await engineSource(config)();
  const options = { world, seed: 0, strength: 5, steps: 10, learningRate: 1, initialNorm: 0.1 };
  const attack = (batch) => async () => {
    const start = performance.now();
    await softPromptAttack(engine, checkpoint, samples, { ...options, batch });
    return (performance.now() - start) / 1000;
  };
  const rivals = Object.fromEntries(BATCHES.map((batch) => [`batch ${batch}`, attack(batch)]));
  try {
    // The first run of each builds its graph and session.
    for (const rival of Object.values(rivals)) await rival();
    const seconds = await alternate(rivals, repeats);
    return {
      title: `Soft prompts of ${options.strength} embeddings, ${options.steps} steps, quick's world and model, ${config.threads} threads, median of ${repeats} rounds`,
      columns: ["batch", "samples", "samplesPerSecond", "ratio"],
      rows: BATCHES.map((batch) => ({
        batch,
        samples: SAMPLES,
        samplesPerSecond: Math.round(SAMPLES / median(seconds[`batch ${batch}`])),
        ratio: medianRatio(seconds["batch 1"], seconds[`batch ${batch}`]),
      })),
    };
  } finally {
    await engine.release();
  }
}
