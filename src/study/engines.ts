import { createEngine, type Engine, onnxRuntime } from "../tensor/index.js";
import type { StudyConfig } from "./config.js";
import { resolveDevice } from "./devices.js";

/** Hands out one engine, opened when first asked for: a study that has nothing left to do starts no runtime. */
export type EngineSource = () => Promise<Engine>;

/** The one place where a device is chosen: an engine on it. */
export function engineSource({ device: setting, threads }: Pick<StudyConfig, "device" | "threads">): EngineSource {
  let engine: Promise<Engine> | undefined;
  const open = async () => {
    const device = await resolveDevice(setting);
    return createEngine(onnxRuntime(await import("onnxruntime-node"), { device, threads }));
  };
  return () => {
    engine ??= open();
    return engine;
  };
}

/**
 * The part of a training stage's identity that is its device: nothing on the CPU, so that its identities are what they always were. Other
 * devices differ in the last digits, and what one began another must not go on with unnoticed. Measures inherit it from their checkpoint.
 */
export function deviceIdentity({ device }: Pick<StudyConfig, "device">): { readonly device?: string } {
  if (device === "auto") throw new Error("the device must be resolved before stages are identified (resolveDevice)");
  return device === "cpu" ? {} : { device };
}
