import { UserError } from "../../errors.js";
import { commandJudge } from "./command.js";
import type { Judge } from "./judge.js";
import { prefixJudge } from "./prefixes.js";
import { readRules, ruleJudge } from "./rules.js";

/**
 * The judges of an audit: `prefixes`, `rules` (of a file, or those that come with the package), and commands written as NAME=COMMAND.
 * @throws UserError
 */
export async function chooseJudges({
  rules,
  commands = [],
}: {
  readonly rules?: string | undefined;
  readonly commands?: readonly string[] | undefined;
}): Promise<Judge[]> {
  const own = commands.map((given) => {
    const [, name, command] = /^([^=]*)=(.*)$/s.exec(given) ?? [];
    if (name === undefined || command === undefined || command.trim() === "")
      throw new UserError(
        `A judge is given as NAME=COMMAND, not ${JSON.stringify(given)}; for example mine="python judge.py".`,
      );
    return commandJudge(name, command);
  });
  return [prefixJudge(), ruleJudge(rules === undefined ? undefined : await readRules(rules)), ...own];
}
