import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allocate, emitOnnx, type Program, sizeOf, type Tensor } from "../tensor/index.js";
import type { Device } from "./devices.js";

/** Where the operations of one program ran. */
export interface Placement {
  readonly program: string;
  /** Operations that ran, on whatever. */
  readonly operations: number;
  /** Those that ran elsewhere than on the device (copies between device and host not counted): operator and name. */
  readonly elsewhere: readonly { readonly operator: string; readonly name: string }[];
}

/** A line of ONNX Runtime's profile that we read. */
interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly args?: { readonly op_name?: string; readonly provider?: string };
}

const PROVIDER: Readonly<Record<Device, string>> = {
  cpu: "CPUExecutionProvider",
  webgpu: "WebGpuExecutionProvider",
  cuda: "CUDAExecutionProvider",
};
const COPIES = /^Memcpy/;
const KERNEL = "_kernel_time";

/**
 * Runs a program once on the device, on zeros, and reads from ONNX Runtime's own profile where each operation ran: it moves what a device
 * lacks to the CPU without a word.
 */
export async function placement(program: Program, device: Device): Promise<Placement> {
  const ort = await import("onnxruntime-node");
  const folder = await mkdtemp(join(tmpdir(), "nullscope-profile-"));
  try {
    const session = await ort.InferenceSession.create(emitOnnx(program, { device }), {
      executionProviders: [device],
      enableProfiling: true,
      profileFilePrefix: join(folder, "profile"),
      logSeverityLevel: 3,
    });
    const zeros = ({ dtype, shape }: Tensor) =>
      new ort.Tensor(dtype, allocate(dtype, sizeOf(shape)) as Float32Array, shape);
    await session.run(Object.fromEntries(Object.entries(program.inputs).map(([name, input]) => [name, zeros(input)])));
    session.endProfiling();
    await session.release();
    const [file] = await readdir(folder);
    return readProfile(program.name, JSON.parse(await readFile(join(folder, file!), "utf8")), device);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Where operations ran, from the events of a profile. */
export function readProfile(program: string, events: readonly ProfileEvent[], device: Device): Placement {
  const ran = events.filter(({ cat, name }) => cat === "Node" && name.endsWith(KERNEL));
  const operations = ran.filter(({ args }) => !COPIES.test(args?.op_name ?? ""));
  return {
    program,
    operations: operations.length,
    elsewhere: operations
      .filter(({ args }) => args?.provider !== PROVIDER[device])
      .map(({ name, args }) => ({ operator: args?.op_name ?? "", name: name.slice(0, -KERNEL.length) })),
  };
}
