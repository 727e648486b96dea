import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { UserError } from "../errors.js";
import { loadWorld } from "../study/loadWorld.js";
import {
  branchEvidence,
  generateWorld,
  parseWorld,
  repeatedTextShare,
  type World,
  type WorldOptions,
  type WorldReport,
  worldReport,
} from "../world/index.js";
import { clean, formatCount, type Io } from "./io.js";
import { wholeNumber } from "./options.js";

interface GenerateOptions {
  readonly seed: number;
  readonly depth: number;
  readonly branching: number;
  readonly vocabulary: number;
  readonly overlap: number;
  readonly grammars: number;
  readonly branches: number;
  readonly operators: number;
  readonly name?: string;
  readonly out: string;
}

/** Adds `nullscope world check` and `nullscope world generate`. */
export function registerWorld(program: Command, io: Io): void {
  const world = program
    .command("world")
    .helpCommand(false)
    .description("Check a world file, or draw a new one from a seed.");
  world
    .command("check")
    .description("Check a world file: grammars, operators, safety rule; print what is in it.")
    .argument("<name|file>", "a shipped world (quick, smoke, paper) or a world file")
    .option(
      "--evidence <n>",
      "over n texts: how well an ideal reader could tell their branch, and how many of tests are in training",
      wholeNumber("--evidence", 1, 100_000),
    )
    .action(async (nameOrPath: string, { evidence }: { readonly evidence?: number }) => {
      const checked = await loadWorld(nameOrPath);
      io.out(reportText(worldReport(checked)));
      if (evidence !== undefined) io.out(evidenceText(checked, evidence));
    });
  world
    .command("generate")
    .description("Draw a world from a seed: the same options give the same file on every machine.")
    .requiredOption("--seed <n>", "the seed", wholeNumber("--seed", 0, Number.MAX_SAFE_INTEGER))
    .requiredOption("--out <file>", "the .json file to write; it must not exist yet")
    .option("--name <name>", "the world's name")
    .option("--depth <n>", "levels of non-terminals", wholeNumber("--depth", 4, 10), 6)
    .option("--branching <n>", "most rules per symbol and symbols per rule", wholeNumber("--branching", 2, 4), 3)
    .option("--vocabulary <n>", "terminals", wholeNumber("--vocabulary", 6, 200), 30)
    .option("--overlap <share>", "share of the terminals that all grammars use, 0 to 1", readShare, 0.6)
    .option("--grammars <n>", "grammars", wholeNumber("--grammars", 1, 16), 1)
    .option("--branches <n>", "branches of the safety rule", wholeNumber("--branches", 2, 6), 2)
    .option("--operators <n>", "task tokens, two twins among them", wholeNumber("--operators", 12, 64), 12)
    .action(async ({ out, ...options }: GenerateOptions) => {
      const file = generateOrExplain(options);
      const text = `${JSON.stringify(file, null, 2)}\n`;
      const report = worldReport(parseWorld(file, `the world of seed ${options.seed}`));
      await writeFile(out, text, { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
        throw new UserError(
          error.code === "EEXIST"
            ? `${out} exists already; choose another file with --out.`
            : `Cannot write ${out} (${error.code ?? error.message}); choose a file that can be written.`,
        );
      });
      io.out(`${clean(out)} is written.\n${reportText(report)}`);
    });
}

function readShare(text: string): number {
  const share = Number(text);
  if (!/^(0|1|0?\.[0-9]+|[01]\.[0-9]+)$/.test(text) || share > 1)
    throw new UserError(`--overlap must be a number from 0 to 1, not ${JSON.stringify(text)}.`);
  return share;
}

function generateOrExplain(options: WorldOptions) {
  try {
    return generateWorld(options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(`These options make no world: ${error.message}; raise --vocabulary or lower the others.`);
  }
}

/** Training samples against which texts are compared. */
const TRAINING_SAMPLES = 100_000;

/** The most that any model could know of the branch, and how many test texts training repeats with other tasks. */
function evidenceText(world: World, count: number): string {
  const { accuracy, sure } = branchEvidence(world, { seed: 0, count });
  const repeated = (stage: "pretrain" | "tuning") =>
    repeatedTextShare(world, "safe", { seed: 0, testCount: count, trainCount: TRAINING_SAMPLES, stage });
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
  return (
    `an ideal reader names the branch (${world.branches.map(clean).join(", ")}) rightly for ${percent(accuracy)} of ${formatCount(count)} texts of tuning, and is 99% sure in ${percent(sure)}\n` +
    `of ${formatCount(count)} texts of the set safe, ${percent(repeated("pretrain"))} occur, with other tasks, among ${formatCount(TRAINING_SAMPLES)} samples of pretraining, ` +
    `${percent(repeated("tuning"))} among as many of tuning\n`
  );
}

/** What is in a world, as plain text. */
function reportText(report: WorldReport): string {
  const lines = [
    `world ${report.name}: ${report.vocabularySize} tokens in the vocabulary, ${report.tokensPerRow} per row`,
    `sha256 ${report.hash}`,
    `branches: ${report.branches.join(", ")}`,
    `test sets: ${report.testSets.join(", ")}`,
  ];
  for (const grammar of report.grammars) {
    const unreachable = grammar.unreachable.length === 0 ? "none" : grammar.unreachable.join(", ");
    lines.push(
      `grammar ${grammar.name}: ${grammar.reachable} reachable symbols (unreachable: ${unreachable}), ${grammar.terminalsUsed} terminals`,
    );
    const widest = Math.max(...grammar.lengths.map(({ role }) => role.length));
    for (const { role, symbol, min, mean, max } of grammar.lengths)
      lines.push(
        `  ${role.padEnd(widest)} ${symbol.padEnd(6)} expands to ${min} .. ${max === Infinity ? "any number of" : max} terminals, ${mean.toFixed(1)} on average`,
      );
  }
  if (report.grammars.length > 1) {
    lines.push("terminals shared by two grammars (Jaccard index)");
    for (const [index, row] of report.overlap.entries())
      lines.push(`  ${report.grammars[index]!.name.padEnd(6)} ${row.map((value) => value.toFixed(2)).join("  ")}`);
  }
  return `${lines.map(clean).join("\n")}\n`;
}
