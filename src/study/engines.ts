import { createEngine, type Engine, onnxRuntime } from "../tensor/index.js";
import type { StudyConfig } from "./config.js";

/** Hands out one engine, opened when first asked for: a study that has nothing left to do starts no runtime. */
export type EngineSource = () => Promise<Engine>;

/** The one place where a device is chosen. */
export function engineSource({ device, threads }: Pick<StudyConfig, "device" | "threads">): EngineSource {
  let engine: Promise<Engine> | undefined;
  return () => {
    engine ??= import("onnxruntime-node").then((ort) => createEngine(onnxRuntime(ort, { device, threads })));
    return engine;
  };
}
