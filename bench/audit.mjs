// What an audit of a 7 B model costs: a random pair in the true shape, of a few blocks, and what 32 would take.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { measured } from "./lib/peakMemory.mjs";
import { pairBytes, SHAPE, writeRandomPair } from "./lib/randomPair.mjs";
import { writeRandomPrompts } from "./lib/randomPrompts.mjs";
import { refusal } from "./lib/refusal.mjs";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const script = fileURLToPath(new URL("peers/audit.py", import.meta.url));
const threads = Math.min(2, availableParallelism());
const GIB = 2 ** 30;
const PROMPTS = 200;
const TOKENS = 40;
/** The matrix whose spectrum the peer checks: LAPACK takes minutes for a larger one. */
const CHECKED = { block: 1, matrix: "attn.q", tensor: "model.layers.0.self_attn.q_proj.weight" };

/** @param options layers: blocks of the pair; only: one half of it, `weights` or `activations`; peer: a Python with torch, and transformers where the forward pass is to be theirs. */
export async function run({ layers = 2, only, peer, note }) {
  if (layers < 2 && only !== "weights")
    throw refusal(
      "activations want --layers 2 or more, since of the last block only the last position is computed; or give --only weights.",
    );
  const folder = mkdtempSync(join(tmpdir(), "nullscope-bench-audit-"));
  const stop = () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(130);
  };
  process.once("SIGINT", stop);
  try {
    note(
      `Writing ${(pairBytes(layers) / 1e9).toFixed(1)} GB: ${layers} ${layers === 1 ? "block" : "blocks"} of Llama-2 7B's shape, BF16, twice.`,
    );
    const { base, tuned } = await writeRandomPair(folder, layers);
    const rows = [];
    if (only !== "activations") {
      rows.push(await weights(folder, base, tuned, layers));
      if (peer !== undefined) checkSpectrum(peer, folder, base, tuned, note);
    }
    if (only !== "weights") {
      rows.push(...(await activations(folder, base, tuned, layers)));
      if (peer !== undefined) rows.push(peerForward(peer, base, layers));
    }
    return {
      title: `Audit of a random pair in Llama-2 7B's shape, ${layers} of 32 blocks, ${threads} threads; reading included; 32 blocks: extrapolated from the mean of one`,
      columns: ["what", "s/block", "CPU s/block", "peak GiB", "32 blocks h"],
      rows,
    };
  } finally {
    process.removeListener("SIGINT", stop);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function weights(folder, base, tuned, layers) {
  const words = [command, "audit", base, tuned, "--weights", "--json", "--runs", folder, "--name", "audited"];
  const { events, peak, cpu } = await measured([...words, "--threads", String(threads)]);
  const blocks = events.filter(({ event, stage }) => event === "finished" && stage.startsWith("weights block"));
  if (blocks.length !== layers) throw new Error(`${blocks.length} blocks were measured, not ${layers}`);
  return row(
    "audit --weights",
    blocks.reduce((sum, { seconds }) => sum + seconds, 0) / layers,
    cpu === undefined ? undefined : cpu / layers,
    peak,
  );
}

/** Forward passes of both models, the measures of their activations, and of these one model's passes alone, for the peer. */
async function activations(folder, base, tuned, layers) {
  const prompts = writeRandomPrompts(folder, PROMPTS, TOKENS);
  const words = [command, "audit", base, tuned, "--activations", "--prompts", prompts, "--tokenizer", folder];
  const options = ["--no-chat", "--alphas", "none", "--no-sensitivity", "--no-first-generated"];
  const shared = ["--json", "--runs", folder, "--name", "activations", "--threads", String(threads)];
  const { events, peak } = await measured([...words, ...options, ...shared]);
  // Of the last block only the last position of every prompt is computed: it is left out.
  const counted = events.filter(
    ({ event, stage }) => event === "finished" && Number(/ block (\d+)$/.exec(stage)?.[1] ?? layers) < layers,
  );
  const seconds = (which) =>
    counted.filter(({ stage }) => which(stage)).reduce((sum, one) => sum + one.seconds, 0) / (layers - 1);
  const forward = (stage) => /^forward (base|tuned) block/.test(stage);
  if (counted.filter(({ stage }) => forward(stage)).length !== 2 * (layers - 1))
    throw new Error(`not every one of ${layers} blocks had its forward passes`);
  const what = `${PROMPTS} prompts of ${TOKENS} tokens`;
  return [
    row(
      `audit --activations, ${what}, both models`,
      seconds(() => true),
      undefined,
      peak,
    ),
    row(`  of which one model's forward pass, ${what}, reading included`, seconds(forward) / 2),
  ];
}

const row = (what, seconds, cpu, peak) => ({
  what,
  "s/block": seconds,
  "CPU s/block": cpu,
  "peak GiB": peak === undefined ? undefined : peak / GIB,
  "32 blocks h": (seconds * SHAPE.blocks) / 3600,
});

/** One request to the peer. */
function ask(peer, ...words) {
  const { OPENBLAS_CORETYPE: _, ...env } = process.env; // it makes BLAS take another machine's kernels
  const argv = [script, ...words.map(String), String(threads)];
  const { error, status, stdout, stderr } = spawnSync(peer, argv, { encoding: "utf8", env });
  if (error !== undefined)
    throw refusal(`cannot run the interpreter ${peer} (${error.code}); give --peer a Python that can import torch.`);
  if (status !== 0) throw new Error(`the peer failed: ${stderr.trim().split("\n").at(-1)}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

/** Everything in memory, no reading: what an audit is compared with. */
function peerForward(peer, base, layers) {
  const { name, seconds, cpu, peak } = ask(peer, "forward", base, layers, PROMPTS, TOKENS);
  return row(`peer: forward pass, in memory: ${name}`, seconds / layers, cpu / layers, peak);
}

/** One matrix's numbers by LAPACK. Throws when ours differ by more than 1e-5 of their size. */
function checkSpectrum(peer, folder, base, tuned, note) {
  const dense = ask(peer, "spectrum", base, tuned, CHECKED.tensor);
  const worst = difference(join(folder, "audited"), dense);
  note(
    `Checked ${CHECKED.matrix} of block 1 [4096, 4096] against ${dense.name}: 64 singular values of dW within ${worst.toExponential(1)} of their size, energy ranks equal (${dense.seconds.toFixed(0)} s for two spectra).`,
  );
}

function difference(run, { delta, ranks, baseRanks }) {
  const { rows } = JSON.parse(readFileSync(join(run, "results", "weights.json"), "utf8"));
  const of = (metric) =>
    rows
      .filter((one) => one.metric === metric && one.block === CHECKED.block && one.matrix === CHECKED.matrix)
      .sort((a, b) => a.index - b.index)
      .map((one) => one.value);
  const ours = of("singular-value");
  const worst = Math.max(...delta.map((value, i) => Math.abs(ours[i] / value - 1)));
  const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
  if (
    ours.length !== delta.length ||
    !(worst < 1e-5) ||
    !same(of("energy-rank"), ranks) ||
    !same(of("base-energy-rank"), baseRanks)
  )
    throw new Error(
      `ours and LAPACK differ: singular values by ${worst} of their size; energy ranks ${of("energy-rank")} and ${ranks}, of W ${of("base-energy-rank")} and ${baseRanks}`,
    );
  return worst;
}
