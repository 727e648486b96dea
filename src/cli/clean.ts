import { join } from "node:path";
import type { Command } from "commander";
import { UserError } from "../errors.js";
import { buildStudy } from "../study/build.js";
import { leftovers } from "../study/cleanRun.js";
import { engineSource } from "../study/engines.js";
import { nodeFileSystem, orUserError } from "../study/fileSystem.js";
import { inDependencyOrder } from "../study/graph.js";
import { loadWorld } from "../study/loadWorld.js";
import { lockRun } from "../study/lock.js";
import { openRunForCheck } from "../study/openRun.js";
import { readRequests, requestedStages } from "../study/requests.js";
import { resolveConfig } from "../study/resolveConfig.js";
import { stageFolderName } from "../study/stage.js";
import { clean, formatBytes, formatCount, type Io } from "./io.js";
import { findRun } from "./options.js";

interface CleanOptions {
  readonly runs: string;
  readonly yes?: true;
  readonly dryRun?: true;
}

/** Adds `nullscope clean`. */
export function registerClean(program: Command, io: Io): void {
  program
    .command("clean")
    .description(
      "Remove what no manifest of a run names: stages of earlier configurations, leftover attempts, temporary files. Lists them and asks first.",
    )
    .argument("<run>", "a run's name, or its folder")
    .option("--runs <dir>", "folder of the runs", "runs")
    .option("--yes", "do not ask")
    .option("--dry-run", "list and stop: nothing is removed")
    .addHelpText(
      "after",
      `
Examples:
  nullscope clean quick
  nullscope clean quick --dry-run
  nullscope clean quick --yes          in a script`,
    )
    .action(async (run: string, options: CleanOptions) => {
      const folder = await findRun(run, options.runs);
      await openRunForCheck(folder);
      // Whoever holds the run may be writing what would look left over.
      const release = await orUserError("use the run folder", folder, () => lockRun(nodeFileSystem, folder));
      try {
        await cleanRun(folder, options, io);
      } finally {
        await release().catch(() => {});
      }
    });
}

async function cleanRun(folder: string, options: CleanOptions, io: Io): Promise<void> {
  const { named, unknown } = await presentStages(folder);
  const found = await leftovers(folder, named);
  if (unknown !== undefined)
    io.err(`nullscope: stages are left alone, for they cannot be told apart: ${clean(unknown)}\n`);
  if (found.length === 0) {
    io.out(`${clean(folder)}: nothing to remove.\n`);
    return;
  }
  const total = formatBytes(found.reduce((sum, { bytes }) => sum + bytes, 0));
  for (const { path, why, bytes } of found) io.out(`  ${clean(path)}  ${formatBytes(bytes)}, ${why}\n`);
  const all = `${formatCount(found.length)} ${found.length === 1 ? "item" : "items"}, ${total}`;
  if (options.dryRun) {
    io.out(`${all} would be removed from ${clean(folder)}.\n`);
    return;
  }
  if (!options.yes) {
    if (io.confirm === undefined)
      throw new UserError(
        `Nothing was removed from ${folder}: there is no terminal to ask at; give --yes to remove ${all}, or --dry-run to list only.`,
      );
    if (!(await io.confirm(`Remove ${all} from ${clean(folder)}?`))) {
      io.out("Nothing was removed.\n");
      return;
    }
  }
  for (const { path } of found)
    await orUserError("remove", join(folder, path), () => nodeFileSystem.remove(join(folder, path)));
  io.out(`Removed ${all} from ${clean(folder)}.\n`);
}

/** Folder names of the stages that the run's configuration and requests have; or why they are not known. */
async function presentStages(
  folder: string,
): Promise<{ readonly named: ReadonlySet<string> | undefined; readonly unknown?: string }> {
  try {
    const config = await resolveConfig({ source: join(folder, "config.yaml") });
    const world = await loadWorld(config.world);
    const engine = engineSource(config);
    const study = buildStudy(config, world, engine);
    const requested = requestedStages(config, world, study, await readRequests(folder), engine);
    return { named: new Set(inDependencyOrder([...study, ...requested]).map(stageFolderName)) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { named: undefined, unknown: error.message };
  }
}
