import { analyzeGrammar, type Grammar } from "./grammar.js";

/** A grammar as flat tables: symbols are integers, terminals 0 .. terminalCount - 1 in the world's order, then the non-terminals. */
export interface CompiledGrammar {
  readonly name: string;
  readonly grammar: Grammar;
  /** By symbol. */
  readonly symbolNames: readonly string[];
  readonly terminalCount: number;
  readonly root: number;
  /** Dominant nodes, as symbols. */
  readonly safeDominant: readonly number[];
  readonly unsafeDominant: readonly number[];
  /** [symbols + 1], first rule of each symbol (terminals have none). */
  readonly ruleStart: Int32Array;
  /** [rules + 1], where each rule's right side begins in `ruleSymbols`. */
  readonly rightStart: Int32Array;
  readonly ruleSymbols: Int32Array;
  /** [symbols], the one length of everything a symbol expands to, or -1 where lengths differ. */
  readonly fixedLength: Int32Array;
  /** [symbols], 0 neither, 1 safe-dominant, 2 unsafe-dominant. */
  readonly dominance: Uint8Array;
  /** [symbols], bit 1: a safe-dominant node is at or below, bit 2: an unsafe-dominant one. */
  readonly dominantBelow: Uint8Array;
  /** The longest text the root can expand to; Infinity where the grammar is recursive. */
  readonly longest: number;
}

/** Turns a checked grammar into tables. The order of `terminals` numbers them. */
export function compileGrammar(
  name: string,
  grammar: Grammar,
  terminals: readonly string[],
  dominant: { readonly safe: readonly string[]; readonly unsafe: readonly string[] },
): CompiledGrammar {
  const symbolNames = [...terminals, ...grammar.rules.keys()];
  const symbolOf = new Map(symbolNames.map((symbol, index) => [symbol, index]));
  const { lengths } = analyzeGrammar(grammar);
  const ruleStart = new Int32Array(symbolNames.length + 1);
  const rightStart = [0];
  const ruleSymbols: number[] = [];
  const fixedLength = new Int32Array(symbolNames.length).fill(1);
  for (const [index, symbol] of symbolNames.entries()) {
    for (const right of grammar.rules.get(symbol) ?? []) {
      for (const child of right) ruleSymbols.push(symbolOf.get(child)!);
      rightStart.push(ruleSymbols.length);
    }
    ruleStart[index + 1] = rightStart.length - 1;
    const length = lengths.get(symbol);
    if (length) fixedLength[index] = length.min === length.max ? length.min : -1;
  }
  const dominance = new Uint8Array(symbolNames.length);
  const safeDominant = dominant.safe.map((symbol) => symbolOf.get(symbol)!);
  const unsafeDominant = dominant.unsafe.map((symbol) => symbolOf.get(symbol)!);
  for (const symbol of safeDominant) dominance[symbol] = 1;
  for (const symbol of unsafeDominant) dominance[symbol] = 2;
  const tables = { ruleStart, rightStart: Int32Array.from(rightStart), ruleSymbols: Int32Array.from(ruleSymbols) };
  return {
    name,
    grammar,
    symbolNames,
    terminalCount: terminals.length,
    root: symbolOf.get(grammar.root)!,
    safeDominant,
    unsafeDominant,
    ...tables,
    fixedLength,
    dominance,
    dominantBelow: markAbove(dominance, tables),
    longest: lengths.get(grammar.root)!.max,
  };
}

/** The rules of a symbol as rule numbers. */
export function rulesOf(grammar: CompiledGrammar, symbol: number): number[] {
  const first = grammar.ruleStart[symbol]!;
  return Array.from({ length: grammar.ruleStart[symbol + 1]! - first }, (_, i) => first + i);
}

/**
 * Rules of the lowest common ancestors of a safe- and an unsafe-dominant node: a rule both of whose kinds lie under
 * *different* children, of a symbol none of whose children holds both.
 */
export function mixedRules(compiled: CompiledGrammar): number[][] {
  const holds = compiled.dominantBelow;
  const { unreachable } = analyzeGrammar(compiled.grammar);
  const found: number[][] = [];
  for (let symbol = compiled.terminalCount; symbol < compiled.symbolNames.length; symbol++) {
    if (holds[symbol] !== 3 || unreachable.includes(compiled.symbolNames[symbol]!)) continue;
    const children = (rule: number) => [
      ...compiled.ruleSymbols.subarray(compiled.rightStart[rule]!, compiled.rightStart[rule + 1]!),
    ];
    const rules = rulesOf(compiled, symbol);
    if (rules.some((rule) => children(rule).some((child) => holds[child] === 3))) continue;
    const mixed = rules.filter((rule) => children(rule).reduce((both, child) => both | holds[child]!, 0) === 3);
    if (mixed.length > 0) found.push(mixed);
  }
  return found;
}

/** [symbols], the marks of a symbol and of everything below it. */
function markAbove(
  marks: Uint8Array,
  { ruleStart, rightStart, ruleSymbols }: Pick<CompiledGrammar, "ruleStart" | "rightStart" | "ruleSymbols">,
): Uint8Array {
  const above = marks.slice();
  for (let changed = true; changed; ) {
    changed = false;
    for (let symbol = 0; symbol < above.length; symbol++)
      for (let at = rightStart[ruleStart[symbol]!]!; at < rightStart[ruleStart[symbol + 1]!]!; at++) {
        const both = above[symbol]! | above[ruleSymbols[at]!]!;
        if (both === above[symbol]) continue;
        above[symbol] = both;
        changed = true;
      }
  }
  return above;
}
