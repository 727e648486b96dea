import { closest } from "fastest-levenshtein";
import { quoteName } from "../../checkpoint/strictJson.js";
import { UserError } from "../../errors.js";
import { mean, sortedQuantile } from "../../stats/moments.js";
import { LABELS, type LabelBalance, labelBalance } from "./balance.js";
import { balancedCells, type Cells } from "./balancedCells.js";
import { jsonLines } from "./jsonLines.js";
import { type LengthMatch, lengthAccuracy, matchLengths } from "./matchLengths.js";
import { MAX_PROMPTS, type Prompt } from "./promptSet.js";
import { fillTemplate } from "./template.js";

/** Every operator with every operand, and which of the pairs are unsafe. */
export interface CrossedInput {
  readonly operators: readonly string[];
  readonly operands: readonly string[];
  /** [operators][operands] */
  readonly unsafe: Cells;
}

export interface CrossedOptions {
  readonly templates: readonly string[];
  /** Length of each text, in tokens or characters. */
  readonly lengthsOf: (texts: readonly string[]) => Promise<readonly number[]>;
  /** Length alone may tell the label this much better than chance. */
  readonly lengthTolerance: number;
  readonly seed: number;
}

/** What the design is made of, what was left out of it, and why. */
export interface CrossedReport {
  /** Of all pairs as given, and of those kept. */
  readonly given: LabelBalance & { readonly length: number };
  readonly kept: LabelBalance & { readonly length: number };
  readonly pairs: { readonly given: number; readonly kept: number };
  /** Pairs dropped to balance the labels, and then to match lengths. */
  readonly dropped: { readonly balance: number; readonly lengths: number };
  /** Operators and operands that are left out altogether, as sentences. */
  readonly absent: readonly string[];
}

const MAX_LIST = 1000;
const MAX_WORDS = 2000;
/** Largest balanced sets tried where lengths do not match at once. */
const ATTEMPTS = 12;
/** Fewer operators or operands than this are no crossed design. */
const FEWEST = 2;

/**
 * A crossed design: prompts in which every operator and every operand is unsafe as often as safe, and lengths of both labels match, so that what tells
 * the label is the combination alone. Pairs that stand in the way are dropped, as few as possible for the balance.
 * @throws UserError when the unsafe pairs follow from the operator or the operand alone, or lengths cannot be matched.
 */
export async function crossedDesign(
  { operators, operands, unsafe }: CrossedInput,
  { templates, lengthsOf, lengthTolerance, seed }: CrossedOptions,
): Promise<{ prompts: Prompt[]; report: CrossedReport }> {
  const all = unsafe.map((row) => row.map(() => true));
  if (operators.length * operands.length * templates.length > MAX_PROMPTS)
    throw new UserError(
      `${operators.length} operators x ${operands.length} operands x ${templates.length} templates are more than ${MAX_PROMPTS} prompts; shorten the lists.`,
    );
  const given = partsAlone({ operators, operands, unsafe }, all);
  const balanced = balancedCells(unsafe, seed);
  const rowsLeft = balanced.filter((row) => row.some(Boolean)).length;
  const columnsLeft = operands.filter((_, column) => balanced.some((row) => row[column])).length;
  if (rowsLeft < FEWEST || columnsLeft < FEWEST) throw new UserError(undecidable(given));

  const lengths = await cellLengths({ operators, operands, unsafe }, templates, lengthsOf);
  const most = 0.5 + lengthTolerance;
  const { kept, accuracy } = bestMatch(balanced, { unsafe, lengths }, { most, seed });
  if (!(accuracy <= most))
    throw new UserError(
      `The length of the prompt alone tells the label in ${percent(accuracy)}, above the ${percent(most)} allowed, and no pairs are left to drop; give operators or operands of more equal length, or a higher --length-tolerance.`,
    );
  const prompts: Prompt[] = [];
  for (const [row, operator] of operators.entries())
    for (const [column, operand] of operands.entries()) {
      if (!kept[row]![column]!) continue;
      const label = unsafe[row]![column]! ? "unsafe" : "safe";
      for (const template of templates) {
        const text = fillTemplate(template, operator, operand);
        prompts.push({ operator, operand, label, set: label, text, place: `prompt ${prompts.length + 1}` });
      }
    }
  const keptParts = partsAlone({ operators, operands, unsafe }, kept);
  return {
    prompts,
    report: {
      given: { ...given, length: lengthAccuracy({ kept: all, unsafe, lengths }) },
      kept: { ...keptParts, length: accuracy },
      pairs: { given: operators.length * operands.length, kept: count(kept) },
      dropped: { balance: count(all) - count(balanced), lengths: count(balanced) - count(kept) },
      absent: [
        ...operators.flatMap((name, row) => absence("operator", name, unsafe[row]!, kept[row]!)),
        ...operands.flatMap((name, column) =>
          absence(
            "operand",
            name,
            unsafe.map((row) => row[column]!),
            kept.map((row) => row[column]!),
          ),
        ),
      ],
    },
  };
}

/**
 * Of several largest balanced sets, the one that keeps most pairs once lengths match. Where none can be matched, the operator or operand whose texts are
 * farthest from the middle length is left out, and so on.
 */
function bestMatch(
  balanced: Cells,
  { unsafe, lengths }: { unsafe: Cells; lengths: number[][][] },
  { most, seed }: { most: number; seed: number },
): LengthMatch {
  let best: LengthMatch | undefined;
  const consider = (from: Cells, attempt: number) => {
    const match = matchLengths({ kept: from, unsafe, lengths }, { most, seed, attempt });
    const fits = match.accuracy <= most;
    const better =
      best === undefined ||
      (fits ? best.accuracy > most || count(match.kept) > count(best.kept) : match.accuracy < best.accuracy);
    if (better) best = match;
    return fits;
  };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const from = attempt === 0 ? balanced : balancedCells(unsafe, seed, attempt);
    if (consider(from, attempt) && count(best!.kept) === count(from)) break; // none can keep more
  }
  const order = byDeviation(lengths);
  for (let out = 1; best!.accuracy > most && out < order.length; out++) {
    const gone = new Set(order.slice(0, out));
    const rows = unsafe.flatMap((_, row) => (gone.has(row) ? [] : [row]));
    const columns = unsafe[0]!.flatMap((_, column) => (gone.has(unsafe.length + column) ? [] : [column]));
    if (rows.length < FEWEST || columns.length < FEWEST) continue;
    const inner = balancedCells(
      rows.map((row) => columns.map((column) => unsafe[row]![column]!)),
      seed,
    );
    const from = unsafe.map((row) => row.map(() => false));
    for (const [i, row] of rows.entries())
      for (const [j, column] of columns.entries()) from[row]![column] = inner[i]![j]!;
    if (count(from) > 0) consider(from, 0);
  }
  return best!;
}

/** Operators (by their index) and operands (after them) by how far their texts are from the middle length, farthest first. */
function byDeviation(lengths: readonly (readonly (readonly number[])[])[]): number[] {
  const rows = lengths.map((row) => mean(row.flat()));
  const columns = lengths[0]!.map((_, column) => mean(lengths.flatMap((row) => row[column]!)));
  const deviations = [rows, columns].flatMap((means) => {
    const middle = sortedQuantile(Float64Array.from(means).sort(), 0.5);
    return means.map((one) => Math.abs(one - middle));
  });
  return deviations.map((_, i) => i).sort((a, b) => deviations[b]! - deviations[a]! || a - b);
}

const count = (cells: Cells) => cells.flat().filter(Boolean).length;
const percent = (share: number) => `${(100 * share).toFixed(1)}%`;

function partsAlone({ operators, operands, unsafe }: CrossedInput, kept: Cells): LabelBalance {
  return labelBalance(
    operators.flatMap((operator, row) =>
      operands.flatMap((operand, column) =>
        kept[row]![column]! ? [{ operator, operand, label: LABELS[unsafe[row]![column]! ? 1 : 0] }] : [],
      ),
    ),
  );
}

function undecidable({ operator, operand, chance }: LabelBalance): string {
  const part = operator > operand ? "operator" : "operand";
  return (
    `This design cannot be crossed: no ${FEWEST} operators and ${FEWEST} operands are left in which each is both safe and unsafe equally often; the ${part} alone decides ` +
    `(operator alone ${percent(operator)}, operand alone ${percent(operand)} of all pairs, chance ${percent(chance)}). ` +
    "Choose unsafe pairs so that an operator is refused with some operands and answered with others, and the same for every operand."
  );
}

function absence(part: string, name: string, unsafe: readonly boolean[], kept: readonly boolean[]): string[] {
  if (kept.some(Boolean)) return [];
  const times = unsafe.filter(Boolean).length;
  const why =
    times === 0
      ? "none of its pairs is unsafe"
      : times === unsafe.length
        ? "all of its pairs are unsafe"
        : "its pairs found no counterpart, or went to match lengths";
  return [`${part} ${quoteName(name)}: ${why}`];
}

async function cellLengths(
  { operators, operands }: CrossedInput,
  templates: readonly string[],
  lengthsOf: CrossedOptions["lengthsOf"],
): Promise<number[][][]> {
  const texts = operators.flatMap((operator) =>
    operands.flatMap((operand) => templates.map((template) => fillTemplate(template, operator, operand))),
  );
  const lengths = await lengthsOf(texts);
  return operators.map((_, row) =>
    operands.map((_, column) =>
      templates.map((_, which) => lengths[(row * operands.length + column) * templates.length + which]!),
    ),
  );
}

/** A list of operators or operands: one per line, blank lines and lines that begin with # passed over. @throws UserError naming the line. */
export function parseList(text: string, where: string): string[] {
  const lineOf = new Map<string, number>();
  for (const [index, raw] of text.split("\n").entries()) {
    const entry = raw.trim();
    if (entry === "" || entry.startsWith("#")) continue;
    const place = `${where}, line ${index + 1}`;
    if (entry.length > MAX_WORDS)
      throw new UserError(`${place} has ${entry.length} characters; ${MAX_WORDS} are allowed.`);
    if (/\p{Cc}/u.test(entry)) throw new UserError(`${place} holds a control character; remove it.`);
    const before = lineOf.get(entry);
    if (before !== undefined) throw new UserError(`${place} repeats line ${before}; remove one of them.`);
    lineOf.set(entry, index + 1);
    if (lineOf.size > MAX_LIST) throw new UserError(`${where} has more than ${MAX_LIST} entries; shorten it.`);
  }
  if (lineOf.size < FEWEST)
    throw new UserError(
      `${where} has ${lineOf.size === 0 ? "no entry" : "one entry"}; give at least ${FEWEST}, one per line.`,
    );
  return [...lineOf.keys()];
}

/**
 * Unsafe pairs from JSONL: `{"operator": ..., "operand": ...}`, each a text or a list of texts; a line stands for all pairs of the two.
 * unsafe [operators][operands]. @throws UserError naming the line: an unknown word, a pair twice.
 */
export function parseUnsafePairs(
  text: string,
  where: string,
  { operators, operands }: { operators: readonly string[]; operands: readonly string[] },
): boolean[][] {
  const unsafe = operators.map(() => operands.map(() => false));
  for (const { place, fields } of jsonLines(text, where, MAX_PROMPTS)) {
    for (const name of fields.keys())
      if (name !== "operator" && name !== "operand")
        throw new UserError(`${place}: ${quoteName(name)} is not a key here; a pair has "operator" and "operand".`);
    const rows = indices(fields.get("operator"), operators, "operator", place);
    const columns = indices(fields.get("operand"), operands, "operand", place);
    for (const row of rows)
      for (const column of columns) {
        if (unsafe[row]![column]!)
          throw new UserError(
            `${place} names the pair of ${quoteName(operators[row]!)} and ${quoteName(operands[column]!)} a second time; remove it.`,
          );
        unsafe[row]![column] = true;
      }
  }
  return unsafe;
}

function indices(given: unknown, known: readonly string[], part: string, place: string): number[] {
  const names: unknown[] = Array.isArray(given) ? given : [given];
  if (names.length === 0) throw new UserError(`${place}: "${part}" is an empty list.`);
  return names.map((name) => {
    if (typeof name !== "string")
      throw new UserError(
        `${place} needs "${part}", a text or a list of texts${given === undefined ? "; add it" : ""}.`,
      );
    const index = known.indexOf(name.trim());
    if (index < 0)
      throw new UserError(
        `${place}: ${quoteName(name)} is not in the list of ${part}s; did you mean ${quoteName(closest(name.slice(0, 200), [...known]))}?`,
      );
    return index;
  });
}
