// Samples per second on one core, finished rows of tokens with labels, in the training loop's batch size and its own buffers.
import { readFileSync } from "node:fs";
import { createSamples, parseWorld, pretrainSamples, testSet, tuningSamples } from "../dist/world/index.js";

const BATCH = 512;
const BATCHES = 200;
const REPEATS = 7;

/** @returns {Promise<{ title: string, columns: string[], rows: { world: string, kind: string, samplesPerSecond: number }[] }>} */
export async function run() {
  const rows = [];
  for (const name of ["quick", "paper"]) {
    const json = JSON.parse(readFileSync(new URL(`../worlds/${name}.json`, import.meta.url), "utf8"));
    const world = parseWorld(json, `worlds/${name}.json`);
    const into = createSamples(world, BATCH);
    const kinds = {
      pretrain: (step) => pretrainSamples(world, { seed: 1, step, count: BATCH }, into),
      tuning: (step) => tuningSamples(world, { seed: 1, step, count: BATCH }, into),
      "jb-co-text": (step) => testSet(world, "jb-co-text", { seed: 1, step, count: BATCH }, into),
    };
    for (const [kind, draw] of Object.entries(kinds)) {
      const rates = [];
      // One repeat more than counted: the first warms the compiler up.
      for (let repeat = 0; repeat <= REPEATS; repeat++) {
        const start = performance.now();
        for (let batch = 0; batch < BATCHES; batch++) draw(repeat * BATCHES + batch);
        if (repeat > 0) rates.push((BATCH * BATCHES * 1000) / (performance.now() - start));
      }
      rates.sort((a, b) => a - b);
      rows.push({ world: name, kind, samplesPerSecond: Math.round(rates[REPEATS >> 1]) });
    }
  }
  return {
    title: `Samples per second, one core, median of ${REPEATS} repeats of ${BATCHES} batches of ${BATCH}`,
    columns: ["world", "kind", "samplesPerSecond"],
    rows,
  };
}
