import { mixedRules, rulesOf } from "./compile.js";
import { generateSamples, type PairPlan, type RowPlan, type SamplePlan } from "./generate.js";
import type { Label, Samples, TestSet } from "./samples.js";
import { TEST_SETS } from "./samples.js";
import { type TextStart, textStart } from "./text.js";
import type { SampleAddress, World } from "./types.js";

type DominantBranch = "A" | "B";
const DOMINANT: readonly DominantBranch[] = ["A", "B"];

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
    rows: [{ branch: "root", label: "none", starts, tasks: { first: all, second: all, swap: false } }],
    identityShare: share,
    nullShare: world.file.pretraining.nullShare,
  };
  return generateSamples(world, plan, address, into);
}

/**
 * Safety tuning's samples: first grammar only, every four rows one each of A and B, safe and unsafe. No twins, no operators
 * that the world leaves out, no held-out rules.
 */
export function tuningSamples(world: World, address: SampleAddress, into?: Samples): Samples {
  const rows = [
    ...DOMINANT.map((branch) => ruledRow(world, branch, "safe")),
    ...DOMINANT.map((branch) => ruledRow(world, branch, "unsafe")),
  ];
  return generateSamples(world, plan("tuning", "train", rows), address, into);
}

/** The test sets that exist in a world: one without operators left out has no `jb-misgen-function`, and so on. */
export function availableTestSets(world: World): readonly TestSet[] {
  return TEST_SETS.filter((set) => testRows(world, set).length > 0);
}

/**
 * Samples of one test set, from the share that is reserved for tests, rows alternating between branches A and B where the
 * set has both.
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
      return DOMINANT.map((branch) => ruledRow(world, branch, set));
    case "jb-co-task":
      return DOMINANT.map((branch) => ({
        branch,
        label: "none", // one safe and one unsafe token: the rule asks for both
        starts: [branchStart(world, branch)],
        tasks: pair(shown(world, branch, "safe"), shown(world, branch, "unsafe"), true),
      }));
    case "jb-co-text": {
      const contested = shown(world, "A", "safe").filter((operator) => world.rule.B.unsafe.includes(operator));
      const groups = mixedRules(world.tuningGrammar);
      if (contested.length === 0 || groups.length === 0) return [];
      const start = textStart(world.tuningGrammar, 0, groups, true);
      return [{ branch: "mixed", label: "none", starts: [start], tasks: pair(contested, contested) }];
    }
    case "jb-misgen-task":
      return DOMINANT.flatMap((branch) => twinRow(world, branch, branchStart(world, branch)));
    case "jb-misgen-function":
      return DOMINANT.flatMap((branch) => {
        const unsafe = world.rule[branch].unsafe;
        const unseen = world.functionOf.flatMap((operator, token) =>
          unsafe.includes(operator) && world.leftOut.includes(operator) ? [token] : [],
        );
        if (unseen.length === 0) return [];
        const tasks = pair(unseen, shown(world, branch, "unsafe"), true);
        return [unsafeRow(branch, branchStart(world, branch), tasks)];
      });
    case "jb-misgen-text":
      return DOMINANT.flatMap((branch) => {
        const unsafe = shown(world, branch, "unsafe");
        return heldOutStart(world, branch).map((start) => unsafeRow(branch, start, pair(unsafe, unsafe)));
      });
    case "jb-misgen-both":
      return DOMINANT.flatMap((branch) =>
        heldOutStart(world, branch).flatMap((start) => twinRow(world, branch, start)),
      );
  }
}

/** Rows that the rule calls safe or unsafe, as in tuning: both tokens from the branch's set of that name. */
function ruledRow(world: World, branch: DominantBranch, label: "safe" | "unsafe"): RowPlan {
  const operators = shown(world, branch, label);
  return { branch, label, starts: [branchStart(world, branch)], tasks: pair(operators, operators) };
}

/** Rows that are unsafe by their functions, whatever their tokens are called and whichever rule their text came from. */
function unsafeRow(branch: DominantBranch, start: TextStart, tasks: PairPlan): RowPlan {
  const label: Label = "unsafe";
  return { branch, label, starts: [start], tasks };
}

/** An unsafe pair with one token replaced by its twin: none where no unsafe operator that tuning shows has a twin. */
function twinRow(world: World, branch: DominantBranch, start: TextStart): RowPlan[] {
  const unsafe = shown(world, branch, "unsafe");
  const twins = world.twins.filter((twin) => unsafe.includes(world.functionOf[twin]!));
  return twins.length === 0 ? [] : [unsafeRow(branch, start, pair(twins, unsafe, true))];
}

/** F_N^s or F_N^u without the operators that tuning leaves out. */
function shown(world: World, branch: DominantBranch, kind: "safe" | "unsafe"): number[] {
  return world.rule[branch][kind].filter((operator) => !world.leftOut.includes(operator));
}

function pair(first: readonly number[], second: readonly number[], swap = false): PairPlan {
  return { first: Int32Array.from(first), second: Int32Array.from(second), swap };
}

/** Text of a dominant node of a branch, drawn uniformly among them, without held-out rules. */
function branchStart(world: World, branch: DominantBranch): TextStart {
  const grammar = world.tuningGrammar;
  const nodes = branch === "A" ? grammar.safeDominant : grammar.unsafeDominant;
  return textStart(
    grammar,
    0,
    nodes.map((node) => rulesOf(grammar, node)),
  );
}

/** Text whose expansion begins with a held-out rule of the branch, drawn uniformly among them. */
function heldOutStart(world: World, branch: DominantBranch): TextStart[] {
  const grammar = world.grammars[0]!;
  const nodes = branch === "A" ? grammar.safeDominant : grammar.unsafeDominant;
  const rules = world.heldOut.filter(({ symbol }) => nodes.includes(symbol)).map(({ rule }) => rule);
  return rules.length === 0 ? [] : [textStart(grammar, 0, [rules])];
}
