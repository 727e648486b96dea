/** A context-free grammar by name: every rule of a symbol is equally likely. */
export interface Grammar {
  readonly root: string;
  readonly terminals: ReadonlySet<string>;
  /** Non-terminal to its right sides. */
  readonly rules: ReadonlyMap<string, readonly (readonly string[])[]>;
}

/** Lengths of what a symbol expands to, in terminals. `max` is Infinity where the symbol is recursive. */
export interface Lengths {
  readonly min: number;
  /** Expected length; Infinity where the expansion does not end with probability one in finite expected time. */
  readonly mean: number;
  readonly max: number;
}

/** What the checker finds in a grammar. */
export interface GrammarAnalysis {
  /** Non-terminals that no expansion of the root contains. */
  readonly unreachable: readonly string[];
  /** Non-terminals that expand to no finite text. */
  readonly unproductive: readonly string[];
  /** A cycle of first symbols, `X -> Y -> X`, where there is one. */
  readonly leftRecursion: readonly string[] | undefined;
  readonly lengths: ReadonlyMap<string, Lengths>;
}

/** Rounds after which a mean length that still moves counts as infinite (a grammar near the critical branching rate). */
const MEAN_ROUNDS = 2_000;
const MEAN_TOLERANCE = 1e-9;

/**
 * Reachability, productivity, left recursion and lengths of a grammar. Right sides are not empty and name only terminals
 * and symbols that have rules. Takes time linear in the grammar times a bounded number of rounds.
 */
export function analyzeGrammar(grammar: Grammar): GrammarAnalysis {
  const symbols = [...grammar.rules.keys()];
  const reached = reachableFrom(grammar, grammar.root);
  const min = minimumLengths(grammar);
  const max = maximumLengths(grammar);
  const mean = meanLengths(grammar, min, max);
  return {
    unreachable: symbols.filter((symbol) => !reached.has(symbol)),
    unproductive: symbols.filter((symbol) => min.get(symbol) === Number.POSITIVE_INFINITY),
    leftRecursion: findLeftRecursion(grammar),
    lengths: new Map(
      symbols.map((symbol) => [symbol, { min: min.get(symbol)!, mean: mean.get(symbol)!, max: max.get(symbol)! }]),
    ),
  };
}

/** All symbols and terminals in expansions of `start`, itself included. */
export function reachableFrom(grammar: Grammar, start: string): Set<string> {
  const reached = new Set([start]);
  const open = [start];
  for (let symbol = open.pop(); symbol !== undefined; symbol = open.pop())
    for (const right of grammar.rules.get(symbol) ?? [])
      for (const child of right)
        if (!reached.has(child)) {
          reached.add(child);
          open.push(child);
        }
  return reached;
}

/** Shortest expansion of each symbol, by relaxation to a fixed point; Infinity where there is none. */
function minimumLengths(grammar: Grammar): Map<string, number> {
  const min = new Map<string, number>();
  for (const symbol of grammar.rules.keys()) min.set(symbol, Number.POSITIVE_INFINITY);
  for (let changed = true; changed; ) {
    changed = false;
    for (const [symbol, rules] of grammar.rules)
      for (const right of rules) {
        const length = sum(right, (child) => (grammar.terminals.has(child) ? 1 : min.get(child)!));
        if (length < min.get(symbol)!) {
          min.set(symbol, length);
          changed = true;
        }
      }
  }
  return min;
}

/** Expected lengths: the least solution of m_X = mean over rules of the sum of m, approached from below. */
function meanLengths(
  grammar: Grammar,
  min: ReadonlyMap<string, number>,
  max: ReadonlyMap<string, number>,
): Map<string, number> {
  const mean = new Map(min);
  for (let round = 0; round < MEAN_ROUNDS; round++) {
    let moved = false;
    for (const [symbol, rules] of grammar.rules) {
      const total = sum(rules, (right) => sum(right, (child) => (grammar.terminals.has(child) ? 1 : mean.get(child)!)));
      const next = total / rules.length;
      const before = mean.get(symbol)!;
      if (next === before || Math.abs(next - before) <= MEAN_TOLERANCE * next) continue;
      mean.set(symbol, next);
      moved = true;
    }
    if (!moved) return mean;
  }
  // What still moves is recursive and has no finite mean, and so has everything that contains it.
  for (const [symbol, longest] of max) if (longest === Number.POSITIVE_INFINITY) mean.set(symbol, longest);
  return mean;
}

/** Longest expansion of each symbol; Infinity on and above a cycle. */
function maximumLengths(grammar: Grammar): Map<string, number> {
  const max = new Map<string, number>();
  const onPath = new Set<string>();
  const visit = (symbol: string): number => {
    if (grammar.terminals.has(symbol)) return 1;
    if (onPath.has(symbol)) return Number.POSITIVE_INFINITY;
    const known = max.get(symbol);
    if (known !== undefined) return known;
    onPath.add(symbol);
    let longest = 0;
    for (const right of grammar.rules.get(symbol)!) longest = Math.max(longest, sum(right, visit));
    onPath.delete(symbol);
    max.set(symbol, longest);
    return longest;
  };
  for (const symbol of grammar.rules.keys()) visit(symbol);
  return max;
}

/** A cycle X -> ... -> X through first symbols, or undefined. Right sides are never empty, so only first symbols matter. */
function findLeftRecursion(grammar: Grammar): readonly string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (symbol: string): readonly string[] | undefined => {
    const at = path.indexOf(symbol);
    if (at >= 0) return [...path.slice(at), symbol];
    if (done.has(symbol) || grammar.terminals.has(symbol)) return undefined;
    path.push(symbol);
    for (const right of grammar.rules.get(symbol)!) {
      const cycle = visit(right[0]!);
      if (cycle) return cycle;
    }
    path.pop();
    done.add(symbol);
    return undefined;
  };
  for (const symbol of grammar.rules.keys()) {
    const cycle = visit(symbol);
    if (cycle) return cycle;
  }
  return undefined;
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += value(item);
  return total;
}
