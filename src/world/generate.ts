import { UserError } from "../errors.js";
import { type RandomKey, randomKey } from "../random/index.js";
import { type BitSource, choose, createBitSource, startRow } from "./bits.js";
import { LABELS, type Label, type Samples } from "./samples.js";
import { createTextScratch, drawText, type TextScratch, type TextStart } from "./text.js";
import type { SampleAddress, World } from "./types.js";

/** How a pair of task tokens is drawn: one of each list, and the two change places with probability 1/2 where `swap` says so. */
export interface PairPlan {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly swap: boolean;
}

/** One kind of row: where its text comes from, how its tasks are drawn, and what the rule says of it. */
export interface RowPlan {
  readonly branch: string;
  readonly label: Label;
  /** One is drawn uniformly per row. */
  readonly starts: readonly TextStart[];
  readonly tasks: PairPlan;
}

/**
 * A stream of samples whose rows follow the plans in turn. Step s begins at plan 4 s (modulo their number): batches of any
 * multiple of 4 rows are balanced over all steps, and with 2 or 4 plans, the paper's, every step begins alike.
 */
export interface SamplePlan {
  /** Separates the random numbers of one stream from those of another. */
  readonly purpose: string;
  /** Which side of the reserved share rows lie on. */
  readonly side: "train" | "test";
  readonly rows: readonly RowPlan[];
  /** Share of rows in which one of the two tasks is the identity. */
  readonly identityShare: number;
  /** Share of rows whose output is all NULL. */
  readonly nullShare: number;
}

/** A text and pair that lies on the wrong side is drawn again; this often in vain means that there is none. */
const MAX_ATTEMPTS = 10_000;
/** Shares are compared with 24 random bits. */
const SHARE_BITS = 2 ** 24;

/** Empty samples of a world: what generators write into. */
export function createSamples(world: World, count: number): Samples {
  return {
    count,
    time: world.time,
    tokens: new Int32Array(count * world.time),
    textLength: new Int32Array(count),
    answerStart: new Int32Array(count),
    grammar: new Uint8Array(count),
    branch: new Uint8Array(count),
    branchNames: world.branchNames,
    label: new Uint8Array(count),
  };
}

/**
 * Samples of one plan. Row i depends on (seed, purpose, step, i) alone. With `into`, those buffers are written and returned,
 * and the loop over rows allocates nothing.
 * @throws UserError when a world is so small that no sample lies on the wanted side of its reserved share.
 */
export function generateSamples(world: World, plan: SamplePlan, address: SampleAddress, into?: Samples): Samples {
  const samples = into ?? createSamples(world, address.count);
  if (samples.count !== address.count || samples.time !== world.time)
    throw new RangeError(`buffers of ${samples.count} x ${samples.time} do not fit ${address.count} x ${world.time}`);
  if (samples.branchNames.join() !== world.branchNames.join())
    throw new RangeError(
      `buffers for the branches ${samples.branchNames.join(", ")} do not fit a world with ${world.branchNames.join(", ")}`,
    );
  const key: RandomKey = randomKey(address.seed, `world/${plan.purpose}`);
  const bits = createBitSource(key, address.step ?? 0);
  const scratch = createTextScratch(
    plan.rows.flatMap((row) => row.starts),
    world.maxText,
  );
  const drawn = { tasks: new Int32Array(2), bits, scratch, limit: reservedLimit(world) };
  const kinds = plan.rows.map((row): RowKind => {
    return { row, branch: world.branchNames.indexOf(row.branch), label: LABELS.indexOf(row.label) };
  });
  const turn = (4 * (address.step ?? 0)) % kinds.length;
  for (let row = 0; row < samples.count; row++)
    drawRow(world, plan, kinds[(turn + row) % kinds.length]!, samples, row, drawn);
  return samples;
}

/** A plan of rows with what is written of it. */
interface RowKind {
  readonly row: RowPlan;
  readonly branch: number;
  readonly label: number;
}

interface Drawn {
  readonly tasks: Int32Array;
  readonly bits: BitSource;
  readonly scratch: TextScratch;
  readonly limit: number;
}

function drawRow(world: World, plan: SamplePlan, kind: RowKind, samples: Samples, row: number, drawn: Drawn): void {
  const { bits, tasks, scratch, limit } = drawn;
  const { starts, tasks: pairs } = kind.row;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    startRow(bits, row, attempt);
    drawTasks(world, plan, pairs, bits, tasks);
    const start = starts[choose(bits, starts.length)]!;
    const length = drawText(bits, start, world.minText, world.maxText, scratch);
    if (length === 0) continue;
    if (hashSample(tasks, scratch.text, length) < limit !== (plan.side === "test")) continue;
    const refused = plan.nullShare > 0 && choose(bits, SHARE_BITS) < plan.nullShare * SHARE_BITS;
    samples.grammar[row] = start.grammarIndex;
    samples.branch[row] = kind.branch;
    samples.label[row] = kind.label;
    samples.textLength[row] = length;
    writeRow(world, samples, row, tasks, scratch.text, refused);
    return;
  }
  throw new UserError(
    `world ${world.file.name}: ${MAX_ATTEMPTS} draws gave no ${plan.purpose} sample on the ${plan.side} side of its reserved share ` +
      `(testShare ${world.file.testShare}); make the world's texts more varied or testShare larger.`,
  );
}

function drawTasks(world: World, plan: SamplePlan, pairs: PairPlan, bits: BitSource, tasks: Int32Array): void {
  const a = pairs.first[choose(bits, pairs.first.length)]!;
  const b = pairs.second[choose(bits, pairs.second.length)]!;
  const swapped = pairs.swap && choose(bits, 2) === 1;
  tasks[0] = swapped ? b : a;
  tasks[1] = swapped ? a : b;
  if (plan.identityShare > 0 && choose(bits, SHARE_BITS) < plan.identityShare * SHARE_BITS)
    tasks[choose(bits, 2)] = world.identity;
}

/** `BOS t_i t_j SOT text EOT output EOS` with padding, output = f_j(f_i(text)) or NULLs. */
function writeRow(
  world: World,
  samples: Samples,
  row: number,
  tasks: Int32Array,
  text: Int32Array,
  refused: boolean,
): void {
  const { tokens, time } = samples;
  const { vocabulary, maps } = world;
  const length = samples.textLength[row]!;
  const operators = vocabulary.operators.length;
  const terminals = vocabulary.terminals.length;
  const firstOperator = vocabulary.operators[0]!;
  const firstTerminal = vocabulary.terminals[0]!;
  const grammarAt = samples.grammar[row]! * operators;
  const mapFirst = (grammarAt + tasks[0]!) * terminals;
  const mapSecond = (grammarAt + tasks[1]!) * terminals;
  const start = row * time;
  const answer = 5 + (world.layout === "aligned" ? world.maxText : length);
  // A call of fill() costs more than so few tokens.
  for (let at = start + 4 + length; at < start + time; at++) tokens[at] = vocabulary.pad;
  tokens[start] = vocabulary.bos;
  tokens[start + 1] = firstOperator + tasks[0]!;
  tokens[start + 2] = firstOperator + tasks[1]!;
  tokens[start + 3] = vocabulary.sot;
  tokens[start + answer - 1] = vocabulary.eot;
  for (let i = 0; i < length; i++) {
    const terminal = text[i]!;
    tokens[start + 4 + i] = firstTerminal + terminal;
    tokens[start + answer + i] = refused
      ? vocabulary.nullToken
      : firstTerminal + maps[mapSecond + maps[mapFirst + terminal]!]!;
  }
  tokens[start + answer + length] = vocabulary.eos;
  samples.answerStart[row] = answer;
}

/** Samples whose hash lies below this belong to the tests. */
export function reservedLimit(world: World): number {
  return Math.floor(world.file.testShare * 2 ** 32);
}

/**
 * Hash of (text, task pair), unsigned 32 bits, the same for every seed: it divides all samples into those of tests and those
 * of training, so that no test sample can occur in training whatever was drawn. Mixing after MurmurHash3 (A. Appleby, 2011).
 */
export function hashSample(tasks: ArrayLike<number>, text: ArrayLike<number>, length: number): number {
  let hash = Math.imul(tasks[0]! * 4096 + tasks[1]! + 1, 0x85ebca6b);
  for (let i = 0; i < length; i++) {
    hash = Math.imul(hash ^ (text[i]! + 1), 0xcc9e2d51);
    hash = (hash << 15) | (hash >>> 17);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
