/** One file per measure of the method, with its nulls. */
export * from "./activationSpace.js";
export * from "./activations.js";
export * from "./behaviour.js";
export * from "./clusters.js";
export * from "./columnSpace.js";
export * from "./decoding.js";
export * from "./linearAlgebra.js";
export * from "./overlap.js";
export * from "./rowSpace.js";
export * from "./softActivations.js";
export * from "./spectrum.js";
export * from "./symmetricEigen.js";
export * from "./weights.js";
