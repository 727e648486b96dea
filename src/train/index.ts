/** Objectives, optimizer, schedule, batches, the loop. */
export * from "./adamw.js";
export * from "./batches.js";
export * from "./loop.js";
export * from "./objective.js";
export * from "./objectives/pretrain.js";
export * from "./objectives/ssft.js";
export * from "./schedule.js";
export * from "./step.js";
