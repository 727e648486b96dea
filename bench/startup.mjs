// How long a person waits for the command line, and for the first training step of a new quick study.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { median } from "./lib/alternate.mjs";

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

function help() {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [main, "--help"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`nullscope --help failed: ${stderr}`);
  return performance.now() - start;
}

/** From the start of the process to its first event of training; the process is then ended. */
async function firstStep() {
  const runs = mkdtempSync(join(tmpdir(), "nullscope-bench-"));
  try {
    const start = performance.now();
    const child = spawn(process.execPath, [main, "study", "quick", "--json", "--runs", runs], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    let elapsed;
    for await (const line of createInterface({ input: child.stdout })) {
      if (elapsed !== undefined || JSON.parse(line).event !== "progress") continue;
      elapsed = performance.now() - start;
      child.kill("SIGKILL");
    }
    await ended;
    if (elapsed === undefined) throw new Error("the study ended before its first step");
    return elapsed;
  } finally {
    rmSync(runs, { recursive: true, force: true });
  }
}

/** @returns {Promise<{ title: string, columns: string[], rows: object[] }>} milliseconds from the start of the process. */
export async function run({ repeats = 7 } = {}) {
  const costs = { "nullscope --help": [], "first step of nullscope study quick": [] };
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const times = [help(), await firstStep()];
    // The first reads the files from the disk.
    if (repeat > 0) for (const [i, list] of Object.values(costs).entries()) list.push(times[i]);
  }
  return {
    title: `Start of the command in ms, median of ${repeats} alternating repeats`,
    columns: ["what", "milliseconds"],
    rows: Object.entries(costs).map(([what, times]) => ({ what, milliseconds: Math.round(median(times)) })),
  };
}
