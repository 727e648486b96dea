// Greedy decoding as a study's behaviour stage does it: quick's world and model, prompts in, outputs out.
import { decodeGreedily } from "../dist/analysis/index.js";
import { engineSource } from "../dist/study/engines.js";
import { loadWorld } from "../dist/study/loadWorld.js";
import { resolveConfig } from "../dist/study/resolveConfig.js";
import { gptOf } from "../dist/study/stages/checkpoints.js";
import { testSet } from "../dist/world/index.js";
import { median } from "./lib/alternate.mjs";
import { initialWeights } from "./lib/training.mjs";

/** @returns {Promise<{ title: string, columns: string[], rows: object[] }>} tokensPerSecond: written tokens, prompts not counted. */
export async function run({ repeats = 7 } = {}) {
  const config = await resolveConfig({ source: "quick" });
  const world = await loadWorld(config.world);
  const model = gptOf(config.model, world);
  const checkpoint = { model, parameters: initialWeights(model) };
  const samples = testSet(world, "safe", { seed: 0, step: 0, count: 1000 });
  const engine = await engineSource(config)();
  const rows = [];
  try {
    for (const batch of [50, 250]) {
      const rates = [];
      for (let repeat = 0; repeat <= repeats; repeat++) {
        const start = performance.now();
        const written = await decodeGreedily(engine, checkpoint, samples, { world, batch });
        // The first builds the graph and its session.
        if (repeat > 0) rates.push((1000 * written.length) / (performance.now() - start));
      }
      rows.push({ batch, samples: samples.count, tokensPerSecond: Math.round(median(rates)) });
    }
  } finally {
    await engine.release();
  }
  return {
    title: `Greedy decoding, quick's world and model, ${config.threads} threads, median of ${repeats} repeats`,
    columns: ["batch", "samples", "tokensPerSecond"],
    rows,
  };
}
