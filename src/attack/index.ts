/** Attacks on safety tuning: soft prompts, discrete search, forced prefixes. Each changes or surrounds a prompt; judging is analysis's work. */
export * from "./greedyCoordinateGradient.js";
export * from "./prefix.js";
export * from "./prompts.js";
export * from "./softPrompt.js";
export * from "./textAttack.js";
