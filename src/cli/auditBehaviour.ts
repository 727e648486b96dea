import type { Command } from "commander";
import { chooseJudges } from "../audit/judges/choose.js";
import type { AuditPair } from "../audit/pair.js";
import type { BehaviourAsked } from "../audit/part.js";
import { endTokenIds } from "../checkpoint/endTokens.js";
import { UserError } from "../errors.js";
import { gather, wholeNumber } from "./options.js";

/** Options of `nullscope audit` about answers and their judges. */
export interface BehaviourFlags {
  readonly prompts?: string;
  readonly behaviour?: true;
  readonly tokens: number;
  readonly rules?: string;
  readonly judge?: readonly string[];
}

export function addBehaviourOptions(command: Command): Command {
  return command
    .option(
      "--behaviour",
      "generate answers to the prompts with both models and judge whether they refuse (with --activations: both)",
    )
    .option("--tokens <n>", "most tokens of an answer", wholeNumber("--tokens", 1, 1024), 32)
    .option("--rules <file>", "rules of the judge of that name, YAML; those that come with the package by default")
    .option("--judge <name=command>", "a judge of your own: reads and writes JSONL; may be given again", gather);
}

/** How answers are made and judged, where that is asked for. @throws UserError */
export async function behaviourOf({ tuned }: AuditPair, flags: BehaviourFlags): Promise<BehaviourAsked | undefined> {
  if (!flags.behaviour) {
    if (flags.rules !== undefined || flags.judge !== undefined)
      throw new UserError("--rules and --judge have to do with --behaviour; add it.");
    return undefined;
  }
  if (flags.prompts === undefined)
    throw new UserError("--behaviour is measured on prompts; give a file with --prompts.");
  const { dir, config } = tuned.checkpoint;
  return {
    judges: await chooseJudges({ rules: flags.rules, commands: flags.judge }),
    tokens: flags.tokens,
    endIds: await endTokenIds(dir, config.vocabulary),
  };
}
