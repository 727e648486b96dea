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
  readonly minText?: number;
  readonly maxText?: number;
}

const SAFE = ["A1", "A2", "A3"];
const UNSAFE = ["B1", "B2", "B3"];
/** The paper's rule: sizes 2, 8, 8, 2, and two twins of the operators that are unsafe everywhere. */
const ORIGINALS = Array.from({ length: 10 }, (_, index) => `f${index}`);
export const PAPER_OPERATORS = { names: [...ORIGINALS, "f10", "f11"], twins: { f10: "f8", f11: "f9" } };
export const PAPER_SAFETY = {
  A: { safe: ORIGINALS.slice(0, 8), unsafe: ORIGINALS.slice(8) },
  B: { safe: ORIGINALS.slice(0, 2), unsafe: ORIGINALS.slice(2) },
};

/**
 * A world drawn from a seed: a random skeleton of `depth` levels below one root, whose level 2 joins safe- and
 * unsafe-dominant nodes, and one random terminal table per grammar. The same options give the same file on every machine.
 * @throws RangeError when the options contradict each other (too few terminals for so many rules).
 */
export function generateWorld(options: WorldOptions): WorldFile {
  const { seed, depth = 6, branching = 3, vocabulary = 30, overlap = 0.6, grammars = 1 } = options;
  const terminals = terminalNames(vocabulary);
  const leaves = levelNames(depth);
  const used = divideTerminals(terminals, grammars, overlap, seed);
  const leafShape = { symbols: leaves, count: 2, length: branching };
  const tables = used.map((letters, grammar) => leafRules(leafShape, letters, seed, grammar));
  const operators = operatorTables(terminals, ORIGINALS, grammars, false, seed);
  return worldSchema.parse({
    schema: "nullscope/world@1",
    name: options.name ?? `seed-${seed}`,
    description: `Generated with seed ${seed}: depth ${depth}, branching ${branching}, ${vocabulary} terminals, overlap ${overlap}.`,
    terminals,
    // Level 3 expands to at least 2^(depth - 2) terminals: windows fit by construction.
    text: {
      min: options.minText ?? Math.min(15, 2 ** (depth - 2)),
      max: options.maxText ?? Math.min(25, 2 ** (depth - 1)),
      layout: "packed",
    },
    skeleton: { root: "v", safeDominant: SAFE, unsafeDominant: UNSAFE, rules: skeletonRules(seed, depth, branching) },
    grammars: tables.map((rules, grammar) => ({ name: `G${grammar + 1}`, rules, operators: operators[grammar] })),
    operators: PAPER_OPERATORS,
    safety: PAPER_SAFETY,
    tuning: { heldOutRules: [] },
  });
}

/** Six symbols on each level below the dominant nodes: n4.1 .. n4.6 and so on. */
function levelNames(level: number): string[] {
  return Array.from({ length: 6 }, (_, index) => `n${level}.${index + 1}`);
}

/** Random rules from the root down to the level above the leaves; every symbol occurs in a rule of the level above it. */
function skeletonRules(seed: number, depth: number, branching: number): Record<string, string[]> {
  const stream = createStream(randomKey(seed, "world-file/skeleton"), 0);
  const middle = ["n2.1", "n2.2", "n2.3"];
  const rules: Record<string, string[]> = { v: middle.map((symbol, index) => `${symbol} ${middle[(index + 1) % 3]}`) };
  for (const [index, symbol] of middle.entries()) {
    // Every level-2 node joins both kinds, so that each can be the ancestor of a mixed text.
    const third = [...SAFE, ...UNSAFE][stream.integer(6)]!;
    rules[symbol] = [`${SAFE[index]} ${UNSAFE[index]}`, `${UNSAFE[stream.integer(3)]} ${third} ${SAFE[index]}`];
  }
  for (let level = 3; level < depth; level++)
    for (const [index, symbol] of (level === 3 ? [...SAFE, ...UNSAFE] : levelNames(level)).entries())
      rules[symbol] = drawRules(levelNames(level + 1), index, branching, stream);
  return rules;
}

/** 2 .. branching different rules of 2 .. branching symbols of `below`, the first beginning with the `index`-th of them. */
function drawRules(below: readonly string[], index: number, branching: number, stream: RandomStream): string[] {
  const count = 2 + stream.integer(branching - 1);
  const length = () => 2 + stream.integer(branching - 1);
  const rules = new Set([`${below[index]} ${randomRule(below, length() - 1, stream)}`]);
  while (rules.size < count) rules.add(randomRule(below, length(), stream));
  return [...rules];
}
