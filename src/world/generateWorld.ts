import { createStream, type RandomStream, randomKey } from "../random/index.js";
import { type WorldFile, worldSchema } from "./schema.js";
import { terminalNames } from "./skeleton.js";
import { divideTerminals, leafRules, operatorTables, randomRule } from "./tables.js";

/** What a generated world should be like. */
export interface WorldOptions {
  readonly seed: number;
  readonly name?: string;
  /** Levels of non-terminals, the root's and the leaves' among them; 4 .. 10. Level 3 holds the dominant nodes. */
  readonly depth?: number;
  /** Rules per non-terminal, and symbols per rule: 2 .. branching; 2 .. 4. */
  readonly branching?: number;
  /** Terminals; 6 .. 200. */
  readonly vocabulary?: number;
  /** Share of the terminals that all grammars use; 0 .. 1. */
  readonly overlap?: number;
  readonly grammars?: number;
  /** Branches A, B, ..., each with three dominant nodes; 2 .. 6. */
  readonly branches?: number;
  /** Task tokens, the last two of which are twins of the two before them; 12 .. 64. */
  readonly operators?: number;
  readonly minText?: number;
  readonly maxText?: number;
}

/** Dominant nodes of a branch. */
const NODES = 3;
/** The paper's operators: f10 and f11 are twins of those that are unsafe everywhere. */
export const PAPER_OPERATORS = operatorNames(12);
/** The paper's rule: sizes 8, 2 and 2, 8. */
export const PAPER_SAFETY = nestedSafety(["A", "B"], 10);

/**
 * A world drawn from a seed: a random skeleton of `depth` levels below one root, whose level 2 joins dominant nodes of two
 * branches, and one random terminal table per grammar. The same options give the same file on every machine.
 * @throws RangeError when the options contradict each other (too few terminals for so many rules).
 */
export function generateWorld(options: WorldOptions): WorldFile {
  const { seed, depth = 6, branching = 3, vocabulary = 30, overlap = 0.6, grammars = 1 } = options;
  const branches = [..."ABCDEF"].slice(0, options.branches ?? 2);
  const tasks = operatorNames(options.operators ?? PAPER_OPERATORS.names.length);
  const originals = tasks.names.slice(0, -2);
  const dominant = Object.fromEntries(branches.map((branch) => [branch, nodesOf(branch)]));
  const terminals = terminalNames(vocabulary);
  const leaves = levelNames(depth);
  const used = divideTerminals(terminals, grammars, overlap, seed);
  const leafShape = { symbols: leaves, count: 2, length: branching };
  const tables = used.map((letters, grammar) => leafRules(leafShape, letters, seed, grammar));
  const operators = operatorTables(terminals, originals, grammars, false, seed);
  return worldSchema.parse({
    schema: "nullscope/world@2",
    name: options.name ?? `seed-${seed}`,
    description: `Generated with seed ${seed}: depth ${depth}, branching ${branching}, ${vocabulary} terminals, overlap ${overlap}.`,
    terminals,
    // Level 3 expands to at least 2^(depth - 2) terminals: windows fit by construction.
    text: {
      min: options.minText ?? Math.min(15, 2 ** (depth - 2)),
      max: options.maxText ?? Math.min(25, 2 ** (depth - 1)),
      layout: "packed",
    },
    skeleton: { root: "v", dominant, rules: skeletonRules(seed, depth, branching, branches) },
    grammars: tables.map((rules, grammar) => ({ name: `G${grammar + 1}`, rules, operators: operators[grammar] })),
    operators: tasks,
    safety: nestedSafety(branches, originals.length),
    tuning: { heldOutRules: [] },
  });
}

function nodesOf(branch: string): string[] {
  return Array.from({ length: NODES }, (_, index) => `${branch}${index + 1}`);
}

/** `count` task tokens, the last two twins of the two before them. */
function operatorNames(count: number): { readonly names: string[]; readonly twins: Record<string, string> } {
  const names = Array.from({ length: count }, (_, index) => `f${index}`);
  const [first, second, ...twins] = names.slice(-4);
  return { names, twins: { [twins[0]!]: first!, [twins[1]!]: second! } };
}

/** Safe for the first branch are 80% of the originals, for the last 20%, evenly fewer from one branch to the next; the others are unsafe. */
function nestedSafety(branches: readonly string[], originals: number): WorldFile["safety"] {
  const names = Array.from({ length: originals }, (_, index) => `f${index}`);
  return Object.fromEntries(
    branches.map((branch, index) => {
      const safe = Math.round(originals * (0.8 - (0.6 * index) / (branches.length - 1)));
      return [branch, { safe: names.slice(0, safe), unsafe: names.slice(safe) }];
    }),
  );
}

/** Six symbols on each level below the dominant nodes: n4.1 .. n4.6 and so on. */
function levelNames(level: number): string[] {
  return Array.from({ length: 6 }, (_, index) => `n${level}.${index + 1}`);
}

/** Random rules from the root down to the level above the leaves; every symbol occurs in a rule of the level above it. */
function skeletonRules(
  seed: number,
  depth: number,
  branching: number,
  branches: readonly string[],
): Record<string, string[]> {
  const stream = createStream(randomKey(seed, "world-file/skeleton"), 0);
  const nodes = branches.flatMap(nodesOf);
  // Every level-2 node joins two branches, so that each can be the ancestor of a mixed text: three for every pair.
  const pairs = branches.flatMap((first, index) => branches.slice(index + 1).map((second) => [first, second] as const));
  const joined = pairs.flatMap(([first, second]) =>
    nodesOf(first).map((node, index) => ({ node, other: nodesOf(second)[index]!, others: nodesOf(second) })),
  );
  const middle = joined.map((_, index) => `n2.${index + 1}`);
  const rules: Record<string, string[]> = {
    v: middle.map((symbol, index) => `${symbol} ${middle[(index + 1) % middle.length]}`),
  };
  for (const [index, { node, other, others }] of joined.entries()) {
    const third = nodes[stream.integer(nodes.length)]!;
    rules[middle[index]!] = [`${node} ${other}`, `${others[stream.integer(NODES)]} ${third} ${node}`];
  }
  for (let level = 3; level < depth; level++)
    for (const [index, symbol] of (level === 3 ? nodes : levelNames(level)).entries())
      rules[symbol] = drawRules(levelNames(level + 1), index, branching, stream);
  return rules;
}

/** 2 .. branching different rules of 2 .. branching symbols of `below`, the first beginning with the `index`-th of them (in turn). */
function drawRules(below: readonly string[], index: number, branching: number, stream: RandomStream): string[] {
  const count = 2 + stream.integer(branching - 1);
  const length = () => 2 + stream.integer(branching - 1);
  const rules = new Set([`${below[index % below.length]} ${randomRule(below, length() - 1, stream)}`]);
  while (rules.size < count) rules.add(randomRule(below, length(), stream));
  return [...rules];
}
