import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { closest } from "fastest-levenshtein";
import { type CrossedReport, crossedDesign, parseList, parseUnsafePairs } from "../audit/prompts/crossedDesign.js";
import {
  AFFIRMATIVE_PREFIX,
  HARMLESS_TASKS,
  jailbreakVariant,
  readTranslations,
  VARIANTS,
  type Variant,
} from "../audit/prompts/jailbreaks.js";
import { formatPrompts, type PromptSet, promptSet, readPromptSet } from "../audit/prompts/promptSet.js";
import { checkTemplate, PLAIN_TEMPLATE } from "../audit/prompts/template.js";
import { tokenizePrompts } from "../audit/prompts/tokenizePrompts.js";
import { openChatTemplate } from "../checkpoint/chatTemplate.js";
import { readForeignText } from "../checkpoint/foreignText.js";
import { openTokenizer } from "../checkpoint/tokenizer.js";
import { UserError } from "../errors.js";
import { clean, formatCount, type Io } from "./io.js";
import { gather, wholeNumber } from "./options.js";

const MAX_BYTES = 64_000_000;

interface CrossOptions {
  readonly operators: string;
  readonly operands: string;
  readonly unsafePairs: string;
  readonly template?: readonly string[];
  readonly tokenizer?: string;
  readonly lengthTolerance: number;
  readonly seed: number;
  readonly out: string;
}

interface JailbreakOptions {
  readonly variant?: readonly string[];
  readonly label: string;
  readonly tasks?: string;
  readonly prefix: string;
  readonly translations?: string;
  readonly seed: number;
  readonly only?: boolean;
  readonly out: string;
}

/** Adds `nullscope prompts check`, `cross` and `jailbreak`. */
export function registerPrompts(program: Command, io: Io): void {
  const prompts = program
    .command("prompts")
    .helpCommand(false)
    .description("Make and check prompt sets for the audit of real models.");
  prompts
    .command("check")
    .description("Check a prompt file; with a tokenizer, also that every prompt survives its tokens.")
    .argument("<file>", "prompts as JSONL: operator, operand, label, text?, set?, prefix?")
    .option("--tokenizer <folder>", "a Hugging Face folder: tokenizer.json, tokenizer_config.json")
    .option("--system <text>", "a system turn before every prompt")
    .option("--no-chat", "the text itself, without the folder's chat template")
    .action(
      async (
        file: string,
        options: { readonly tokenizer?: string; readonly system?: string; readonly chat: boolean },
      ) => {
        const set = await readPromptSet(file);
        io.out(summary(set));
        if (options.tokenizer !== undefined)
          io.out(await tokenLengths(set, { ...options, tokenizer: options.tokenizer }));
        for (const note of set.notes) io.out(`note: ${clean(note)}\n`);
      },
    );
  prompts
    .command("cross")
    .description("Every operator with every operand, so that neither alone decides: a prompt file for an audit.")
    .requiredOption("--operators <file>", "tasks, one per line")
    .requiredOption("--operands <file>", "concepts, one per line")
    .requiredOption("--unsafe-pairs <file>", "JSONL: operator and operand, each a text or a list of texts")
    .option("--template <text>", `how a prompt is written; may be given again (default: "${PLAIN_TEMPLATE}")`, gather)
    .option("--tokenizer <folder>", "match lengths in tokens of this Hugging Face folder, not in characters")
    .option(
      "--length-tolerance <share>",
      "how much better than chance length alone may tell the label",
      readTolerance,
      0.05,
    )
    .option(
      "--seed <n>",
      "decides which pairs go where several could",
      wholeNumber("--seed", 0, Number.MAX_SAFE_INTEGER),
      0,
    )
    .requiredOption("--out <file>", "the .jsonl file to write; it must not exist yet")
    .addHelpText(
      "after",
      `
Example:
  nullscope prompts cross --operators examples/house-rules/operators.txt --operands examples/house-rules/operands.txt \\
    --unsafe-pairs examples/house-rules/unsafe-pairs.jsonl --template "{operator} {operand}." --out house-rules.jsonl`,
    )
    .action(async (options: CrossOptions) => void (await cross(options, io)));
  prompts
    .command("jailbreak")
    .description("Add disguised prompts to a prompt file, each variant a set of its own.")
    .argument("<file>", "prompts as JSONL")
    .option("--variant <name>", `${VARIANTS.join(", ")}; may be given again`, gather)
    .option("--label <label>", "disguise the prompts of this label; safe ones make sets named VARIANT-safe", "unsafe")
    .option("--tasks <file>", "harmless second instructions for competing-task, one per line")
    .option("--prefix <text>", "forced beginning of the answer for prefix", AFFIRMATIVE_PREFIX)
    .option("--translations <file>", 'JSONL with "text" and "translation", for language')
    .option(
      "--seed <n>",
      "decides which second task or concept goes where",
      wholeNumber("--seed", 0, Number.MAX_SAFE_INTEGER),
      0,
    )
    .option("--only", "write the variants without the prompts they were made of")
    .requiredOption("--out <file>", "the .jsonl file to write; it must not exist yet")
    .action(async (file: string, options: JailbreakOptions) => void (await jailbreak(file, options, io)));
}

function readTolerance(text: string): number {
  const share = Number(text);
  if (!/^(0|0?\.[0-9]+)$/.test(text) || share > 0.5)
    throw new UserError(`--length-tolerance must be a number from 0 to 0.5, not ${JSON.stringify(text)}.`);
  return share;
}

async function cross(options: CrossOptions, io: Io): Promise<void> {
  const operators = parseList(await readForeignText(options.operators, MAX_BYTES), options.operators);
  const operands = parseList(await readForeignText(options.operands, MAX_BYTES), options.operands);
  const pairs = await readForeignText(options.unsafePairs, MAX_BYTES);
  const unsafe = parseUnsafePairs(pairs, options.unsafePairs, { operators, operands });
  const templates = [...new Set((options.template ?? [PLAIN_TEMPLATE]).map(checkTemplate))];
  const tokenizer = options.tokenizer === undefined ? undefined : await openTokenizer(options.tokenizer);
  try {
    const lengthsOf = async (texts: readonly string[]) => {
      if (tokenizer === undefined) return texts.map((text) => [...text].length);
      const lengths: number[] = [];
      for (const text of texts) lengths.push((await tokenizer.encode(text)).length);
      return lengths;
    };
    const { lengthTolerance, seed } = options;
    const design = await crossedDesign(
      { operators, operands, unsafe },
      { templates, lengthsOf, lengthTolerance, seed },
    );
    const set = promptSet(design.prompts, "the design");
    await writeNew(options.out, formatPrompts(set.prompts));
    const unit = tokenizer === undefined ? "characters" : "tokens";
    io.out(`${clean(options.out)} is written.\n${summary(set)}${reportText(design.report, unit)}`);
  } finally {
    await tokenizer?.close();
  }
}

/** A table of what one part alone tells of the label, then what was dropped. */
function reportText({ given, kept, pairs, dropped, absent }: CrossedReport, unit: string): string {
  const share = (value: number) => value.toFixed(2).padStart(8);
  const rows: [string, number, number][] = [
    ["operator alone", given.operator, kept.operator],
    ["operand alone", given.operand, kept.operand],
    [`length alone (${unit})`, given.length, kept.length],
    ["chance", given.chance, kept.chance],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    `${"".padEnd(width)}     all  kept   how often the label is guessed right`,
    ...rows.map(([name, before, after]) => `${name.padEnd(width)}${share(before)}${after.toFixed(2).padStart(6)}`),
    `${formatCount(pairs.kept)} of ${formatCount(pairs.given)} pairs kept; dropped: ${formatCount(dropped.balance)} so that every operator and operand is unsafe as often as safe, ${formatCount(dropped.lengths)} to match lengths`,
    ...absent.map((sentence) => `left out: ${clean(sentence)}`),
    "",
  ].join("\n");
}

async function jailbreak(file: string, options: JailbreakOptions, io: Io): Promise<void> {
  const { label, seed, prefix } = options;
  if (label !== "safe" && label !== "unsafe")
    throw new UserError(`--label must be safe or unsafe, not ${JSON.stringify(label)}.`);
  const variants = (options.variant ?? []).map(checkVariant);
  if (variants.length === 0) throw new UserError(`Name what to make with --variant: ${VARIANTS.join(", ")}.`);
  if (variants.includes("language") && options.translations === undefined)
    throw new UserError(`The variant language needs --translations, a JSONL file with "text" and "translation".`);
  if (prefix.trim() === "") throw new UserError("--prefix is empty; give the words that the answer is to begin with.");
  const { prompts } = await readPromptSet(file);
  const tasks =
    options.tasks === undefined
      ? HARMLESS_TASKS
      : parseList(await readForeignText(options.tasks, MAX_BYTES), options.tasks);
  const translations =
    options.translations === undefined ? new Map<string, string>() : await readTranslations(options.translations);
  const made = [...new Set(variants)].flatMap((variant) =>
    jailbreakVariant(variant, prompts, { seed, label, tasks, prefix, translations }),
  );
  // Checked together with their originals, which a set must not contradict.
  const whole = promptSet([...prompts, ...made], file);
  await writeNew(options.out, formatPrompts(options.only ? made : whole.prompts));
  io.out(`${clean(options.out)} is written.\n${options.only ? countsText(made) : summary(whole)}`);
}

function checkVariant(name: string): Variant {
  const found = VARIANTS.find((known) => known === name);
  if (found === undefined)
    throw new UserError(
      `There is no variant ${JSON.stringify(name)}; did you mean ${JSON.stringify(closest(name, [...VARIANTS]))}? Variants: ${VARIANTS.join(", ")}.`,
    );
  return found;
}

function summary(set: PromptSet): string {
  return `${countsText(set.prompts)}identity ${set.identity}\n`;
}

function countsText(prompts: PromptSet["prompts"]): string {
  const counts = new Map<string, number>();
  for (const { set } of prompts) counts.set(set, (counts.get(set) ?? 0) + 1);
  const sets = [...counts].map(([set, count]) => `${formatCount(count)} ${set}`).join(", ");
  return `${formatCount(prompts.length)} prompts: ${sets}\n`;
}

async function tokenLengths(
  set: PromptSet,
  options: { readonly tokenizer: string; readonly system?: string; readonly chat: boolean },
): Promise<string> {
  const tokenizer = await openTokenizer(options.tokenizer);
  const chat = options.chat ? await openChatTemplate(options.tokenizer) : undefined;
  try {
    const tokenized = await tokenizePrompts(set.prompts, { tokenizer, chat, system: options.system });
    const how = chat === undefined ? "as plain text" : "in the folder's chat template";
    const rows = set.sets.map((name) => {
      const lengths = tokenized.filter(({ prompt }) => prompt.set === name).map(({ ids }) => ids.length);
      const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
      return `  ${name}: ${Math.min(...lengths)} to ${Math.max(...lengths)} tokens, ${mean.toFixed(1)} on average\n`;
    });
    return `tokens ${how}, every prompt decoded back to itself:\n${rows.join("")}`;
  } finally {
    await Promise.all([tokenizer.close(), chat?.close()]);
  }
}

async function writeNew(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      error.code === "EEXIST"
        ? `${path} exists already; choose another file with --out.`
        : `Cannot write ${path} (${error.code ?? error.message}); choose a file that can be written.`,
    );
  });
}
