/** The synthetic world: grammars, operators, the safety rule, samples of every kind, and the judge. */
export { branchEvidence } from "./branchEvidence.js";
export type { CompiledGrammar } from "./compile.js";
export { createSamples } from "./generate.js";
export { generateWorld, type WorldOptions } from "./generateWorld.js";
export { inBatches } from "./inBatches.js";
export { type DecodedSample, decode, readRow, type SampleRow, trueOutput } from "./judge.js";
export { parseWorld } from "./parse.js";
export {
  LABELS,
  type Label,
  MIXED,
  ROOT,
  type Samples,
  TEST_SETS,
  type TestSet,
  withNullAnswer,
} from "./samples.js";
export { type WorldFile, worldSchema } from "./schema.js";
export { availableTestSets, pretrainSamples, testSet, tuningSamples } from "./sets.js";
export { shippedWorldFiles } from "./shipped.js";
export type { BranchRule, SampleAddress, Vocabulary, World } from "./types.js";
export { repeatedTextShare, type WorldReport, worldReport } from "./worldReport.js";
