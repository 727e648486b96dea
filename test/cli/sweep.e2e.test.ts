import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import type { StageManifest } from "../../src/study/manifest.js";
import { readLedger } from "../../src/study/sweep/ledger.js";
import { tinyWorld } from "./tinyWorld.js";

const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const STUDIES = 20;
/** Kills of each kind before the sweep is left in peace. */
const KILLS = 6;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-sweep-"));
  await writeFile(join(folder, "tiny.json"), JSON.stringify(tinyWorld));
  const sweep = {
    study: "smoke",
    set: {
      world: "tiny.json",
      "pretrain.steps": 30,
      "pretrain.warmup": 5,
      "tune.steps": 10,
      "tune.methods": ["ssft"],
      measures: ["behaviour"],
      "attacks.run": [],
      "interventions.run": [],
      "tune.rates.small": null,
      "tune.controls.methods": [],
      "tune.dynamics.fractions": [],
      "evaluate.samples": 20,
      "evaluate.batch": 10,
    },
    grid: { "tune.rates.medium": Array.from({ length: STUDIES / 2 }, (_, i) => 1e-4 * (i + 1)), seeds: [[0], [1]] },
  };
  await writeFile(join(folder, "rates.yaml"), stringify(sweep));
});
afterAll(() => rm(folder, { recursive: true }));

type Event = { event: string; stage?: string };
interface End extends Event {
  studies: { study: string; stages: number; done: number }[];
  ran: number;
  already: number;
  failed: object;
}

function sweep(name: string, watch: (event: Event, child: ChildProcess) => void = () => {}) {
  const words = ["sweep", "rates.yaml", "--name", name, "--json", "--parallel", "2", "--on-failure", "retry:9"];
  const child = spawn(process.execPath, [command, ...words], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let last: Event | undefined;
  createInterface({ input: child.stdout }).on("line", (line) => {
    last = JSON.parse(line) as Event;
    watch(last, child);
  });
  let err = "";
  child.stderr.on("data", (text: Buffer) => (err += text.toString()));
  return new Promise<{ code: number | null; last: Event | undefined; err: string }>((done) => {
    child.on("close", (code) => done({ code, last, err }));
  });
}

/** The same numbers in every run of the test. */
function draws(seed: number) {
  let count = 0;
  return (below: number) => createHash("sha256").update(`${seed}:${count++}`).digest().readUInt32LE(0) % below;
}

/** The processes that a process started. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** sha256 of all that the sweep made, but for times. */
async function fingerprint(name: string): Promise<string> {
  const root = join(folder, "runs", name);
  const hash = createHash("sha256");
  for (const part of ["stages", "combined/results", "studies"])
    for (const path of (await readdir(join(root, part), { recursive: true, withFileTypes: true }))
      .filter(
        (one) =>
          one.isFile() &&
          /rows\.json$|\.safetensors$|metrics\.jsonl$|results[\\/][^\\/]*$/.test(join(one.parentPath, one.name)),
      )
      .map((one) => join(one.parentPath, one.name))
      .sort())
      hash
        .update(relative(root, path))
        .update("\0")
        .update(await readFile(path));
  return hash.digest("hex");
}

test.skipIf(process.platform !== "linux")(
  `a sweep of ${STUDIES} studies whose workers and parent are killed at random loses nothing and computes nothing twice`,
  async () => {
    const draw = draws(11);
    const kills = { worker: 0, parent: 0 };
    let end: End | undefined;
    for (let starts = 0; end === undefined; starts++) {
      expect(starts).toBeLessThan(KILLS + 2);
      let until = 1 + draw(4);
      const { code, last, err } = await sweep("killed", (event, child) => {
        if (event.event !== "started" || --until > 0) return;
        until = 1 + draw(4);
        const workers = childrenOf(child.pid!);
        if (kills.worker < KILLS && workers.length > 0 && draw(2) === 0) {
          kills.worker++;
          process.kill(workers[draw(workers.length)]!, "SIGKILL");
        } else if (kills.parent < KILLS) {
          kills.parent++;
          child.kill("SIGKILL");
        }
      });
      if (last?.event === "end") {
        expect({ code, err }).toEqual({ code: 0, err: "" });
        end = last as End;
      } else expect(code).toBeNull();
    }
    expect(kills.parent).toBe(KILLS);
    expect(kills.worker).toBeGreaterThan(1);

    // Nothing lost: every stage of every study is there, and whole.
    expect(end.studies).toHaveLength(STUDIES);
    expect(end.studies.filter((study) => study.done !== study.stages)).toEqual([]);
    expect(end.failed).toEqual({});
    const run = join(folder, "runs", "killed");
    const manifests = new Map<string, StageManifest>();
    for (const name of await readdir(join(run, "stages"))) {
      const manifest = JSON.parse(await readFile(join(run, "stages", name, "manifest.json"), "utf8")) as StageManifest;
      manifests.set(manifest.identity, manifest);
    }
    expect(manifests.size).toBe(end.ran + end.already);
    // A world, two pretrained models and their behaviour, and a tuning with its behaviour for each study.
    expect(manifests.size).toBe(1 + 2 + 2 + 2 * STUDIES);

    // Nothing twice: no stage ended twice, and none was submitted after it was whole.
    const ledger = await readLedger(run);
    const twice = [...manifests.values()].filter(({ identity, finished }) => {
      const lines = ledger.filter((line) => line.job === identity);
      const ends = lines.filter((line) => line.event === "end").length;
      return (
        ends > 1 || lines.some((line) => (line.event === "submit" || line.event === "requeue") && line.time > finished)
      );
    });
    expect(twice.map(({ name }) => name)).toEqual([]);
    expect(ledger.filter((line) => line.event === "begin")).toHaveLength(KILLS + 1);
    expect(ledger.filter((line) => line.event === "fail").length).toBeGreaterThan(0);
    console.log(
      `sweep of ${STUDIES} studies, ${manifests.size} stages, killed ${kills.parent} times and ${kills.worker} of its workers: 0 lost, 0 computed twice`,
    );

    // And it is what an undisturbed sweep makes.
    expect((await sweep("undisturbed")).code).toBe(0);
    expect(await fingerprint("killed")).toBe(await fingerprint("undisturbed"));
    const again = (await sweep("killed")).last as End;
    expect({ ran: again.ran, already: again.already }).toEqual({ ran: 0, already: manifests.size });
    expect((await readdir(join(run, "combined"))).sort()).toContain("report.html");
    const verify = () => spawnSync(process.execPath, [command, "verify", run], { encoding: "utf8" });
    expect(verify()).toMatchObject({ status: 0, stderr: "" });
    const flipped = "studies/007/results/behaviour.json";
    const text = await readFile(join(run, flipped), "utf8");
    await writeFile(join(run, flipped), text.replace('"value":', '"value": '));
    expect(verify()).toMatchObject({ status: 1, stdout: expect.stringContaining(`DAMAGED ${flipped}: `) });
    expect((await readdir(join(run, "studies"))).length).toBe(STUDIES);
  },
);
