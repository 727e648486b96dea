import { type BitSource, choose } from "./bits.js";
import type { CompiledGrammar } from "./compile.js";

/**
 * Where a text's expansion begins: a node drawn uniformly, then one of its rules. Node n's rules are
 * `rules[ruleStart[n] .. ruleStart[n + 1] - 1]`, numbers of rules of `grammar`.
 */
export interface TextStart {
  readonly grammar: CompiledGrammar;
  /** Index of the grammar among the world's. */
  readonly grammarIndex: number;
  readonly ruleStart: Int32Array;
  readonly rules: Int32Array;
  /** Mixed text: the window must hold terminals of nodes of both branches, and of no third. */
  readonly pair: readonly [number, number] | undefined;
}

/** Makes a start of groups of rules, one group per node. */
export function textStart(
  grammar: CompiledGrammar,
  grammarIndex: number,
  groups: readonly (readonly number[])[],
  pair?: readonly [number, number],
): TextStart {
  const ruleStart = new Int32Array(groups.length + 1);
  for (const [index, group] of groups.entries()) ruleStart[index + 1] = ruleStart[index]! + group.length;
  return { grammar, grammarIndex, ruleStart, rules: Int32Array.from(groups.flat()), pair };
}

/** Memory that expansions reuse. A full buffer ends an attempt, see `drawText`. */
export interface TextScratch {
  readonly stack: Int32Array;
  readonly frontier: Int32Array;
  /** Mixed windows: start and end of each dominant node's text, and its branch. */
  readonly nodeStart: Int32Array;
  readonly nodeEnd: Int32Array;
  readonly nodeBranch: Uint8Array;
  /** The last expansion: open symbols in `frontier`, terminals in all, dominant nodes noted. */
  readonly size: Int32Array;
  /** The text, as indices of terminals. */
  readonly text: Int32Array;
}

const FRONTIER = 0;
const TOTAL = 1;
const NODES = 2;

/** Expansions with more open symbols than this are given up and drawn anew; only recursive grammars come near it. */
const MAX_OPEN = 65_536;

export function createTextScratch(starts: readonly TextStart[], maxText: number): TextScratch {
  let longest = 0;
  for (const { grammar } of starts) longest = Math.max(longest, grammar.longest + grammar.ruleSymbols.length);
  const size = Math.min(longest, MAX_OPEN) + 64;
  return {
    stack: new Int32Array(size),
    frontier: new Int32Array(size),
    nodeStart: new Int32Array(size),
    nodeEnd: new Int32Array(size),
    nodeBranch: new Uint8Array(size),
    size: new Int32Array(3),
    text: new Int32Array(maxText),
  };
}

/** On the stack: the dominant node opened last ends here. */
const END_OF_NODE = -1;

/**
 * Draws a text into `scratch.text` and returns its length, or 0 where this attempt gives none (a mixed start without a
 * window over both branches alone, or a recursive expansion too large for the buffers) and the caller draws the next attempt.
 *
 * The length L is uniform in min .. max (an expansion shorter than L is taken whole) and the window uniform among those of
 * L terminals; a mixed window uniform among those over one boundary of the two branches, itself uniform among such boundaries.
 * Only what decides the expansion's total length is expanded before the window is cut; below symbols of one fixed length,
 * only what the window covers. Rules are chosen independently, so leaving out the rest does not change the distribution.
 */
export function drawText(bits: BitSource, start: TextStart, min: number, max: number, scratch: TextScratch): number {
  const { grammar, ruleStart, rules } = start;
  const node = choose(bits, ruleStart.length - 1);
  const first = ruleStart[node]!;
  const rule = rules[first + choose(bits, ruleStart[node + 1]! - first)]!;
  if (!expandFrontier(bits, start, rule, scratch)) return 0;
  const total = scratch.size[TOTAL]!;
  const length = Math.min(min + choose(bits, max - min + 1), total);
  const offset = start.pair ? mixedOffset(bits, start.pair, length, scratch) : choose(bits, total - length + 1);
  if (offset < 0) return 0;
  return cutWindow(bits, grammar, offset, length, scratch) ? length : 0;
}

/**
 * Expands a rule's right side until every symbol has one fixed length, and for a mixed start until every dominant node is
 * in sight. False: no room.
 */
function expandFrontier(bits: BitSource, start: TextStart, rule: number, scratch: TextScratch): boolean {
  const { rightStart, ruleSymbols, fixedLength, dominance, dominantBelow } = start.grammar;
  const { stack, frontier, nodeStart, nodeEnd, nodeBranch, size } = scratch;
  const mixed = start.pair !== undefined;
  let open = 0;
  let count = 0;
  let total = 0;
  let nodes = 0;
  for (let at = rightStart[rule + 1]! - 1; at >= rightStart[rule]!; at--) stack[open++] = ruleSymbols[at]!;
  while (open > 0) {
    const symbol = stack[--open]!;
    if (symbol === END_OF_NODE) {
      nodeEnd[nodes++] = total;
      continue;
    }
    const length = fixedLength[symbol]!;
    const dominant = mixed ? dominance[symbol]! : 0;
    if (dominant > 0) {
      nodeStart[nodes] = total;
      nodeBranch[nodes] = dominant - 1;
      if (length >= 0) nodeEnd[nodes++] = total + length;
    }
    if (length >= 0 && (dominant > 0 || !mixed || dominantBelow[symbol] === 0)) {
      if (count === frontier.length) return false;
      frontier[count++] = symbol;
      total += length;
      continue;
    }
    if (dominant > 0) stack[open++] = END_OF_NODE;
    open = pushRule(bits, start.grammar, symbol, stack, open);
    if (open < 0) return false;
  }
  size[FRONTIER] = count;
  size[TOTAL] = total;
  size[NODES] = nodes;
  return true;
}

/** Draws a rule of `symbol` and puts its right side on the stack, first symbol on top; returns the new height, -1: no room. */
function pushRule(bits: BitSource, grammar: CompiledGrammar, symbol: number, stack: Int32Array, open: number): number {
  const { ruleStart, rightStart, ruleSymbols } = grammar;
  const first = ruleStart[symbol]!;
  const rule = first + choose(bits, ruleStart[symbol + 1]! - first);
  const from = rightStart[rule]!;
  const to = rightStart[rule + 1]!;
  // One place is kept free for the end mark of a dominant node.
  if (open + to - from >= stack.length) return -1;
  let height = open;
  for (let at = to - 1; at >= from; at--) stack[height++] = ruleSymbols[at]!;
  return height;
}

/**
 * Where a window of `length` over nodes of both branches begins; -1 where there is none. Neighbouring nodes make a boundary;
 * further ones bound the window where they belong to a third branch.
 */
function mixedOffset(bits: BitSource, pair: readonly [number, number], length: number, scratch: TextScratch): number {
  const { nodeStart, nodeEnd, nodeBranch, size } = scratch;
  const [first, second] = pair;
  const nodes = size[NODES]!;
  const inPair = (node: number) => nodeBranch[node] === first || nodeBranch[node] === second;
  const isBoundary = (node: number) => nodeBranch[node] !== nodeBranch[node + 1] && inPair(node) && inPair(node + 1);
  let boundaries = 0;
  for (let node = 0; node + 1 < nodes; node++) if (isBoundary(node)) boundaries++;
  if (boundaries === 0) return -1;
  let left = choose(bits, boundaries);
  let node = 0;
  while (!isBoundary(node) || left-- > 0) node++;
  let before = node;
  while (before >= 0 && inPair(before)) before--;
  let after = node + 1;
  while (after < nodes && inPair(after)) after++;
  const from = before < 0 ? 0 : nodeEnd[before]!;
  const to = after === nodes ? size[TOTAL]! : nodeStart[after]!;
  const lowest = Math.max(from, nodeStart[node + 1]! - length + 1);
  const highest = Math.min(nodeEnd[node]! - 1, to - length);
  return highest < lowest ? -1 : lowest + choose(bits, highest - lowest + 1);
}

/** Expands what lies in the window [offset, offset + length) of the frontier into `scratch.text`. False: no room. */
function cutWindow(
  bits: BitSource,
  grammar: CompiledGrammar,
  offset: number,
  length: number,
  scratch: TextScratch,
): boolean {
  const { fixedLength, terminalCount } = grammar;
  const { stack, frontier, text, size } = scratch;
  const count = size[FRONTIER]!;
  let position = 0;
  let written = 0;
  for (let i = 0; i < count; i++) {
    stack[0] = frontier[i]!;
    let open = 1;
    while (open > 0) {
      const symbol = stack[--open]!;
      const end = position + fixedLength[symbol]!;
      if (end <= offset) {
        position = end;
      } else if (symbol < terminalCount) {
        position = end;
        text[written++] = symbol;
        if (written === length) return true;
      } else {
        open = pushRule(bits, grammar, symbol, stack, open);
        if (open < 0) return false;
      }
    }
  }
  return true;
}
