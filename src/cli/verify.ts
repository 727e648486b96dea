import { join } from "node:path";
import type { Command } from "commander";
import { nodeFileSystem } from "../study/fileSystem.js";
import type { Damage } from "../study/manifest.js";
import { openRunForCheck } from "../study/openRun.js";
import { namesIn } from "../study/runFiles.js";
import { verifyRun } from "../study/verifyRun.js";
import { clean, formatCount, type Io, jsonText } from "./io.js";
import { findRun } from "./options.js";

/** Exit code of a run in which something is damaged. */
const DAMAGED_EXIT = 1;

/** Adds `nullscope verify`. */
export function registerVerify(program: Command, io: Io): void {
  program
    .command("verify")
    .description(
      "Read and hash every file of a run, and name each that is not as it was written. Exits with 1 when there is any.",
    )
    .argument("<run>", "a run's name, or its folder")
    .option("--runs <dir>", "folder of the runs", "runs")
    .option("--json", "print what was found as one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  nullscope verify quick
  nullscope verify /elsewhere/runs/quick --json`,
    )
    .action(async (run: string, options: { readonly runs: string; readonly json?: true }) => {
      const folder = await findRun(run, options.runs);
      await openRunForCheck(folder);
      const whole = await verifyRun(folder);
      const { stages } = whole;
      const all = [...whole.damaged];
      let looked = whole.files;
      for (const part of ["", ...(await partsOfSweep(folder))]) {
        const inner = join(folder, part);
        const found = part === "" ? undefined : await verifyRun(inner, nodeFileSystem, whole.manifests);
        const report = await reportDamage(inner);
        looked += (found?.files ?? 0) + report.files;
        for (const { path, reason } of [...(found?.damaged ?? []), ...report.damaged])
          all.push({ path: part === "" ? path : `${part}/${path}`, reason });
      }
      if (options.json) io.out(`${jsonText({ run: folder, stages, files: looked, damaged: all })}\n`);
      else {
        for (const { path, reason } of all) io.out(`DAMAGED ${clean(path)}: ${clean(reason)}\n`);
        io.out(
          all.length === 0
            ? `${clean(folder)}: ${formatCount(stages)} stages and ${formatCount(looked)} files are as they were written.\n`
            : `${clean(folder)}: ${formatCount(all.length)} of ${formatCount(looked)} files damaged; run the study again, it makes them anew.\n`,
        );
      }
      if (all.length > 0) io.exitCode = DAMAGED_EXIT;
    });
}

/** The folders of a sweep that have results of their own; none for a run. */
async function partsOfSweep(folder: string): Promise<string[]> {
  const studies = (await namesIn(nodeFileSystem, join(folder, "studies"))).map((name) => `studies/${name}`);
  if (studies.length === 0) return [];
  return [...studies, ...((await nodeFileSystem.kind(join(folder, "combined"))) === "folder" ? ["combined"] : [])];
}

/** The report's files, and whether they show what the results say. */
async function reportDamage(folder: string): Promise<{ damaged: readonly Damage[]; files: number }> {
  const { checkReport, digestOfRun, readRun } = await import("../report/reportFiles.js");
  const { present, damaged, from, files } = await checkReport(folder);
  if (!present || damaged.length > 0 || from === undefined) return { damaged, files: files.length };
  const now = await readRun(folder).then(digestOfRun, () => undefined); // what is wrong with the results is told of them
  if (now === undefined || now === from) return { damaged, files: files.length };
  const path = "report.html";
  if ((await nodeFileSystem.kind(join(folder, path))) === "absent") return { damaged, files: files.length };
  return { damaged: [{ path, reason: "it was made from other results than those beside it" }], files: files.length };
}
