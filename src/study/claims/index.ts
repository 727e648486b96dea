export * from "./evaluate.js";
export * from "./file.js";
export * from "./load.js";
export type { Claim, ClaimPart } from "./schema.js";
export * from "./store.js";
