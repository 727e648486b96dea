import { createHash } from "node:crypto";
import { closest } from "fastest-levenshtein";
import { readForeignText } from "../../checkpoint/foreignText.js";
import { quoteName } from "../../checkpoint/strictJson.js";
import { UserError } from "../../errors.js";
import { LABELS, type Label, labelBalance } from "./balance.js";
import { escapedJson, type JsonLine, jsonLines } from "./jsonLines.js";
import { fillTemplate, PLAIN_TEMPLATE } from "./template.js";

/** A prompt: a task (operator) applied to a concept (operand). */
export interface Prompt {
  readonly operator: string;
  readonly operand: string;
  /** What the policy under test says of it. */
  readonly label: Label;
  /** Results are told apart by it: the label, or the name of a jailbreak variant. */
  readonly set: string;
  /** What the model is asked. */
  readonly text: string;
  /** How its answer is forced to begin. */
  readonly prefix?: string;
  /** Where it stands, for messages: "prompts.jsonl, line 7". */
  readonly place: string;
}

export interface PromptSet {
  readonly prompts: readonly Prompt[];
  /** In order of appearance. */
  readonly sets: readonly string[];
  /** SHA-256 of the prompts (not of the file's spaces): the same prompts are the same set. */
  readonly identity: string;
  /** What is doubtful but allowed, as sentences. */
  readonly notes: readonly string[];
}

const FIELDS = ["operator", "operand", "label", "text", "set", "prefix"] as const;
const MAX_BYTES = 64_000_000;
export const MAX_PROMPTS = 100_000;
const MAX_WORDS = 2000;
const MAX_TEXT = 20_000;
const SET_NAME = /^[a-z0-9][a-z0-9-]{0,39}$/;
/** Fewer of a label make no class mean worth the name. */
const FEWEST = 2;

/** Reads a prompt file (JSONL). @throws UserError naming the line. */
export async function readPromptSet(path: string): Promise<PromptSet> {
  return parsePromptSet(await readForeignText(path, MAX_BYTES), path);
}

/**
 * Prompts from JSONL: `operator`, `operand`, `label` ("safe" or "unsafe"); optional `text` (default: operator and operand with a space between),
 * `set` (default: the label) and `prefix` (the forced beginning of the answer).
 * @throws UserError naming the line: a key that is missing, unknown or of another type; a text twice; a text with two labels; a set with two labels; a label with too few prompts.
 */
export function parsePromptSet(text: string, where: string): PromptSet {
  const prompts = jsonLines(text, where, MAX_PROMPTS).map(readPrompt);
  return promptSet(prompts, where);
}

/** Checks prompts as a whole. @throws UserError */
export function promptSet(prompts: readonly Prompt[], where: string): PromptSet {
  const seen = new Map<string, Prompt>();
  const labelOf = new Map<string, Prompt>();
  const setLabel = new Map<string, Prompt>();
  for (const prompt of prompts) {
    const { set, text, prefix = "", label, place } = prompt;
    const whole = JSON.stringify([set, text, prefix]);
    const before = seen.get(whole);
    if (before !== undefined)
      throw new UserError(`${place} repeats the prompt of ${before.place} in the set ${set}; remove one of them.`);
    seen.set(whole, prompt);
    const other = labelOf.get(text);
    if (other !== undefined && other.label !== label)
      throw new UserError(
        `${place} calls ${label} the text that ${other.place} calls ${other.label}; a text has one label.`,
      );
    labelOf.set(text, prompt);
    const first = setLabel.get(set);
    if (first !== undefined && first.label !== label)
      throw new UserError(
        `${place} puts a prompt labelled ${label} into the set ${set}, whose first prompt (${first.place}) is ${first.label}; a set has one label.`,
      );
    if (first === undefined) setLabel.set(set, prompt);
  }
  for (const label of LABELS) {
    const wrong = setLabel.get(label);
    if (wrong !== undefined && wrong.label !== label)
      throw new UserError(
        `${wrong.place} puts a prompt labelled ${wrong.label} into the set ${label}; name another set.`,
      );
    const count = prompts.filter((prompt) => prompt.set === label).length;
    if (count < FEWEST)
      throw new UserError(
        `${where} has ${count === 0 ? "no prompt" : "one prompt"} in the set ${label}; safe and unsafe prompts are compared, give at least ${FEWEST} of each.`,
      );
  }
  const identity = createHash("sha256").update(formatPrompts(prompts)).digest("hex");
  return { prompts, sets: [...setLabel.keys()], identity, notes: doubts(prompts) };
}

/** Prompts as JSONL, escaped; every line has a `text` of its own. */
export function formatPrompts(prompts: readonly Prompt[]): string {
  return prompts
    .map(({ operator, operand, label, set, text, prefix }) => {
      const line = { operator, operand, label, set, text, ...(prefix === undefined ? {} : { prefix }) };
      return `${escapedJson(line)}\n`;
    })
    .join("");
}

function readPrompt({ place, fields }: JsonLine): Prompt {
  for (const key of fields.keys())
    if (!(FIELDS as readonly string[]).includes(key))
      throw new UserError(
        `${place}: ${quoteName(key)} is not a key here; did you mean ${JSON.stringify(closest(key.slice(0, 80), [...FIELDS]))}?`,
      );
  const operator = textField(fields, "operator", place, MAX_WORDS);
  const operand = textField(fields, "operand", place, MAX_WORDS);
  const label = fields.get("label");
  if (label !== "safe" && label !== "unsafe")
    throw new UserError(
      `${place}: "label" must be "safe" or "unsafe", not ${quoteName(typeof label === "string" ? label : String(label ?? "absent"))}.`,
    );
  const text = fields.has("text")
    ? textField(fields, "text", place, MAX_TEXT)
    : fillTemplate(PLAIN_TEMPLATE, operator, operand);
  const set = fields.has("set") ? textField(fields, "set", place, 40) : label;
  if (!SET_NAME.test(set))
    throw new UserError(
      `${place}: the set ${quoteName(set)} must be of small letters, digits and "-", at most 40, and begin with a letter or digit.`,
    );
  if (!fields.has("prefix")) return { operator, operand, label, set, text, place };
  return { operator, operand, label, set, text, prefix: textField(fields, "prefix", place, MAX_WORDS), place };
}

function textField(fields: JsonLine["fields"], name: (typeof FIELDS)[number], place: string, most: number): string {
  const value = fields.get(name);
  if (value === undefined) throw new UserError(`${place} has no ${JSON.stringify(name)}; add it.`);
  if (typeof value !== "string") throw new UserError(`${place}: ${JSON.stringify(name)} must be a text in quotes.`);
  if (value.trim() === "") throw new UserError(`${place}: ${JSON.stringify(name)} is empty.`);
  if (value.length > most)
    throw new UserError(`${place}: ${JSON.stringify(name)} has ${value.length} characters; ${most} are allowed.`);
  const control = /[^\P{Cc}\n\t]/u.exec(value);
  if (control !== null)
    throw new UserError(
      `${place}: ${JSON.stringify(name)} holds the control character U+${control[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}; remove it.`,
    );
  return value;
}

/** Above chance by more than this, a part of the prompt gives its label away. */
const GIVEN_AWAY = 0.1;

function doubts(prompts: readonly Prompt[]): string[] {
  const plain = prompts.filter(({ set, label }) => set === label);
  const { safe, unsafe, chance, operator, operand } = labelBalance(plain);
  const notes: string[] = [];
  if (Math.max(safe, unsafe) > 1.5 * Math.min(safe, unsafe))
    notes.push(`The labels are unbalanced: ${safe} safe and ${unsafe} unsafe prompts.`);
  for (const [part, accuracy] of [
    ["operator", operator],
    ["operand", operand],
  ] as const)
    if (accuracy > chance + GIVEN_AWAY)
      notes.push(
        `The ${part} alone tells the label in ${(100 * accuracy).toFixed(0)}% of the prompts (chance ${(100 * chance).toFixed(0)}%), so a difference between safe and unsafe may be one of ${part}s.`,
      );
  return notes;
}
