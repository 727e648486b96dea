import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { UserError } from "../errors.js";
import { add, emitOnnx, program, type Runtime } from "../tensor/index.js";
import type { StudyConfig } from "./config.js";

export type Device = Runtime["device"];
/** What a user may ask for. */
export type DeviceSetting = StudyConfig["device"];

/** What is known of a device after a small program ran there. */
export interface DeviceCheck {
  readonly usable: boolean;
  /** One clause that says why not, where it is not usable. */
  readonly reason?: string;
  /** The adapter as far as it can be known: ONNX Runtime's package for Node tells no name. */
  readonly adapter?: string;
  /** The adapter is a program on the CPU, slower than the CPU device itself. */
  readonly software?: boolean;
}

/** Finds out whether a device works here. */
export type DeviceProbe = (device: Exclude<Device, "cpu">) => Promise<DeviceCheck>;

const RUNTIME = createRequire(import.meta.url).resolve("onnxruntime-node");

/**
 * Runs one addition on the device in a process of its own, since a graphics driver may end the process it fails in; then says which Vulkan
 * drivers were loaded and which NVIDIA cards are there, as Linux shows them.
 */
const PROBE = `
import { readFileSync, readdirSync } from "node:fs";
const { RUNTIME, DEVICE, MODEL } = process.env;
const ort = (await import(RUNTIME)).default;
const session = await ort.InferenceSession.create(Buffer.from(MODEL, "base64"), { executionProviders: [DEVICE], logSeverityLevel: 4 });
const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1, 2), [2]) });
if (y.data[1] !== 4) throw new Error("it computes 2 + 2 = " + y.data[1]);
const read = (path) => { try { return readFileSync(path, "utf8"); } catch { return ""; } };
const cards = () => { try { return readdirSync("/proc/driver/nvidia/gpus"); } catch { return []; } };
const drivers = [...new Set(read("/proc/self/maps").match(/lib(vk_swiftshader|vulkan_[a-z0-9_]+|GLX_nvidia)(?=[.]so)/g) ?? [])];
const models = cards().map((card) => /Model:\\s*(.*)/.exec(read("/proc/driver/nvidia/gpus/" + card + "/information"))?.[1]).filter(Boolean);
console.log(JSON.stringify({ drivers, models }));
`;

/** Longest time that a driver may take to start, in ms. */
const PROBE_TIMEOUT = 60_000;

export const probeDevice: DeviceProbe = async (device) => {
  const model = emitOnnx(
    program("probe", { x: { shape: [2], dtype: "float32" } }, ({ x }) => ({ y: add(x, x) })),
    { device },
  );
  const child = spawn(process.execPath, ["--input-type=module", "-e", PROBE], {
    env: {
      ...process.env,
      RUNTIME: pathToFileURL(RUNTIME).href,
      DEVICE: device,
      MODEL: Buffer.from(model).toString("base64"),
    },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PROBE_TIMEOUT,
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const ended = await new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(code === 0 ? "" : `the check ended with ${signal ?? `exit ${code}`}`));
  });
  if (ended !== "") return { usable: false, reason: explain(device, err) ?? ended };
  return { usable: true, ...describe(device, JSON.parse(out) as { drivers: string[]; models: string[] }) };
};

/** What the driver's complaint means, in one clause. */
function explain(device: Exclude<Device, "cpu">, complaint: string): string | undefined {
  if (/Couldn't load Vulkan/.test(complaint))
    return "no Vulkan loader (libvulkan.so.1) was found; install it (Debian: libvulkan1) and the graphics driver";
  if (/No supported adapters/.test(complaint))
    return "no graphics adapter was found; install its driver (on Linux a Vulkan driver)";
  if (device === "cuda" && /providers_cuda|backend not found|CUDA/i.test(complaint))
    return `ONNX Runtime's CUDA files are missing or cannot be loaded; install CUDA 12 and cuDNN 9, then run "node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12"`;
  return /^.*Error: (.*)$/m.exec(complaint)?.[1]?.slice(0, 300);
}

const DRIVERS: Readonly<Record<string, { readonly name: string; readonly software?: boolean }>> = {
  libvk_swiftshader: { name: "SwiftShader, a software adapter", software: true },
  libvulkan_lvp: { name: "Mesa llvmpipe, a software adapter", software: true },
  libGLX_nvidia: { name: "NVIDIA" },
  libvulkan_radeon: { name: "AMD (Mesa)" },
  libvulkan_intel: { name: "Intel (Mesa)" },
};

function describe(
  device: Exclude<Device, "cpu">,
  { drivers, models }: { readonly drivers: readonly string[]; readonly models: readonly string[] },
): Pick<DeviceCheck, "adapter" | "software"> {
  if (device === "cuda" || (models.length > 0 && drivers.includes("libGLX_nvidia")))
    return models.length === 0 ? {} : { adapter: models.join(", "), software: false };
  if (drivers.length === 0) return {};
  return {
    adapter: drivers.map((driver) => DRIVERS[driver]?.name ?? driver).join(" or "),
    software: drivers.every((driver) => DRIVERS[driver]?.software === true),
  };
}

/**
 * The device that a setting means here. `auto`: WebGPU where an adapter is found that is no software, else the CPU.
 * @throws UserError when the device asked for by name does not work, with the reason and what to do.
 */
export async function resolveDevice(setting: DeviceSetting, probe: DeviceProbe = probeDevice): Promise<Device> {
  if (setting === "cpu") return "cpu";
  const check = await probe(setting === "auto" ? "webgpu" : setting);
  if (setting === "auto") return check.usable && check.software !== true ? "webgpu" : "cpu";
  if (check.usable) return setting;
  throw new UserError(
    `--device ${setting} does not work here: ${check.reason ?? "the check failed"}. Or use --device cpu; "nullscope doctor" shows what is there.`,
  );
}
