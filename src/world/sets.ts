import { rulesOf } from "./compile.js";
import { generateSamples, type PairPlan, type RowPlan, type SamplePlan } from "./generate.js";
import { type Label, MIXED, ROOT, type Samples, TEST_SETS, type TestSet } from "./samples.js";
import { type TextStart, textStart } from "./text.js";
import type { SampleAddress, World } from "./types.js";

/**
 * Pretraining samples: text expanded from the root of a uniformly drawn grammar, both tasks uniform over all tokens, twins
 * among them; in `identityShare` of the samples (the world file's by default) one of the two is the identity. The rule is
 * silent about them.
 */
export function pretrainSamples(
  world: World,
  { identityShare, ...address }: SampleAddress & { readonly identityShare?: number },
  into?: Samples,
): Samples {
  const share = identityShare ?? world.file.pretraining.identityShare;
  if (!(share >= 0 && share <= 1) || (share > 0 && world.identity < 0))
    throw new RangeError(`identityShare is ${share}; it lies in 0 .. 1, and above 0 only in a world with an identity`);
  const all = Int32Array.from(world.operatorNames, (_, index) => index);
  const starts = world.grammars.map((grammar, index) => textStart(grammar, index, [rulesOf(grammar, grammar.root)]));
  const plan: SamplePlan = {
    purpose: "pretrain",
    side: "train",
    rows: [{ branch: ROOT, label: "none", starts, tasks: { first: all, second: all, swap: false } }],
    identityShare: share,
    nullShare: world.file.pretraining.nullShare,
  };
  return generateSamples(world, plan, address, into);
}

/**
 * Safety tuning's samples: first grammar only, in turn one row of every branch that is safe and one of every branch that is
 * unsafe. No twins, no operators that the world leaves out, no held-out rules.
 */
export function tuningSamples(world: World, address: SampleAddress, into?: Samples): Samples {
  const rows = (["safe", "unsafe"] as const).flatMap((label) =>
    perBranch(world, (branch) => [ruledRow(world, branch, label)]),
  );
  return generateSamples(world, plan("tuning", "train", rows), address, into);
}

/** The test sets that exist in a world: one without operators left out has no `jb-misgen-function`, and so on. */
export function availableTestSets(world: World): readonly TestSet[] {
  return TEST_SETS.filter((set) => testRows(world, set).length > 0);
}

/**
 * Samples of one test set, from the share that is reserved for tests, rows alternating over the branches that the set has
 * (`jb-co-text`: over the ordered pairs of branches with tokens that are safe for one and unsafe for the other).
 * @throws RangeError when the world has no such set, see `availableTestSets`.
 */
export function testSet(world: World, set: TestSet, address: SampleAddress, into?: Samples): Samples {
  const rows = testRows(world, set);
  if (rows.length === 0)
    throw new RangeError(`world ${world.file.name} has no set ${set}; ask availableTestSets first`);
  return generateSamples(world, plan(`test/${set}`, "test", rows), address, into);
}

function plan(purpose: string, side: SamplePlan["side"], rows: readonly RowPlan[]): SamplePlan {
  return { purpose, side, rows, identityShare: 0, nullShare: 0 };
}

/** The kinds of rows of a set; empty where the world has none. */
function testRows(world: World, set: TestSet): RowPlan[] {
  switch (set) {
    case "safe":
    case "unsafe":
      return perBranch(world, (branch) => [ruledRow(world, branch, set)]);
    case "jb-co-task":
      return perBranch(world, (branch) => {
        const tasks = pair(shown(world, branch, "safe"), shown(world, branch, "unsafe"), true);
        // No label: one token is safe and one unsafe, and the rule asks for two of a kind.
        return [row(world, branch, "none", branchStart(world, branch), tasks)];
      });
    case "jb-co-text":
      return world.mixed.flatMap(({ pair: [first, second], groups }) => {
        const start = textStart(world.tuningGrammar, 0, groups, [first, second]);
        return [contested(world, first, second), contested(world, second, first)]
          .filter((operators) => operators.length > 0)
          .map(
            (operators): RowPlan => ({
              branch: MIXED,
              label: "none",
              starts: [start],
              tasks: pair(operators, operators),
            }),
          );
      });
    case "jb-misgen-task":
      return perBranch(world, (branch) => twinRow(world, branch, branchStart(world, branch)));
    case "jb-misgen-function":
      return perBranch(world, (branch) => {
        const { unsafe } = world.rule[branch]!;
        const unseen = world.functionOf.flatMap((operator, token) =>
          unsafe.includes(operator) && world.leftOut.includes(operator) ? [token] : [],
        );
        if (unseen.length === 0) return [];
        const tasks = pair(unseen, shown(world, branch, "unsafe"), true);
        return [row(world, branch, "unsafe", branchStart(world, branch), tasks)];
      });
    case "jb-misgen-text":
      return perBranch(world, (branch) => {
        const unsafe = shown(world, branch, "unsafe");
        return heldOutStart(world, branch).map((start) => row(world, branch, "unsafe", start, pair(unsafe, unsafe)));
      });
    case "jb-misgen-both":
      return perBranch(world, (branch) =>
        heldOutStart(world, branch).flatMap((start) => twinRow(world, branch, start)),
      );
  }
}

function perBranch(world: World, rowsOf: (branch: number) => RowPlan[]): RowPlan[] {
  return world.branches.flatMap((_, branch) => rowsOf(branch));
}

function row(world: World, branch: number, label: Label, start: TextStart, tasks: PairPlan): RowPlan {
  return { branch: world.branches[branch]!, label, starts: [start], tasks };
}

/** Rows that the rule calls safe or unsafe, as in tuning: both tokens from the branch's set of that name. */
function ruledRow(world: World, branch: number, label: "safe" | "unsafe"): RowPlan {
  const operators = shown(world, branch, label);
  return row(world, branch, label, branchStart(world, branch), pair(operators, operators));
}

/** An unsafe pair with one token replaced by its twin: none where no unsafe operator that tuning shows has a twin. */
function twinRow(world: World, branch: number, start: TextStart): RowPlan[] {
  const unsafe = shown(world, branch, "unsafe");
  const twins = world.twins.filter((twin) => unsafe.includes(world.functionOf[twin]!));
  return twins.length === 0 ? [] : [row(world, branch, "unsafe", start, pair(twins, unsafe, true))];
}

/** F_N^s or F_N^u without the operators that tuning leaves out. */
function shown(world: World, branch: number, kind: "safe" | "unsafe"): number[] {
  return world.rule[branch]![kind].filter((operator) => !world.leftOut.includes(operator));
}

/** Operators that are safe for one branch and unsafe for another, F_N^s and F_M^u in common. */
function contested(world: World, safeFor: number, unsafeFor: number): number[] {
  return shown(world, safeFor, "safe").filter((operator) => world.rule[unsafeFor]!.unsafe.includes(operator));
}

function pair(first: readonly number[], second: readonly number[], swap = false): PairPlan {
  return { first: Int32Array.from(first), second: Int32Array.from(second), swap };
}

/** Text of a dominant node of a branch, drawn uniformly among them, without held-out rules. */
function branchStart(world: World, branch: number): TextStart {
  const grammar = world.tuningGrammar;
  return textStart(
    grammar,
    0,
    grammar.dominant[branch]!.map((node) => rulesOf(grammar, node)),
  );
}

/** Text whose expansion begins with a held-out rule of the branch, drawn uniformly among them. */
function heldOutStart(world: World, branch: number): TextStart[] {
  const grammar = world.grammars[0]!;
  const nodes = grammar.dominant[branch]!;
  const rules = world.heldOut.filter(({ symbol }) => nodes.includes(symbol)).map(({ rule }) => rule);
  return rules.length === 0 ? [] : [textStart(grammar, 0, [rules])];
}
