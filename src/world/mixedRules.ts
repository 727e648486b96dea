import { type CompiledGrammar, rulesOf } from "./compile.js";
import { reachableFrom } from "./grammar.js";

/** Where text of two branches can be expanded from. */
export interface MixedRules {
  /** Two branches, the lower index first. */
  readonly pair: readonly [number, number];
  /** Per lowest common ancestor, the rules that text of both can begin with. */
  readonly groups: readonly (readonly number[])[];
}

/**
 * Rules of the lowest common ancestors of nodes of two branches, for every pair of branches that has some: a rule with nodes
 * of both under *different* children, of a symbol none of whose children holds both, and from which some window of `maxText`
 * terminals can hold both and no third branch between them. Ancestors come by name, not in the order of the file's keys.
 */
export function mixedRules(compiled: CompiledGrammar, maxText: number): MixedRules[] {
  const { dominant, dominantBelow, symbolNames } = compiled;
  const gaps = boundaryGaps(compiled);
  const reached = reachableFrom(compiled.grammar, compiled.grammar.root);
  const symbols = [...compiled.grammar.rules.keys()].filter((name) => reached.has(name)).sort();
  const found: MixedRules[] = [];
  for (let first = 0; first < dominant.length; first++)
    for (let second = first + 1; second < dominant.length; second++) {
      const both = (1 << first) | (1 << second);
      const groups = symbols.flatMap((name) => {
        const symbol = symbolNames.indexOf(name);
        if ((dominantBelow[symbol]! & both) !== both) return [];
        const rules = rulesOf(compiled, symbol);
        const ancestor = rules.every((rule) =>
          childrenOf(compiled, rule).every((child) => (dominantBelow[child]! & both) !== both),
        );
        // One terminal of each branch, and what must lie between them.
        const mixed = rules.filter((rule) => gaps(rule, first, second) + 2 <= maxText);
        return ancestor && mixed.length > 0 ? [mixed] : [];
      });
      if (groups.length > 0) found.push({ pair: [first, second], groups });
    }
  return found;
}

function childrenOf({ ruleSymbols, rightStart }: CompiledGrammar, rule: number): Int32Array {
  return ruleSymbols.subarray(rightStart[rule]!, rightStart[rule + 1]!);
}

/** Fewest terminals of a symbol's expansions: Infinity where there is no such expansion. */
interface Distances {
  /** In an expansion without a dominant node. */
  clear: number;
  /** [branches], before the first dominant node, of that branch; and after the last one. */
  readonly before: Float64Array;
  readonly after: Float64Array;
}

/**
 * Fewest terminals between neighbouring dominant nodes of two branches, in either order, under different children of a rule;
 * Infinity where they are never neighbours. By relaxation to a fixed point: recursive grammars have cycles.
 */
function boundaryGaps(compiled: CompiledGrammar): (rule: number, first: number, second: number) => number {
  const { symbolNames, terminalCount, dominance, dominant } = compiled;
  const distances = symbolNames.map((_, symbol): Distances => {
    const none = () => new Float64Array(dominant.length).fill(Number.POSITIVE_INFINITY);
    const own = { clear: symbol < terminalCount ? 1 : Number.POSITIVE_INFINITY, before: none(), after: none() };
    if (dominance[symbol]! > 0) own.before[dominance[symbol]! - 1] = own.after[dominance[symbol]! - 1] = 0;
    return own;
  });
  for (let changed = true; changed; ) {
    changed = false;
    for (let symbol = terminalCount; symbol < symbolNames.length; symbol++) {
      if (dominance[symbol]! > 0) continue;
      const own = distances[symbol]!;
      for (const rule of rulesOf(compiled, symbol)) {
        const children = Array.from(childrenOf(compiled, rule), (child) => distances[child]!);
        const clear = children.reduce((sum, child) => sum + child.clear, 0);
        if (clear < own.clear) [own.clear, changed] = [clear, true];
        if (nearest(own.before, children, "before")) changed = true;
        if (nearest(own.after, children.reverse(), "after")) changed = true;
      }
    }
  }
  return (rule, first, second) => {
    const children = Array.from(childrenOf(compiled, rule), (child) => distances[child]!);
    let least = Number.POSITIVE_INFINITY;
    for (const [index, left] of children.entries()) {
      let between = 0;
      for (const right of children.slice(index + 1)) {
        least = Math.min(
          least,
          left.after[first]! + between + right.before[second]!,
          left.after[second]! + between + right.before[first]!,
        );
        between += right.clear;
      }
    }
    return least;
  };
}

/** Lowers `own` to what a rule's children give, read from the end in question; whether anything fell. */
function nearest(own: Float64Array, children: readonly Distances[], end: "before" | "after"): boolean {
  let clear = 0;
  let fell = false;
  for (const child of children) {
    for (let branch = 0; branch < own.length; branch++) {
      const distance = clear + child[end][branch]!;
      if (distance >= own[branch]!) continue;
      own[branch] = distance;
      fell = true;
    }
    clear += child.clear;
  }
  return fell;
}
