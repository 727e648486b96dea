/** One file per measure of the method, with its nulls. */
export * from "./activations.js";
export * from "./alphaStar.js";
export * from "./answers.js";
export * from "./behaviour.js";
export * from "./clusters.js";
export * from "./decoding.js";
export * from "./interventions.js";
export * from "./lowRank.js";
export * from "./softActivations.js";
export * from "./spectrum.js";
