import { expect, test } from "vitest";
import { UserError } from "../../src/errors.js";
import { buildStudy } from "../../src/study/build.js";
import { type DeviceCheck, resolveDevice } from "../../src/study/devices.js";
import { deviceIdentity } from "../../src/study/engines.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import { readProfile } from "../../src/study/placement.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";
import { stageIdentity } from "../../src/study/stage.js";

const found = (check: DeviceCheck) => async () => check;

test("auto takes WebGPU where an adapter works and is no software, and the CPU otherwise", async () => {
  expect(await resolveDevice("auto", found({ usable: true, adapter: "NVIDIA H100", software: false }))).toBe("webgpu");
  expect(await resolveDevice("auto", found({ usable: true }))).toBe("webgpu");
  expect(await resolveDevice("auto", found({ usable: true, adapter: "SwiftShader", software: true }))).toBe("cpu");
  expect(await resolveDevice("auto", found({ usable: false, reason: "no adapter" }))).toBe("cpu");
});

test("a device asked for by name is used, a software adapter too, or refused with the reason", async () => {
  expect(await resolveDevice("webgpu", found({ usable: true, software: true }))).toBe("webgpu");
  const refused = resolveDevice("cuda", found({ usable: false, reason: "its files are missing" }));
  await expect(refused).rejects.toThrow(UserError);
  await expect(refused).rejects.toThrow(/--device cuda does not work here: its files are missing.*--device cpu/);
});

test("the CPU needs no check", async () => {
  const never = async () => {
    throw new Error("checked");
  };
  expect(await resolveDevice("cpu", never)).toBe("cpu");
});

test("a stage's identity holds its device, but not the CPU; measures inherit it from their checkpoint", async () => {
  const config = await resolveConfig({ source: "smoke" });
  const world = await loadWorld(config.world);
  const identities = (device: "cpu" | "webgpu" | "cuda") =>
    new Map(buildStudy({ ...config, device }, world).map((stage) => [stage.name, stageIdentity(stage)]));
  const [cpu, webgpu, cuda] = [identities("cpu"), identities("webgpu"), identities("cuda")];
  for (const [name, identity] of cpu) {
    const different = new Set([identity, webgpu.get(name), cuda.get(name)]).size;
    expect(different, name).toBe(name === "world" ? 1 : 3);
  }
  const pretrain = buildStudy(config, world).find(({ kind }) => kind === "pretrain")!;
  expect(Object.keys(pretrain.config as object)).not.toContain("device");
  expect(() => deviceIdentity({ device: "auto" })).toThrow(/must be resolved/);
});

test("an unknown device is refused with the known ones", async () => {
  await expect(resolveConfig({ source: "smoke", device: "gpu" })).rejects.toThrow(/device.*webgpu/);
});

test("a profile tells which operations ran elsewhere; copies between device and host are none", () => {
  const event = (name: string, op_name: string, provider: string) => ({
    cat: "Node",
    name: `${name}_kernel_time`,
    args: { op_name, provider },
  });
  const events = [
    { cat: "Session", name: "model_run" },
    event("Add_1", "Add", "WebGpuExecutionProvider"),
    event("Memcpy_1", "MemcpyToHost", "WebGpuExecutionProvider"),
    event("blocks.0/Cast_2", "Cast", "CPUExecutionProvider"),
  ];
  expect(readProfile("p", events, "webgpu")).toEqual({
    program: "p",
    operations: 2,
    elsewhere: [{ operator: "Cast", name: "blocks.0/Cast_2" }],
  });
});
