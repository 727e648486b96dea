import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fixture } from "../fixtures.js";

// The built command, in processes of their own: they are killed for good.
const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

let runs: string;
beforeAll(() => {
  runs = mkdtempSync(join(tmpdir(), "nullscope-audit-resume-"));
});
afterAll(() => rmSync(runs, { recursive: true, force: true }));

type Event = { event: string; stage?: string; step?: number; ran?: string[]; already?: string[] };

/** Audits the fixture pair; `watch` sees each event as it comes. */
async function audit(name: string, watch: (event: Event, child: ChildProcess) => void = () => {}, threads = 1) {
  const words = ["audit", fixture("checkpoints/a_llama2"), fixture("twins/a_llama2_tuned")];
  const options = ["--name", name, "--runs", runs, "--threads", String(threads), "--json"];
  const child = spawn(process.execPath, [command, ...words, ...options], { stdio: ["ignore", "pipe", "inherit"] });
  const events: Event[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    events.push(JSON.parse(line) as Event);
    watch(events.at(-1)!, child);
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on("close", (...how) => resolve(how)),
  );
  return { events, code, signal, end: events.at(-1)! };
}

/** sha256 of every result and of every file of the stages but their manifests, which hold times. */
function fingerprint(name: string): string {
  const hash = createHash("sha256");
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(runs, name, folder), { withFileTypes: true }).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (entry.name !== "manifest.json") hash.update(path).update(readFileSync(join(runs, name, path)));
    }
  };
  walk("results");
  walk("stages");
  return hash.digest("hex");
}

test("killed in the second block, the same command goes on there, with the same bytes; so it does with another number of threads", async () => {
  expect((await audit("undisturbed")).code).toBe(0);
  const killed = await audit("killed", ({ event, stage }, child) => {
    if (event === "started" && stage === "weights block 2") child.kill("SIGKILL");
  });
  expect(killed.signal).toBe("SIGKILL");
  const resumed = await audit("killed", () => {}, 2);
  expect(resumed.code).toBe(0);
  expect(resumed.end.already).toEqual(["weights block 1"]);
  expect(resumed.end.ran).toEqual(["weights block 2", "weights block 3", "weights block 4", "overlap across blocks"]);
  expect(fingerprint("killed")).toBe(fingerprint("undisturbed"));
});
