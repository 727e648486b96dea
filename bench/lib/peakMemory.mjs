import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/**
 * Runs a command of ours with --json and resolves to its events, its peak resident memory in bytes (VmHWM) and its processor time in seconds, both as the
 * kernel has them; undefined where there is no /proc. Throws when it does not end with 0.
 */
export async function measured(words) {
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
  const events = [];
  let [peak, cpu, stderr] = [undefined, undefined, ""];
  const look = () => {
    try {
      const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"));
      if (found !== null) peak = Math.max(peak ?? 0, Number(found[1]) * 1024);
      // Fields 14 and 15 after the name in brackets: ticks in user and in kernel mode, 100 a second on every Linux.
      const [user, system] = readFileSync(`/proc/${child.pid}/stat`, "utf8")
        .split(") ")
        .at(-1)
        .split(" ")
        .slice(11, 13);
      cpu = (Number(user) + Number(system)) / 100 || cpu;
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
  return { events, peak, cpu };
}
