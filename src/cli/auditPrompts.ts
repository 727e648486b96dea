import type { Command } from "commander";
import { chooseJudges } from "../audit/judges/choose.js";
import type { AuditPair } from "../audit/pair.js";
import type { AuditPlan } from "../audit/part.js";
import { openPrompts, type PromptInput } from "../audit/promptInput.js";
import { endTokenIds } from "../checkpoint/endTokens.js";
import { UserError } from "../errors.js";
import { gather, wholeNumber } from "./options.js";

/** Options of `nullscope audit` that have to do with prompts. */
export interface PromptFlags {
  readonly prompts?: string;
  readonly tokenizer?: string;
  readonly system?: string;
  readonly chat: boolean;
  readonly alphas: readonly number[];
  readonly sensitivity: boolean;
  readonly firstGenerated: boolean;
  readonly tokens: number;
  readonly rules?: string;
  readonly judge?: readonly string[];
}

export function addPromptOptions(command: Command): Command {
  return command
    .option("--prompts <file>", "prompts as JSONL (nullscope prompts makes and checks them)")
    .option("--tokenizer <dir>", "folder of tokenizer.json and the chat template; the tuned model's by default")
    .option("--system <text>", "a system turn before every prompt")
    .option("--no-chat", "the prompts' text itself, without the chat template")
    .option(
      "--alphas <list>",
      "points of the path W + alpha dW whose activations are measured; none for none",
      parseAlphas,
      [0, 0.5, 1, 1.5],
    )
    .option("--no-sensitivity", "no gradients through the blocks, which are three quarters of the time of activations")
    .option("--no-first-generated", "activations at the last prompt token alone")
    .option("--tokens <n>", "most tokens of an answer", wholeNumber("--tokens", 1, 1024), 32)
    .option("--rules <file>", "rules of the judge of that name, YAML; those that come with the package by default")
    .option("--judge <name=command>", "a judge of your own: reads and writes JSONL; may be given again", gather);
}

/** The prompts of an audit where it has some, ready for its plan; close them. @throws UserError */
export async function promptsOf(
  { base, tuned }: AuditPair,
  flags: PromptFlags,
): Promise<(Required<Pick<AuditPlan, "activations" | "behaviour">> & { readonly prompts: PromptInput }) | undefined> {
  if (flags.prompts === undefined) {
    if (flags.rules !== undefined || flags.judge !== undefined || flags.system !== undefined)
      throw new UserError("--rules, --judge and --system have to do with prompts; give a file with --prompts.");
    return undefined;
  }
  const judges = await chooseJudges({ rules: flags.rules, commands: flags.judge });
  const { dir, config } = tuned.checkpoint;
  const vocabulary = Math.min(base.checkpoint.config.vocabulary, config.vocabulary);
  const endIds = await endTokenIds(dir, config.vocabulary);
  const { tokenizer = dir, chat, system, tokens } = flags;
  const prompts = await openPrompts({ file: flags.prompts, tokenizer, chat, system, vocabulary });
  const { alphas, sensitivity, firstGenerated } = flags;
  return { prompts, activations: { alphas, sensitivity, firstGenerated }, behaviour: { judges, tokens, endIds } };
}

/** "0,0.5,1" as numbers, each once, ascending; "none" as none. @throws UserError for what is none from -10 to 10. */
export function parseAlphas(text: string): number[] {
  if (text.trim() === "none") return [];
  const alphas = text.split(",").map((part) => {
    const alpha = Number(part);
    if (!/^\s*-?[0-9]+(\.[0-9]+)?\s*$/.test(part) || Math.abs(alpha) > 10)
      throw new UserError(
        `--alphas ${text}: ${JSON.stringify(part)} is no number from -10 to 10, as in --alphas 0,0.5,1; "none" for no path.`,
      );
    return alpha;
  });
  return [...new Set(alphas)].sort((a, b) => a - b);
}
