import { analyzeGrammar, type Lengths, reachableFrom } from "./grammar.js";
import { readRow } from "./judge.js";
import { ROOT, type TestSet } from "./samples.js";
import { availableTestSets, pretrainSamples, testSet, tuningSamples } from "./sets.js";
import type { World } from "./types.js";

/** What there is to know about a world before one uses it. */
export interface WorldReport {
  readonly name: string;
  readonly hash: string;
  readonly vocabularySize: number;
  readonly tokensPerRow: number;
  readonly branches: readonly string[];
  readonly testSets: readonly TestSet[];
  readonly grammars: readonly GrammarReport[];
  /** [grammars][grammars], terminals both use over terminals either uses (Jaccard). */
  readonly overlap: readonly (readonly number[])[];
}

export interface GrammarReport {
  readonly name: string;
  readonly reachable: number;
  readonly unreachable: readonly string[];
  readonly terminalsUsed: number;
  /** Of the root (role `root`) and the dominant nodes (their branch), in terminals, before the window is cut. */
  readonly lengths: readonly (Lengths & { readonly symbol: string; readonly role: string })[];
}

/** Reachable symbols, lengths and overlap of terminal sets, per grammar. */
export function worldReport(world: World): WorldReport {
  const { root, dominant } = world.file.skeleton;
  const used = world.grammars.map(
    ({ grammar }) => new Set([...reachableFrom(grammar, root)].filter((symbol) => grammar.terminals.has(symbol))),
  );
  const grammars = world.grammars.map(({ name, grammar }, index): GrammarReport => {
    const analysis = analyzeGrammar(grammar);
    const row = (role: string) => (symbol: string) => ({ symbol, role, ...analysis.lengths.get(symbol)! });
    return {
      name,
      reachable: grammar.rules.size - analysis.unreachable.length,
      unreachable: analysis.unreachable,
      terminalsUsed: used[index]!.size,
      lengths: [row(ROOT)(root), ...world.branches.flatMap((branch) => dominant[branch]!.map(row(branch)))],
    };
  });
  const jaccard = (a: ReadonlySet<string>, b: ReadonlySet<string>) => {
    const shared = [...a].filter((terminal) => b.has(terminal)).length;
    return shared / (a.size + b.size - shared);
  };
  return {
    name: world.file.name,
    hash: world.hash,
    vocabularySize: world.vocabulary.size,
    tokensPerRow: world.time,
    branches: world.branches,
    testSets: availableTestSets(world),
    grammars,
    overlap: used.map((a) => used.map((b) => jaccard(a, b))),
  };
}

/**
 * Share of a test set's texts that also occur, with whatever tasks, among `trainCount` training samples. Samples (text with
 * task pair) never do; in a small world texts must repeat, and this says how many.
 */
export function repeatedTextShare(
  world: World,
  set: TestSet,
  {
    seed,
    testCount,
    trainCount,
    stage,
  }: { seed: number; testCount: number; trainCount: number; stage: "pretrain" | "tuning" },
): number {
  const texts = new Set<string>();
  const batch = 1024;
  const source = stage === "pretrain" ? pretrainSamples : tuningSamples;
  for (let step = 0; step * batch < trainCount; step++) {
    const count = Math.min(batch, trainCount - step * batch);
    const samples = source(world, { seed, step, count });
    for (let row = 0; row < count; row++) texts.add(readRow(world, samples, row).text.join(" "));
  }
  const tests = testSet(world, set, { seed, count: testCount });
  let repeated = 0;
  for (let row = 0; row < testCount; row++) if (texts.has(readRow(world, tests, row).text.join(" "))) repeated++;
  return repeated / testCount;
}
