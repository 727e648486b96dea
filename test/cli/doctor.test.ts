import { Command } from "commander";
import { expect, test } from "vitest";
import { registerDoctor } from "../../src/cli/doctor.js";
import { type Diagnosis, diagnose } from "../../src/study/doctor.js";
import type { Placement } from "../../src/study/placement.js";
import { memoryIo } from "./memoryIo.js";

/** The command's output on a machine of the given devices. */
async function doctor(
  words: readonly string[],
  webgpu: Diagnosis["devices"]["webgpu"],
  placed: readonly Placement[] = [],
): Promise<string> {
  const { io, written } = memoryIo();
  const program = new Command().exitOverride();
  registerDoctor(program, io, {
    diagnose: (runs) =>
      diagnose(runs, async (device) => (device === "webgpu" ? webgpu : { usable: false, reason: "no CUDA files" })),
    placements: async () => [...placed],
  });
  await program.parseAsync(["doctor", ...words], { from: "user" });
  return written.out;
}

test("doctor prints versions, cores, memory, disk and devices, and what auto would use", async () => {
  const text = await doctor([], { usable: true, adapter: "NVIDIA H100", software: false });
  expect(text).toMatch(new RegExp(`^Node +${process.versions.node.replaceAll(".", "\\.")} `, "m"));
  expect(text).toMatch(/^ONNX Runtime +\d+\.\d+\.\d+$/m);
  expect(text).toMatch(/^cores +[1-9]\d*; .* threads/m);
  expect(text).toMatch(/^memory +[\d.]+ GiB, [\d.]+ GiB free$/m);
  expect(text).toMatch(/^runs +\/.*runs, [\d.]+ GiB free$/m);
  expect(text).toMatch(/^webgpu +usable: NVIDIA H100$/m);
  expect(text).toMatch(/^cuda +not usable: no CUDA files$/m);
  expect(text).toMatch(/^--device auto +would use webgpu$/m);
});

test("doctor --json holds the same for machines", async () => {
  const found = JSON.parse(await doctor(["--json"], { usable: false, reason: "no adapter" })) as Diagnosis;
  expect(found.auto).toBe("cpu");
  expect(found.devices.webgpu).toEqual({ usable: false, reason: "no adapter" });
  expect(found.versions.node).toBe(process.versions.node);
  expect(found.runs.freeBytes).toBeGreaterThan(0);
});

test("doctor --programs names what falls back, and needs an adapter", async () => {
  const placed = [{ program: "behaviour", operations: 3, elsewhere: [{ operator: "Cast", name: "Cast_\u001b[2J7" }] }];
  const text = await doctor(["--programs"], { usable: true }, placed);
  expect(text).toContain("behaviour: 2 of 3 operations on WebGPU\n  on the CPU: Cast Cast_[2J7\n");
  await expect(doctor(["--programs"], { usable: false, reason: "no adapter" })).rejects.toThrow(/no adapter/);
});
