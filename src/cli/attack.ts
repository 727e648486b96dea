import { join } from "node:path";
import type { Command } from "commander";
import { UserError } from "../errors.js";
import { ATTACKS, type AttackName } from "../study/config.js";
import { openRun } from "../study/openRun.js";
import { resolveConfig } from "../study/resolveConfig.js";
import { largestStrength } from "../study/stages/attack.js";
import type { World } from "../world/index.js";
import { known, openFinishedRun, runRequest } from "./finishedRun.js";
import { clean, type Io } from "./io.js";
import { type EngineOptions, gather, threadsOption, wholeNumber, workersOption } from "./options.js";

interface AttackOptions extends EngineOptions {
  readonly checkpoint: string;
  readonly attack: string;
  readonly strength?: string;
  readonly samples?: number;
  readonly set?: readonly string[];
  readonly runs: string;
  readonly json?: true;
}

/** Adds `nullscope attack`. */
export function registerAttack(program: Command, io: Io): void {
  program
    .command("attack")
    .description("Attack a checkpoint of a finished run, and add what comes of it to the run's results and report.")
    .argument("<run>", "a run's name, or its folder")
    .requiredOption("--checkpoint <name>", "the checkpoint, as in instruct or ssft-medium; on every seed of the run")
    .requiredOption("--attack <name>", `one of ${ATTACKS.join(", ")}`)
    .option("--strength <n,...>", "soft tokens, letters that may change, or forced tokens; default: the run's own")
    .option("--samples <n>", "how many of the unsafe test samples", wholeNumber("--samples", 1, 1_000_000))
    .option("--set <key=value>", "change a setting of the attack, as in learningRate=3; may be repeated", gather)
    .option("--runs <dir>", "folder of the runs", "runs")
    .addOption(threadsOption)
    .addOption(workersOption)
    .option("--json", "print events for machines, one JSON object a line")
    .addHelpText(
      "after",
      `
Examples:
  nullscope attack quick --checkpoint ssft-small --attack soft-prompt
  nullscope attack quick --checkpoint ssft-medium --attack gcg --strength 1,2,4,8 --set budget=512
  nullscope attack quick --checkpoint instruct --attack prefix --samples 200`,
    )
    .action(async (run: string, options: AttackOptions) => attack(run, options, io));
}

async function attack(run: string, options: AttackOptions, io: Io): Promise<void> {
  const finished = await openFinishedRun(run, options);
  const { folder, world, models } = finished;
  const name = known("attack", options.attack, ATTACKS);
  const strengths = options.strength === undefined ? undefined : strengthList(options.strength);
  // The run's own stages are those of its configuration as it stands, whatever this attack changes.
  const changed = await resolveConfig({
    source: join(folder, "config.yaml"),
    set: [
      ...(options.set ?? []).map((change) => `attacks.${name}.${change}`),
      ...(strengths === undefined ? [] : [`attacks.${name}.strengths=[${strengths.join(", ")}]`]),
      ...(options.samples === undefined ? [] : [`attacks.${name}.samples=${options.samples}`]),
    ],
  });
  if (strengths !== undefined) checkStrengths(name, strengths, world);
  const checkpoint = known("checkpoint", options.checkpoint, [...new Set(models.map((model) => model.checkpoint))]);
  const request = { attack: name, checkpoint, settings: changed.attacks[name] };
  await runRequest(run, finished, { request, needs: [checkpoint] }, io, {
    json: options.json === true,
    workers: options.workers,
    answer: () => printAttack(folder, name, checkpoint, io),
  });
}

function strengthList(text: string): number[] {
  const strengths = text.split(",").map((part) => wholeNumber("--strength", 1, 1000)(part.trim()));
  if (new Set(strengths).size < strengths.length)
    throw new UserError(`--strength ${text} names a strength twice; name each once.`);
  return strengths;
}

function checkStrengths(name: AttackName, strengths: readonly number[], world: World): void {
  const most = largestStrength(name, world);
  const tooMuch = strengths.find((strength) => strength > most);
  if (tooMuch === undefined) return;
  throw new UserError(
    `--strength ${tooMuch} is too much for ${name}: this world's texts have ${world.minText} to ${world.maxText} letters, so it is at most ${most}.`,
  );
}

/** Success and refusal at each strength. */
async function printAttack(runFolder: string, set: string, checkpoint: string, io: Io): Promise<void> {
  const rows = await (await openRun(runFolder)).results("attacks").where({ set, checkpoint, branch: undefined });
  const share = (value: number) => value.toFixed(3);
  for (const row of rows.filter(({ metric }) => metric === "success")) {
    const refused = rows.find(
      ({ metric, index, seed }) => metric === "null" && index === row.index && seed === row.seed,
    );
    io.out(
      `${clean(set)} on ${clean(checkpoint)} seed ${row.seed}, strength ${row.index}: success ${share(row.value)} [${share(row.low!)}, ${share(row.high!)}], refusal ${share(refused!.value)}, n ${row.n}\n`,
    );
  }
}
