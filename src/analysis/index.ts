/** One file per measure of the method, with its nulls. */
export * from "./activations.js";
export * from "./behaviour.js";
export * from "./clusters.js";
export * from "./decoding.js";
export * from "./joinSamples.js";
export * from "./patching.js";
export * from "./probes.js";
export * from "./refusalDirection.js";
export * from "./residualStream.js";
export * from "./sensitivity.js";
export * from "./softActivations.js";
export * from "./spectrum.js";
