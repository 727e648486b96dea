import { styleText } from "node:util";
import type { Command } from "commander";
import { closest } from "fastest-levenshtein";
import { UserError } from "../errors.js";
import { exportSamples, type SampleKind, sampleKinds, samplesOf } from "../study/exportSamples.js";
import { loadWorld } from "../study/loadWorld.js";
import { type DecodedSample, decode, TEST_SETS, type World } from "../world/index.js";
import { clean, formatCount, type Io } from "./io.js";
import { wholeNumber } from "./options.js";

/** `--kind` in help texts. */
const KINDS = ["pretrain", "tuning", ...TEST_SETS].join(", ");
/** More rows than this belong into several exports: they are made in memory. */
const MAX_EXPORT = 1_000_000;

interface DataOptions {
  readonly world: string;
  readonly kind: string;
  readonly count: number;
  readonly seed: number;
}

/** Adds `nullscope data preview` and `nullscope data export`. */
export function registerData(program: Command, io: Io): void {
  const data = program
    .command("data")
    .helpCommand(false)
    .description("Look at the samples of a world, or write them as a dataset.");
  data
    .command("preview")
    .description("Print samples of one kind: branch, operators, text, answer, label and why.")
    .option("--world <name|file>", "a shipped world (quick, smoke, paper) or a world file", "quick")
    .option("--kind <kind>", `one of ${KINDS}`, "tuning")
    .option("--count <n>", "how many", wholeNumber("--count", 1, 10_000), 8)
    .option("--seed <n>", "the seed", wholeNumber("--seed", 0, Number.MAX_SAFE_INTEGER), 0)
    .addHelpText(
      "after",
      `
Examples:
  nullscope data preview                                eight samples of safety tuning
  nullscope data preview --kind jb-co-text --world paper`,
    )
    .action(async (options: DataOptions) => {
      const world = await loadWorld(options.world);
      const kind = checkKind(world, options.kind);
      const samples = samplesOf(world, kind, options);
      const paint = painter(io);
      io.out(`${paint("bold", `${kind} samples of the world ${world.file.name}`)} (seed ${options.seed})\n`);
      for (let row = 0; row < samples.count; row++) io.out(sampleText(decode(world, samples, row), row, paint));
    });
  data
    .command("export")
    .description("Write samples as a Hugging Face dataset: JSONL, Parquet and a dataset card.")
    .option("--world <name|file>", "a shipped world (quick, smoke, paper) or a world file", "quick")
    .requiredOption("--kind <kind>", `one of ${KINDS}`)
    .requiredOption("--count <n>", "how many", wholeNumber("--count", 1, MAX_EXPORT))
    .option("--seed <n>", "the seed", wholeNumber("--seed", 0, Number.MAX_SAFE_INTEGER), 0)
    .option("--format <format>", "jsonl, parquet or both", "both")
    .requiredOption("--out <folder>", "a folder that does not exist yet, or is empty")
    .addHelpText(
      "after",
      `
Example:
  nullscope data export --kind jb-co-task --count 1000 --out co-task
  then in Python: datasets.load_dataset("./co-task")`,
    )
    .action(async (options: DataOptions & { readonly format: string; readonly out: string }) => {
      const { format } = options;
      if (format !== "jsonl" && format !== "parquet" && format !== "both")
        throw new UserError(`--format must be jsonl, parquet or both, not ${JSON.stringify(format)}.`);
      const world = await loadWorld(options.world);
      const kind = checkKind(world, options.kind);
      const written = await exportSamples(world, { ...options, kind, format });
      io.out(`${formatCount(options.count)} ${kind} samples in ${clean(options.out)}: ${written.join(", ")}\n`);
    });
}

function checkKind(world: World, kind: string): SampleKind {
  const kinds = sampleKinds(world);
  const found = kinds.find((known) => known === kind);
  if (found) return found;
  const exists = (TEST_SETS as readonly string[]).includes(kind);
  throw new UserError(
    exists
      ? `The world ${world.file.name} has no ${kind} samples; it has ${kinds.join(", ")}.`
      : `There is no kind ${JSON.stringify(kind)}; did you mean ${JSON.stringify(closest(kind, kinds))}? Kinds: ${kinds.join(", ")}.`,
  );
}

type Style = Parameters<typeof styleText>[0];
type Paint = (style: Style, text: string) => string;

/** Colours where people watch and NO_COLOR is not set (https://no-color.org). */
function painter(io: Io): Paint {
  const coloured = io.terminal && !process.env.NO_COLOR;
  return (style, text) => (coloured ? styleText(style, text, { validateStream: false }) : text);
}

const LABEL_STYLES = { safe: "green", unsafe: "red", none: "yellow" } as const;

/** Three lines: what the rule says and why, the tasks with the text, the right answer below the text. */
function sampleText(sample: DecodedSample, row: number, paint: Paint): string {
  const { operators, text, answer, branch, label, grammar, why } = sample;
  const word = label === "none" ? "no label" : label;
  const tasks = operators.join(" ");
  return [
    "",
    `${paint("dim", `#${row + 1}`)} ${paint(LABEL_STYLES[label], word)}, branch ${branch}, grammar ${clean(grammar)}: ${clean(why)}`,
    `  ${paint("cyan", clean(tasks))}  ${clean(text.join(" "))}`,
    `  ${"->".padStart(tasks.length)}  ${paint(LABEL_STYLES[label], clean(answer.join(" ")))}`,
    "",
  ].join("\n");
}
