import type { Command } from "commander";
import { closest } from "fastest-levenshtein";
import { UserError } from "../errors.js";
import { loadWorld } from "../study/loadWorld.js";
import type { StageProfile } from "../study/profile.js";
import type { ProfileRow } from "../study/profileTables.js";
import { PROGRAM_STAGES, type ProgramStage } from "../study/programs.js";
import { resolveConfig } from "../study/resolveConfig.js";
import { type Io, jsonText } from "./io.js";
import { gather, wholeNumber } from "./options.js";

interface ProfileOptions {
  readonly study: string;
  readonly set?: readonly string[];
  readonly method?: string;
  readonly steps: number;
  readonly json?: true;
}

/** Adds `nullscope profile`. */
export function registerProfile(program: Command, io: Io): void {
  program
    .command("profile")
    .description("Run a few steps of a stage on fresh weights and print where the time goes. Nothing is kept.")
    .argument("<stage>", `one of ${PROGRAM_STAGES.join(", ")}`)
    .option("--study <preset|file>", "the study whose stage it is", "quick")
    .option("--set <key=value>", "change a setting of the study; may be repeated", gather)
    .option("--method <name>", "of the stage tune: which of the study's methods or controls (default: the first)")
    .option("--steps <n>", "steps to average over", wholeNumber("--steps", 1, 1000), 10)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The floor is what the step's matrix products alone would take at the rate of a large product, measured here and now.

Examples:
  nullscope profile pretrain
  nullscope profile pretrain --set model.width=128 --steps 20
  nullscope profile tune --method dpo
  nullscope profile behaviour --study smoke --json`,
    )
    .action(async (stage: string, options: ProfileOptions) => {
      if (!PROGRAM_STAGES.includes(stage as ProgramStage))
        throw new UserError(
          `There is no stage ${JSON.stringify(stage)} to profile; did you mean ${JSON.stringify(closest(stage, PROGRAM_STAGES))}? Stages: ${PROGRAM_STAGES.join(", ")}.`,
        );
      const config = await resolveConfig({
        source: options.study,
        ...(options.set !== undefined && { set: options.set }),
      });
      // Loaded when needed: no other command pays for the engine at its start.
      const { profileStage } = await import("../study/profile.js");
      const profile = await profileStage(config, await loadWorld(config.world), stage as ProgramStage, {
        steps: options.steps,
        method: options.method,
      });
      io.out(options.json ? `${jsonText(profile)}\n` : formatProfile(profile, config.threads));
    });
}

/** The profile as two tables and its floor. */
export function formatProfile(profile: StageProfile, threads: number): string {
  const { stage, runs, milliseconds, matrixFlops, matrixRate, floorMilliseconds, floorShare } = profile;
  return [
    `${stage}: ${milliseconds.toFixed(1)} ms a step on the CPU, ${threads} thread${threads === 1 ? "" : "s"}, mean of ${runs}`,
    `floor: ${floorMilliseconds.toFixed(1)} ms (${percent(floorShare)}), ${(matrixFlops / 1e9).toFixed(2)} GFLOP in matrix products at ${(matrixRate / 1e9).toFixed(0)} GFLOP/s`,
    "",
    ...table("module", profile.byModule),
    "",
    ...table("operation", profile.byOperation),
    "",
  ].join("\n");
}

const percent = (share: number) => `${(100 * share).toFixed(1)}%`;

function table(head: string, rows: readonly ProfileRow[]): string[] {
  const cells = [
    [head, "calls", "ms", "share"],
    ...rows.map(({ name, calls, milliseconds, share }) => [
      name,
      calls === 0 ? "" : String(Math.round(calls)),
      milliseconds.toFixed(2),
      percent(share),
    ]),
  ];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...cells.map((row) => row[i]!.length)));
  return cells.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
}
