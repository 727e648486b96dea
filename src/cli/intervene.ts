import type { Command } from "commander";
import { BLOCK_MATRICES, type BlockMatrix, type Intervention, interventionName } from "../analysis/index.js";
import { UserError } from "../errors.js";
import { openRun } from "../study/openRun.js";
import type { ResultRow } from "../study/results.js";
import { rankInterventions } from "../study/stages/interventions.js";
import { INSTRUCT } from "../study/stages/pretrain.js";
import { type FinishedRun, known, openFinishedRun, runRequest } from "./finishedRun.js";
import type { Io } from "./io.js";
import { type EngineOptions, threadsOption, wholeNumber, workersOption } from "./options.js";
import { formatTable } from "./results.js";

interface InterveneOptions extends EngineOptions {
  readonly from: string;
  readonly delta?: string;
  readonly to?: string;
  readonly alpha?: string;
  readonly rank?: string;
  readonly directions: string;
  readonly draws?: number;
  readonly matrices?: string;
  readonly samples?: number;
  readonly runs: string;
  readonly json?: true;
}

/** Adds `nullscope intervene`. */
export function registerIntervene(program: Command, io: Io): void {
  program
    .command("intervene")
    .description(
      "Change a checkpoint's weights, and see what comes of it: W_from + alpha dW of a tuning (--delta; a path from instruct, a transfer from another " +
        "tuned model), only some of its singular directions (--rank), or the line to another model (--to).",
    )
    .argument("<run>", "a run's name, or its folder")
    .option("--from <name>", "the checkpoint that is changed", INSTRUCT)
    .option("--delta <name>", "the tuning whose dW is added")
    .option("--to <name>", "the other end of a line, in place of --delta")
    .option("--alpha <a,...>", "how much of dW, or how far along the line; default 1, of a line 0.5")
    .option("--rank <k,...>", "keep this many singular directions of every matrix's dW")
    .option("--directions <which>", "with --rank: top, or random", "top")
    .option("--draws <n>", "how many random choices; default: the run's own", wholeNumber("--draws", 1, 1000))
    .option("--matrices <name,...>", `change only these of every block: ${BLOCK_MATRICES.join(", ")}; default all`)
    .option("--samples <n>", "test samples of each set; default: the run's own", wholeNumber("--samples", 8, 1_000_000))
    .option("--runs <dir>", "folder of the runs", "runs")
    .addOption(threadsOption)
    .addOption(workersOption)
    .option("--json", "print events for machines, one JSON object a line")
    .addHelpText(
      "after",
      `
Examples:
  nullscope intervene quick --from instruct --delta ssft-medium --alpha 1.3
  nullscope intervene quick --delta ssft-medium --rank 1,2,4 --directions random
  nullscope intervene quick --delta dpo-medium --alpha 0.5,1 --matrices mlp.fc,mlp.proj
  nullscope intervene quick --from ssft-medium --delta unlearning-medium --alpha 1
  nullscope intervene quick --from ssft-medium --to dpo-medium --alpha 0.25,0.5,0.75`,
    )
    .action(async (run: string, options: InterveneOptions) => intervene(run, options, io));
}

async function intervene(run: string, options: InterveneOptions, io: Io): Promise<void> {
  const finished = await openFinishedRun(run, options);
  const interventions = interventionsOf(options, finished);
  const [first] = interventions as [Intervention, ...Intervention[]];
  const request = { interventions, samples: options.samples ?? finished.config.interventions.samples };
  const needs = [INSTRUCT, first.from, first.kind === "line" ? first.to : first.delta];
  await runRequest(run, finished, { request, needs }, io, {
    json: options.json === true,
    workers: options.workers,
    answer: () => printRows(finished.folder, interventions, io),
  });
}

/** What the options ask for, as data. The kind follows from the words: `to` makes a line, `rank` a rank, and `from` a path or a transfer. */
function interventionsOf(options: InterveneOptions, { config, world, models }: FinishedRun): Intervention[] {
  const names = [...new Set(models.map((model) => model.checkpoint))];
  const tuned = names.filter((name) => name !== INSTRUCT);
  const from = known("checkpoint", options.from, names);
  const matrices = matricesOf(options.matrices);
  if ((options.delta === undefined) === (options.to === undefined))
    throw new UserError(
      "Give either --delta, the tuning whose dW is added, or --to, the other end of a line; for example --delta ssft-medium.",
    );
  if (options.to !== undefined) {
    if (options.rank !== undefined) throw new UserError("--rank is about one dW; give --delta in place of --to.");
    const to = known("checkpoint", options.to, names);
    return numbers("--alpha", options.alpha ?? "0.5").map((alpha) => ({ kind: "line", from, to, matrices, alpha }));
  }
  const delta = known("tuning", options.delta!, tuned);
  const alphas = numbers("--alpha", options.alpha ?? "1");
  if (options.rank !== undefined) {
    const ranks = numbers("--rank", options.rank, wholeNumber("--rank", 1, 65_536));
    const directions = known("choice of directions", options.directions, ["top", "random"]);
    const draws = options.draws ?? config.interventions.rank.draws;
    const all = alphas.flatMap((alpha) =>
      rankInterventions(config, world, { from, delta, matrices, alpha, ranks, draws, directions }),
    );
    if (all.length === 0)
      throw new UserError(`--rank ${options.rank} is more directions than the matrices of this model have; give less.`);
    return all;
  }
  const kind = from === INSTRUCT ? "path" : "transfer";
  return alphas.map((alpha) => ({ kind, from, delta, matrices, alpha }));
}

function matricesOf(text: string | undefined): "all" | BlockMatrix[] {
  if (text === undefined || text === "all") return "all";
  const names = text.split(",").map((name) => known("matrix", name.trim(), BLOCK_MATRICES));
  if (new Set(names).size < names.length)
    throw new UserError(`--matrices ${text} names a matrix twice; name each once.`);
  return names;
}

function numbers(option: string, text: string, parse: (part: string) => number = alphaOf): number[] {
  const values = text.split(",").map((part) => parse(part.trim()));
  if (new Set(values).size < values.length)
    throw new UserError(`${option} ${text} has a number twice; give each once.`);
  return values;
}

function alphaOf(text: string): number {
  const value = Number(text);
  if (text === "" || !(Math.abs(value) <= 100))
    throw new UserError(`--alpha must be a number from -100 to 100, not ${JSON.stringify(text)}.`);
  return value;
}

/** The rows that the interventions led to. */
async function printRows(runFolder: string, interventions: readonly Intervention[], io: Io): Promise<void> {
  const rows = await (await openRun(runFolder)).results("interventions").rows();
  const wanted = (row: ResultRow) => interventions.some((intervention) => isRowOf(row, intervention));
  io.out(formatTable(rows.filter(wanted)));
}

/** Whether a row came of an intervention; alpha* of a path comes of all its alphas. */
function isRowOf(row: ResultRow, intervention: Intervention): boolean {
  const { kind, matrices, alpha } = intervention;
  if (row.checkpoint !== interventionName(intervention)) return false;
  if (row.matrix !== (matrices === "all" ? undefined : matrices.join("+"))) return false;
  if (kind === "rank") return row.index === intervention.rank && (row.alpha ?? 1) === alpha;
  return row.alpha === alpha;
}
