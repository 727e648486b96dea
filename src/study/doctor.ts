import { statfs } from "node:fs/promises";
import { availableParallelism, freemem, totalmem } from "node:os";
import { dirname, resolve } from "node:path";
import type { StudyConfig } from "./config.js";
import { type Device, type DeviceCheck, type DeviceProbe, probeDevice, resolveDevice } from "./devices.js";
import { loadWorld } from "./loadWorld.js";
import { type Placement, placement } from "./placement.js";
import { PROGRAM_STAGES, stageProgram } from "./programs.js";
import { resolveConfig } from "./resolveConfig.js";
import { type Versions, versions } from "./runConfig.js";

/** What is there to run studies with, and what would be used. */
export interface Diagnosis {
  readonly versions: Versions;
  /** `linux x64`. */
  readonly platform: string;
  readonly cores: number;
  /** Threads of the engine by default. */
  readonly threads: number;
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  readonly runs: { readonly folder: string; readonly freeBytes?: number };
  readonly devices: { readonly cpu: DeviceCheck; readonly webgpu: DeviceCheck; readonly cuda: DeviceCheck };
  /** What `--device auto` would use. */
  readonly auto: Device;
}

/** Looks at this machine. `runs`: folder of the runs, which need not exist. */
export async function diagnose(runs: string, probe: DeviceProbe = probeDevice): Promise<Diagnosis> {
  const [webgpu, cuda, { threads }] = await Promise.all([probe("webgpu"), probe("cuda"), resolveConfig({})]);
  const freeBytes = await freeDisk(runs);
  return {
    versions: versions(),
    platform: `${process.platform} ${process.arch}`,
    cores: availableParallelism(),
    threads,
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    runs: { folder: resolve(runs), ...(freeBytes !== undefined && { freeBytes }) },
    devices: { cpu: { usable: true }, webgpu, cuda },
    auto: await resolveDevice("auto", async () => webgpu),
  };
}

/** Free bytes for a folder, or for the nearest of its parents that exists. */
async function freeDisk(folder: string): Promise<number | undefined> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    } catch {
      if (path === dirname(path)) return undefined;
    }
  }
}

/** Where the operations of every program of the project run on a device. Small batches: the operations are the same. */
export async function placements(device: Device, preset = "quick"): Promise<Placement[]> {
  const config: StudyConfig = await resolveConfig({
    source: preset,
    set: ["pretrain.batch=2", "tune.batch=2", "evaluate.batch=2"],
  });
  const world = await loadWorld(config.world);
  const found: Placement[] = [];
  for (const stage of PROGRAM_STAGES) {
    const program = stageProgram(config, world, stage);
    found.push({ ...(await placement(program, device)), program: `${stage} (${program.name})` });
  }
  return found;
}
