/** The synthetic world: grammars, operators, the safety rule, samples of every kind, and the judge. */
export type { CompiledGrammar } from "./compile.js";
export {
  BRANCHES,
  type Branch,
  LABELS,
  type Label,
  type Samples,
  TEST_SETS,
  type TestSet,
  withNullAnswer,
} from "./samples.js";
export { type WorldFile, worldSchema } from "./schema.js";
export type { BranchRule, SampleAddress, Vocabulary, World } from "./types.js";
// To come in this file, with these signatures:
// parseWorld(json: unknown, source: string): World
// pretrainSamples(world: World, address: SampleAddress & { identityShare?: number }, into?: Samples): Samples
// tuningSamples(world: World, address: SampleAddress, into?: Samples): Samples
// availableTestSets(world: World): readonly TestSet[]
// testSet(world: World, set: TestSet, address: SampleAddress, into?: Samples): Samples
// trueOutput(world: World, grammar: number, tasks: readonly [number, number], text: ArrayLike<number>): Int32Array  (token ids)
// readRow(world: World, samples: Samples, row: number): SampleRow { tasks, text, output, answer, grammar, branch, label } (token ids)
// decode(world: World, samples: Samples, row: number): DecodedSample { operators, text, output, answer, branch, label, why } (names)
// worldReport(world: World): WorldReport
// repeatedTextShare(world: World, options): number
// generateWorld(options): WorldFile
