import { analyzeGrammar, type Grammar } from "./grammar.js";

/** A grammar as flat tables: symbols are integers, terminals 0 .. terminalCount - 1 in the world's order, then the non-terminals. */
export interface CompiledGrammar {
  readonly name: string;
  readonly grammar: Grammar;
  /** By symbol. */
  readonly symbolNames: readonly string[];
  readonly terminalCount: number;
  readonly root: number;
  /** By branch, its dominant nodes as symbols. */
  readonly dominant: readonly (readonly number[])[];
  /** [symbols + 1], first rule of each symbol (terminals have none). */
  readonly ruleStart: Int32Array;
  /** [rules + 1], where each rule's right side begins in `ruleSymbols`. */
  readonly rightStart: Int32Array;
  readonly ruleSymbols: Int32Array;
  /** [symbols], the one length of everything a symbol expands to, or -1 where lengths differ. */
  readonly fixedLength: Int32Array;
  /** [symbols], 0 or 1 + the branch that the symbol is a dominant node of. */
  readonly dominance: Uint8Array;
  /** [symbols], bit b: a dominant node of branch b is at or below. */
  readonly dominantBelow: Uint16Array;
  /** The longest text the root can expand to; Infinity where the grammar is recursive. */
  readonly longest: number;
}

/** Turns a checked grammar into tables. The order of `terminals` numbers them; `dominant` has each branch's nodes, 16 branches at most. */
export function compileGrammar(
  name: string,
  grammar: Grammar,
  terminals: readonly string[],
  dominant: readonly (readonly string[])[],
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
  const nodes = dominant.map((names) => names.map((name) => symbolOf.get(name)!));
  for (const [branch, symbols] of nodes.entries()) for (const symbol of symbols) dominance[symbol] = branch + 1;
  const tables = { ruleStart, rightStart: Int32Array.from(rightStart), ruleSymbols: Int32Array.from(ruleSymbols) };
  return {
    name,
    grammar,
    symbolNames,
    terminalCount: terminals.length,
    root: symbolOf.get(grammar.root)!,
    dominant: nodes,
    ...tables,
    fixedLength,
    dominance,
    dominantBelow: markAbove(
      Uint16Array.from(dominance, (branch) => (branch > 0 ? 1 << (branch - 1) : 0)),
      tables,
    ),
    longest: lengths.get(grammar.root)!.max,
  };
}

/** The rules of a symbol as rule numbers. */
export function rulesOf(grammar: CompiledGrammar, symbol: number): number[] {
  const first = grammar.ruleStart[symbol]!;
  return Array.from({ length: grammar.ruleStart[symbol + 1]! - first }, (_, i) => first + i);
}

/** [symbols], the marks of a symbol and of everything below it. */
function markAbove(
  marks: Uint16Array,
  { ruleStart, rightStart, ruleSymbols }: Pick<CompiledGrammar, "ruleStart" | "rightStart" | "ruleSymbols">,
): Uint16Array {
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
