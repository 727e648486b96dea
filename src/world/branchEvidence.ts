import { rulesOf } from "./compile.js";
import { readRow } from "./judge.js";
import { tuningSamples } from "./sets.js";
import type { World } from "./types.js";

/**
 * How well an ideal reader could tell the branch: share of tuning's texts whose true branch is the likeliest one given the text
 * alone, and share of those it is 99% sure of. What no model can exceed on pairs that are safe for one branch and unsafe for
 * another. `count` texts of the seed's tuning stream; the likelihood is exact but for the number of places where a window can
 * lie, taken from each node's mean length.
 */
export function branchEvidence(
  world: World,
  { seed, count }: { readonly seed: number; readonly count: number },
): { readonly accuracy: number; readonly sure: number } {
  const samples = tuningSamples(world, { seed, count });
  let right = 0;
  let sure = 0;
  for (let row = 0; row < count; row++) {
    const { text, branch } = readRow(world, samples, row);
    const letters = Array.from(text, (token) => token - world.vocabulary.terminals[0]!);
    const chart = new Map<number, Spans>();
    const likelihood = (nodes: readonly number[]) =>
      nodes.reduce((sum, node) => {
        const { within, mean } = spansOf(world, node, letters, chart);
        return sum + within / Math.max(1, mean - letters.length + 1);
      }, 0) / nodes.length;
    const likelihoods = world.tuningGrammar.dominant.map(likelihood);
    const own = likelihoods[world.branches.indexOf(branch)]!;
    // Among branches that are equally likely, the reader guesses.
    const best = Math.max(...likelihoods);
    if (own === best) right += 1 / likelihoods.filter((other) => other === best).length;
    if (own / likelihoods.reduce((sum, other) => sum + other, 0) > 0.99) sure++;
  }
  return { accuracy: right / count, sure: sure / count };
}

/** What a symbol's expansion has to do with a window w of length L: probabilities over expansions. */
interface Spans {
  /** [L + 1][L + 1], the expansion is exactly w[i .. j). */
  readonly whole: readonly Float64Array[];
  /** [L + 1], it ends in w[0 .. j), j >= 1: the window begins inside. */
  readonly begins: Float64Array;
  /** [L + 1], it begins with w[i .. L), i < L: the window ends inside. */
  readonly ends: Float64Array;
  /** Expected number of places where all of w lies within. */
  within: number;
  /** Expected length. */
  mean: number;
}

/** The chart of one symbol, from its rules' children; the inside algorithm with open ends. */
function spansOf(world: World, symbol: number, letters: readonly number[], chart: Map<number, Spans>): Spans {
  const known = chart.get(symbol);
  if (known) return known;
  const length = letters.length;
  const grammar = world.tuningGrammar;
  const spans: Spans = {
    whole: Array.from({ length: length + 1 }, () => new Float64Array(length + 1)),
    begins: new Float64Array(length + 1),
    ends: new Float64Array(length + 1),
    within: 0,
    mean: 0,
  };
  if (symbol < grammar.terminalCount) {
    for (let i = 0; i < length; i++) if (letters[i] === symbol) spans.whole[i]![i + 1] = 1;
    if (letters[0] === symbol) spans.begins[1] = 1;
    if (letters[length - 1] === symbol) spans.ends[length - 1] = 1;
    spans.mean = 1;
  } else {
    const rules = rulesOf(grammar, symbol);
    for (const rule of rules) {
      const right = grammar.ruleSymbols.subarray(grammar.rightStart[rule]!, grammar.rightStart[rule + 1]!);
      addRule(
        spans,
        Array.from(right, (child) => spansOf(world, child, letters, chart)),
        1 / rules.length,
        length,
      );
    }
  }
  chart.set(symbol, spans);
  return spans;
}

/** Adds a rule of probability `share` to a symbol's spans, reading its children from left to right. */
function addRule(spans: Spans, children: readonly Spans[], share: number, length: number): void {
  /** [i][j], the children so far are exactly w[i .. j). */
  let whole = Array.from({ length: length + 1 }, (_, i) => {
    const row = new Float64Array(length + 1);
    row[i] = 1;
    return row;
  });
  /** [j], the window began in them and w[0 .. j) is read. */
  let begun = new Float64Array(length + 1);
  for (const child of children) {
    spans.mean += share * child.mean;
    spans.within += share * child.within;
    for (let j = 1; j < length; j++) spans.within += share * begun[j]! * child.ends[j]!;
    const next = child.begins.slice();
    for (let i = 1; i < length; i++)
      if (begun[i]! > 0) for (let j = i + 1; j <= length; j++) next[j]! += begun[i]! * child.whole[i]![j]!;
    begun = next;
    whole = whole.map((row, i) => {
      const longer = new Float64Array(length + 1);
      for (let j = i; j < length; j++) {
        if (row[j] === 0) continue;
        spans.ends[i]! += share * row[j]! * child.ends[j]!;
        for (let end = j + 1; end <= length; end++) longer[end]! += row[j]! * child.whole[j]![end]!;
      }
      return longer;
    });
  }
  for (let i = 0; i <= length; i++) {
    spans.begins[i]! += share * begun[i]!;
    for (let j = 0; j <= length; j++) spans.whole[i]![j]! += share * whole[i]![j]!;
  }
}
