/** Nullscope as a library: everything the command line does, in a few lines. */
export * from "./analysis/index.js";
export * from "./attack/index.js";
export * from "./model/index.js";
export * from "./random/index.js";
export {
  type ClaimRow,
  type ClaimSummary,
  type ClaimsResults,
  decideAll,
  evaluateClaims,
  loadClaims,
  parseClaims,
  type Verdict,
} from "./study/claims/index.js";
export { openRun } from "./study/openRun.js";
export { overSeeds } from "./study/overSeeds.js";
export type { ResultRow, ResultsFile } from "./study/results.js";
export { loadRunCheckpoint } from "./study/runCheckpoint.js";
export * from "./tensor/index.js";
export * from "./train/index.js";
export * from "./world/index.js";
