// How the cost of training grows: time per token over the batch and over the number of blocks, and the memory it takes. Each size runs in
// a process of its own (bench/lib/costOf.mjs), since a process's peak memory never falls again.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const child = fileURLToPath(new URL("./lib/costOf.mjs", import.meta.url));
const BASE = { batch: 64, time: 40, width: 64, blocks: 3, heads: 4 };
const BATCHES = [16, 32, 64, 128, 256, 512];
const BLOCKS = [1, 2, 4, 8];
/** About as many tokens are timed at every size. */
const TOKENS = 60_000;

function measure(shape, repeats) {
  const steps = Math.max(2, Math.round(TOKENS / (shape.batch * shape.time)));
  const { status, stdout, stderr } = spawnSync(process.execPath, [child, JSON.stringify({ shape, repeats, steps })], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`measuring ${JSON.stringify(shape)} failed: ${stderr}`);
  const { secondsPerStep, peakBytes } = JSON.parse(stdout);
  return {
    batch: shape.batch,
    blocks: shape.blocks,
    msPerStep: 1000 * secondsPerStep,
    microsecondsPerToken: (1e6 * secondsPerStep) / (shape.batch * shape.time),
    peakMiB: Math.round(peakBytes / 2 ** 20),
  };
}

/** @returns {Promise<{ title: string, columns: string[], rows: object[] }>} one row a size. */
export async function run({ repeats = 5 } = {}) {
  const rows = [
    ...BATCHES.map((batch) => measure({ ...BASE, batch }, repeats)),
    ...BLOCKS.map((blocks) => measure({ ...BASE, blocks }, repeats)),
  ];
  return {
    title: `Cost of a training step, ${BASE.time} tokens a row, width ${BASE.width}, ${BASE.heads} heads, 2 threads, median of ${repeats} repeats`,
    columns: ["batch", "blocks", "msPerStep", "microsecondsPerToken", "peakMiB"],
    rows,
  };
}
