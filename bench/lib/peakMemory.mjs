import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/**
 * Runs a command of ours with --json and resolves to its events and its peak resident memory in bytes, as the kernel has it (VmHWM); undefined where
 * there is no /proc. Throws when it does not end with 0.
 */
export async function measured(words) {
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
  const events = [];
  let [peak, stderr] = [undefined, ""];
  const look = () => {
    try {
      const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"));
      if (found !== null) peak = Math.max(peak ?? 0, Number(found[1]) * 1024);
    } catch {}
  };
  const timer = setInterval(look, 100);
  child.stderr.on("data", (chunk) => {
    stderr = (stderr + chunk).slice(-4000);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    look();
    events.push(JSON.parse(line));
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  clearInterval(timer);
  if (code !== 0) throw new Error(`${words.slice(1).join(" ")} ended with ${code}: ${stderr.trim()}`);
  return { events, peak };
}
