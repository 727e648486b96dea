import * as ort from "onnxruntime-node";
import { createEngine, type Engine, onnxRuntime } from "../src/tensor/index.js";

/** An engine on the native CPU runtime, as tests use it. */
export function cpuEngine(threads = 1): Engine {
  return createEngine(onnxRuntime(ort, { threads }));
}
