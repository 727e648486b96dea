import type { Command } from "commander";
import { resolveDevice } from "../study/devices.js";
import { type Diagnosis, diagnose, placements } from "../study/doctor.js";
import type { Placement } from "../study/placement.js";
import { clean, formatCount, type Io, jsonText } from "./io.js";

interface DoctorOptions {
  readonly runs: string;
  readonly json?: true;
  readonly programs?: true;
}

/** What `nullscope doctor` asks of the machine; tests hand in their own. */
export interface DoctorTools {
  readonly diagnose: (runs: string) => Promise<Diagnosis>;
  readonly placements: typeof placements;
}

/** Adds `nullscope doctor`. */
export function registerDoctor(program: Command, io: Io, tools: DoctorTools = { diagnose, placements }): void {
  program
    .command("doctor")
    .description("Show what is here to run studies with (versions, cores, memory, devices), and what would be used.")
    .option("--runs <dir>", "folder of the runs", "runs")
    .option("--programs", "run every program of the project once on WebGPU and print what falls back to the CPU")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  nullscope doctor
  nullscope doctor --programs            needs a graphics adapter`,
    )
    .action(async ({ runs, json, programs }: DoctorOptions) => {
      const found = await tools.diagnose(runs);
      // Asked for by name: without an adapter this is an error that says why.
      if (programs) await resolveDevice("webgpu", async () => found.devices.webgpu);
      const placed = programs ? await tools.placements("webgpu") : undefined;
      if (json) return io.out(`${jsonText({ ...found, ...(placed !== undefined && { programs: placed }) })}\n`);
      const lines = [...diagnosisLines(found), ...(placed === undefined ? [] : ["", ...placementLines(placed)])];
      io.out(`${lines.map(clean).join("\n")}\n`);
    });
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function diagnosisLines({ versions, platform, cores, threads, memory, runs, devices, auto }: Diagnosis): string[] {
  const line = (what: string, value: string) => `${what.padEnd(14)}${value}`;
  return [
    line("nullscope", versions.nullscope),
    line("Node", `${versions.node} (${platform})`),
    line("ONNX Runtime", versions.onnxruntime),
    line("cores", `${cores}; a study uses ${threads} threads unless --threads says otherwise`),
    line("memory", `${gibibytes(memory.totalBytes)}, ${gibibytes(memory.freeBytes)} free`),
    line(
      "runs",
      `${runs.folder}, ${runs.freeBytes === undefined ? "free space unknown" : `${gibibytes(runs.freeBytes)} free`}`,
    ),
    ...Object.entries(devices).map(([name, { usable, reason, adapter }]) =>
      line(
        name,
        usable ? `usable${adapter === undefined ? "" : `: ${adapter}`}` : `not usable: ${reason ?? "the check failed"}`,
      ),
    ),
    line("--device auto", `would use ${auto}`),
  ];
}

function placementLines(programs: readonly Placement[]): string[] {
  return programs.flatMap(({ program, operations, elsewhere }) => [
    `${program}: ${formatCount(operations - elsewhere.length)} of ${formatCount(operations)} operations on WebGPU`,
    ...elsewhere.map(({ operator, name }) => `  on the CPU: ${operator} ${name}`),
  ]);
}
