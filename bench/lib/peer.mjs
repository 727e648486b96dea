import { spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { refusal } from "./refusal.mjs";

const script = fileURLToPath(new URL("../peers/step.py", import.meta.url));

/** Our environment, less what makes the peer's BLAS take another machine's kernels. */
function environment() {
  const { OPENBLAS_CORETYPE: _, ...rest } = process.env;
  return rest;
}

/**
 * Starts bench/peers/step.py and keeps it, so that its start is never measured. `device`: cpu, or gpu, which is the CPU where its PyTorch has none, and
 * `about` says so. Resolves to undefined, and says why, when the interpreter has no PyTorch. Throws a refusal when there is no such interpreter.
 */
export async function startPeer(interpreter, { threads, device = "cpu", note }) {
  const found = spawnSync(interpreter, ["-c", "import torch, numpy"], { encoding: "utf8", env: environment() });
  if (found.error !== undefined)
    throw refusal(
      `cannot run the interpreter ${interpreter} (${found.error.code}); give --peer a Python that can import torch.`,
    );
  if (found.status !== 0) {
    const reason = found.stderr.trim().split("\n").at(-1);
    note(`No peer: ${interpreter} cannot import torch and numpy (${reason}). Ours alone:`);
    return undefined;
  }
  const child = spawn(interpreter, [script], { env: environment(), stdio: ["pipe", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr = (stderr + chunk).slice(-4000);
  });
  const waiting = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.resolve(JSON.parse(line)));
  child.on("exit", (code) => {
    for (const { reject } of waiting.splice(0)) reject(new Error(`the peer ended (exit ${code}): ${stderr.trim()}`));
  });
  /** One request, one answer. */
  async function ask(request) {
    const answer = await new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      child.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if (answer.error !== undefined) throw new Error(`the peer failed: ${answer.error}`);
    return answer;
  }
  const about = await ask({ do: "start", threads, device });
  return { about, ask, stop: () => child.stdin.end() };
}
