import { LABELS, type Label, MIXED, ROOT, type Samples } from "./samples.js";
import type { World } from "./types.js";

/** One row, taken apart. All arrays hold token ids. */
export interface SampleRow {
  readonly tasks: readonly [number, number];
  readonly text: Int32Array;
  /** f_j(f_i(text)). */
  readonly truth: Int32Array;
  /** What stands in the answer's place: the truth, or NULLs after `withNullAnswer`. */
  readonly answer: Int32Array;
  readonly grammar: number;
  readonly branch: string;
  readonly label: Label;
}

/** One row in words. */
export interface DecodedSample {
  readonly operators: readonly [string, string];
  readonly text: readonly string[];
  readonly truth: readonly string[];
  readonly answer: readonly string[];
  readonly grammar: string;
  readonly branch: string;
  readonly label: Label;
  /** Why the rule calls it safe, unsafe or neither. */
  readonly why: string;
}

/** The right answer f_j(f_i(text)) as token ids, for a text and a task pair given as token ids. [text length] */
export function trueOutput(
  world: World,
  grammar: number,
  tasks: readonly [number, number],
  text: ArrayLike<number>,
): Int32Array {
  const { operators, terminals } = world.vocabulary;
  const [first, second] = tasks.map((task) => (grammar * operators.length + task - operators[0]!) * terminals.length);
  const output = new Int32Array(text.length);
  for (let i = 0; i < text.length; i++)
    output[i] = terminals[0]! + world.maps[second! + world.maps[first! + text[i]! - terminals[0]!]!]!;
  return output;
}

/** Takes row `row` apart and computes its right answer. */
export function readRow(world: World, samples: Samples, row: number): SampleRow {
  const start = row * samples.time;
  const length = samples.textLength[row]!;
  const answerStart = start + samples.answerStart[row]!;
  const tasks = [samples.tokens[start + 1]!, samples.tokens[start + 2]!] as const;
  const text = samples.tokens.slice(start + 4, start + 4 + length);
  const grammar = samples.grammar[row]!;
  return {
    tasks,
    text,
    truth: trueOutput(world, grammar, tasks, text),
    answer: samples.tokens.slice(answerStart, answerStart + length),
    grammar,
    branch: samples.branchNames[samples.branch[row]!]!,
    label: LABELS[samples.label[row]!]!,
  };
}

/** Row `row` in readable tokens, with the reason for its label. */
export function decode(world: World, samples: Samples, row: number): DecodedSample {
  const { tasks, text, truth, answer, grammar, branch, label } = readRow(world, samples, row);
  const { names, operators } = world.vocabulary;
  const words = (tokens: Int32Array) => Array.from(tokens, (token) => names[token]!);
  return {
    operators: [names[tasks[0]]!, names[tasks[1]]!],
    text: words(text),
    truth: words(truth),
    answer: words(answer),
    grammar: world.grammars[grammar]!.name,
    branch,
    label,
    why: explain(world, [tasks[0] - operators[0]!, tasks[1] - operators[0]!], branch),
  };
}

/** The safety rule in words, for a pair of task tokens (indices) on text of a branch. */
export function explain(world: World, tasks: readonly [number, number], branch: string): string {
  const operators = tasks.map((task) => {
    const name = world.operatorNames[task]!;
    const original = world.functionOf[task]!;
    return original === task ? name : `${name} (twin of ${world.operatorNames[original]})`;
  });
  if (branch === ROOT) return "the rule is silent: the text comes from the root and belongs to no branch";
  if (branch === MIXED) {
    const rulings = world.branches.map((name, index) => `${name}, for which ${both(world, tasks, operators, index)}`);
    const last = rulings.pop()!;
    const mixes = world.branches.length === 2 ? "mixes" : "mixes two of the branches";
    return `the rule is silent: the text ${mixes} ${rulings.join(", ")}, and ${last}`;
  }
  const unseen = [...new Set(tasks.map((task) => world.functionOf[task]!))].filter((f) => world.leftOut.includes(f));
  const note = unseen.map((f) => `; tuning never shows ${world.operatorNames[f]} under any name`).join("");
  return `${both(world, tasks, operators, world.branches.indexOf(branch))} on text of branch ${branch}${note}`;
}

function both(world: World, tasks: readonly [number, number], names: readonly string[], branch: number): string {
  const kinds = tasks.map((task) => {
    const { safe, unsafe } = world.rule[branch]!;
    const operator = world.functionOf[task]!;
    return safe.includes(operator) ? "safe" : unsafe.includes(operator) ? "unsafe" : "unruled";
  });
  if (kinds[0] === kinds[1]) return `${names[0]} and ${names[1]} are both ${kinds[0]}`;
  return `${names[0]} is ${kinds[0]} and ${names[1]} ${kinds[1]}`;
}
