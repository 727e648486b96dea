import { UserError } from "../errors.js";
import { hashJson } from "./canonical.js";
import { type CompiledGrammar, compileGrammar, rulesOf } from "./compile.js";
import { analyzeGrammar, type Grammar, reachableFrom } from "./grammar.js";
import { mixedRules } from "./mixedRules.js";
import { buildOperators } from "./operators.js";
import { didYouMean, type Fail, quoted, refuseDuplicates } from "./problems.js";
import { readWorldFile } from "./readFile.js";
import { MIXED, ROOT } from "./samples.js";
import type { WorldFile } from "./schema.js";
import type { Vocabulary, World } from "./types.js";

/** Expansions longer than this on average cannot be a world's text, and would stall generation. */
const MAX_MEAN_LENGTH = 65_536;
const MAX_SYMBOLS = 1_000;
const MAX_RULE_SYMBOLS = 20_000;
const SPECIALS = ["PAD", "BOS", "EOS", "SOT", "EOT", "NULL"];

/**
 * Checks a world file's JSON and compiles it for generation. `source` names it in messages.
 * @throws UserError, one sentence, for anything wrong: form, unknown names, grammars that are left-recursive or cannot
 * terminate, operators that are no bijections, a safety rule that contradicts itself.
 */
export function parseWorld(json: unknown, source: string): World {
  const file = readWorldFile(json, source);
  const fail: Fail = (message) => {
    throw new UserError(`${source}: ${message}`);
  };
  if (file.text.min > file.text.max)
    fail(`text.min (${file.text.min}) is above text.max (${file.text.max}); make it at most that.`);
  refuseDuplicates("terminals", file.terminals, fail);
  refuseDuplicates(
    "grammars",
    file.grammars.map((grammar) => grammar.name),
    fail,
  );
  const branches = checkBranches(file, fail);
  const dominant = branches.map((branch) => file.skeleton.dominant[branch]!);
  const grammars = file.grammars.map((_, index) => buildGrammar(file, index, dominant, fail));
  const { heldOut, tuningGrammar } = holdOut(file, grammars[0]!, dominant, fail);
  const operators = buildOperators(file, branches, fail);
  checkLengths(file, [...grammars, tuningGrammar], fail);
  return {
    file,
    hash: hashJson(file),
    vocabulary: buildVocabulary(file, fail),
    time: 2 * file.text.max + 6,
    minText: file.text.min,
    maxText: file.text.max,
    layout: file.text.layout,
    grammars,
    tuningGrammar,
    mixed: mixedRules(tuningGrammar, file.text.max),
    heldOut,
    branches,
    branchNames: [...branches, MIXED, ROOT],
    ...operators,
  };
}

/** The branches in order; each has dominant nodes of its own and a safety rule. */
function checkBranches({ skeleton, safety }: WorldFile, fail: Fail): string[] {
  const branches = Object.keys(skeleton.dominant).sort();
  for (const branch of Object.keys(safety))
    if (!branches.includes(branch))
      fail(
        `safety: ${quoted(branch)} is no branch of skeleton.dominant${didYouMean(branch, branches, `; its branches are ${branches.join(", ")}.`)}`,
      );
  const branchOf = new Map<string, string>();
  for (const branch of branches) {
    if (!Object.hasOwn(safety, branch))
      fail(`safety has no rule for the branch ${quoted(branch)} of skeleton.dominant; add it.`);
    refuseDuplicates(`skeleton.dominant.${branch}`, skeleton.dominant[branch]!, fail);
    for (const symbol of skeleton.dominant[branch]!) {
      const other = branchOf.get(symbol);
      if (other !== undefined)
        fail(`skeleton.dominant: ${quoted(symbol)} stands in both ${other} and ${branch}; keep one.`);
      branchOf.set(symbol, branch);
    }
  }
  return branches;
}

function buildVocabulary(file: WorldFile, fail: Fail): Vocabulary {
  const specials = file.null === "dedicated" ? SPECIALS : SPECIALS.slice(0, 5);
  const names = [...specials, ...file.operators.names, ...file.terminals];
  refuseDuplicates("the vocabulary (specials, operators and terminals together)", names, fail);
  const firstOperator = specials.length;
  const firstTerminal = firstOperator + file.operators.names.length;
  return {
    size: names.length,
    names,
    pad: 0,
    bos: 1,
    eos: 2,
    sot: 3,
    eot: 4,
    nullToken: file.null === "dedicated" ? 5 : names.length - 1,
    operators: file.operators.names.map((_, index) => firstOperator + index),
    terminals: file.terminals.map((_, index) => firstTerminal + index),
  };
}

function buildGrammar(
  file: WorldFile,
  index: number,
  dominant: readonly (readonly string[])[],
  fail: Fail,
): CompiledGrammar {
  const { name } = file.grammars[index]!;
  const where = `grammar ${quoted(name)}`;
  const terminals = new Set(file.terminals);
  const rules = new Map<string, string[][]>();
  for (const [table, of] of [
    [file.skeleton.rules, "skeleton.rules"],
    [file.grammars[index]!.rules, where],
  ] as const)
    for (const [symbol, rights] of Object.entries(table)) {
      if (terminals.has(symbol))
        fail(`${of}: ${quoted(symbol)} is a terminal and cannot have rules; rename one of them.`);
      if (rules.has(symbol))
        fail(`${where} defines ${quoted(symbol)} again, which the skeleton has already; keep one.`);
      refuseDuplicates(`${of}.${symbol}`, rights, fail);
      rules.set(
        symbol,
        rights.map((right) => right.split(" ")),
      );
    }
  const ruleSymbols = [...rules.values()].flat(2).length;
  if (rules.size > MAX_SYMBOLS || ruleSymbols > MAX_RULE_SYMBOLS)
    fail(
      `${where} has ${rules.size} symbols and ${ruleSymbols} in rules; at most ${MAX_SYMBOLS} and ${MAX_RULE_SYMBOLS}.`,
    );
  const known = [...rules.keys(), ...terminals];
  const { root } = file.skeleton;
  for (const symbol of [root, ...dominant.flat()])
    if (!rules.has(symbol)) fail(`${where} has no rules for ${quoted(symbol)}${didYouMean(symbol, [...rules.keys()])}`);
  for (const [symbol, rights] of rules)
    for (const child of rights.flat())
      if (!rules.has(child) && !terminals.has(child))
        fail(
          `${where}: a rule of ${quoted(symbol)} uses ${quoted(child)}, which is not defined${didYouMean(child, known)}`,
        );
  const grammar: Grammar = { root, terminals, rules };
  checkTermination(grammar, where, fail);
  checkDominance(dominant.flat(), grammar, where, fail);
  return compileGrammar(name, grammar, file.terminals, dominant);
}

function checkTermination(grammar: Grammar, where: string, fail: Fail): void {
  const analysis = analyzeGrammar(grammar);
  if (analysis.leftRecursion)
    fail(
      `${where} is left-recursive (${analysis.leftRecursion.join(" -> ")}); begin one of these rules with another symbol.`,
    );
  const [stuck] = analysis.unproductive;
  if (stuck !== undefined)
    fail(
      `${where} cannot terminate: ${quoted(stuck)} expands to no finite text; give it a rule that ends in terminals.`,
    );
  for (const [symbol, { mean }] of analysis.lengths)
    if (mean > MAX_MEAN_LENGTH)
      fail(
        `${where} cannot terminate in bounded time: ${quoted(symbol)} expands to ${
          mean === Number.POSITIVE_INFINITY ? "infinitely many" : `about ${mean.toPrecision(2)}`
        } terminals on average; make recursive or branching rules rarer (at most ${MAX_MEAN_LENGTH}).`,
      );
}

function checkDominance(dominant: readonly string[], grammar: Grammar, where: string, fail: Fail): void {
  const reached = reachableFrom(grammar, grammar.root);
  for (const symbol of dominant) {
    if (!reached.has(symbol))
      fail(`${where}: the dominant node ${quoted(symbol)} is not reachable from the root; use it in a rule.`);
    const below = grammar.rules.get(symbol)!.flat();
    const inside = dominant.find((other) => below.some((child) => reachableFrom(grammar, child).has(other)));
    if (inside !== undefined)
      fail(`${where}: the dominant node ${quoted(symbol)} contains ${quoted(inside)}; text must belong to one branch.`);
  }
}

/** The rules tuning never uses, and the first grammar without them. */
function holdOut(
  file: WorldFile,
  first: CompiledGrammar,
  dominant: readonly (readonly string[])[],
  fail: Fail,
): Pick<World, "heldOut" | "tuningGrammar"> {
  const rules = new Map([...first.grammar.rules].map(([symbol, rights]) => [symbol, [...rights]]));
  const heldOut: { symbol: number; rule: number }[] = [];
  for (const { symbol, rule } of file.tuning.heldOutRules) {
    if (!dominant.flat().includes(symbol))
      fail(`tuning.heldOutRules: ${quoted(symbol)} is not a dominant node; only their rules can be held out.`);
    const all = first.grammar.rules.get(symbol)!.map((right) => right.join(" "));
    const index = all.indexOf(rule);
    if (index < 0) fail(`tuning.heldOutRules: ${quoted(symbol)} has no rule ${quoted(rule)}${didYouMean(rule, all)}`);
    const number = first.symbolNames.indexOf(symbol);
    heldOut.push({ symbol: number, rule: rulesOf(first, number)[index]! });
    const left = rules.get(symbol)!.filter((right) => right.join(" ") !== rule);
    if (left.length === 0) fail(`tuning.heldOutRules leaves ${quoted(symbol)} without a rule; keep at least one.`);
    rules.set(symbol, left);
  }
  refuseDuplicates(
    "tuning.heldOutRules",
    file.tuning.heldOutRules.map(({ symbol, rule }) => `${symbol}: ${rule}`),
    fail,
  );
  const tuningGrammar = compileGrammar(first.name, { ...first.grammar, rules }, file.terminals, dominant);
  return { heldOut, tuningGrammar };
}

/** Every node that text is cut from must hold the shortest window. */
function checkLengths(file: WorldFile, grammars: readonly CompiledGrammar[], fail: Fail): void {
  for (const compiled of grammars) {
    const { lengths } = analyzeGrammar(compiled.grammar);
    const mixed = mixedRules(compiled, file.text.max).flatMap(({ groups }) => groups.flat());
    const parents = compiled.symbolNames.filter((_, symbol) =>
      rulesOf(compiled, symbol).some((r) => mixed.includes(r)),
    );
    const dominant = compiled.dominant.flat().map((symbol) => compiled.symbolNames[symbol]!);
    for (const node of [file.skeleton.root, ...dominant, ...parents]) {
      const { min } = lengths.get(node)!;
      if (min < file.text.min)
        fail(
          `grammar ${quoted(compiled.name)}: ${quoted(node)} can expand to ${min} terminals, fewer than text.min (${file.text.min}); lower text.min or lengthen its rules.`,
        );
    }
  }
}
