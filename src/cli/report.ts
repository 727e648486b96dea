import type { Command } from "commander";
import { clean, type Io } from "./io.js";
import { findRun } from "./options.js";

/** Adds `nullscope report`. */
export function registerReport(program: Command, io: Io): void {
  program
    .command("report")
    .description("Write a run's report.html and figures anew from its result files.")
    .argument("<run>", "a run's name, or its folder")
    .option("--runs <dir>", "folder of the runs", "runs")
    .addHelpText(
      "after",
      `
Examples:
  nullscope report quick
  nullscope report /elsewhere/runs/quick`,
    )
    .action(async (run: string, options: { readonly runs: string }) => {
      const folder = await findRun(run, options.runs);
      // Loaded when needed: figures and fonts would slow every other command down.
      const { writeReport } = await import("../report/report.js");
      const { html, figures } = await writeReport(folder);
      io.out(`${clean(html)} and ${figures.length} figure files\n`);
    });
}
