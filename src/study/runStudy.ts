import { join } from "node:path";
import { type FileSystem, nodeFileSystem, orUserError, writeAtomically } from "./fileSystem.js";
import { runStages, type StageRunner, type StudySummary } from "./graph.js";
import { lockRun } from "./lock.js";
import type { StudyObserver } from "./observer.js";
import { type Clock, systemClock } from "./progressMeter.js";
import { damagedRunFiles } from "./runFiles.js";
import { checkSeal } from "./seal.js";
import type { Stage } from "./stage.js";

export interface RunStudyOptions {
  /** `runs/NAME`; made where missing. */
  readonly runFolder: string;
  /** Content of `config.yaml`, written before the first stage. */
  readonly configText?: string;
  /** Runs right after `config.yaml` is written, before the first stage, while the run is held. */
  readonly begin?: () => Promise<void>;
  readonly observer?: StudyObserver;
  /** Abort it to stop after the step in hand. */
  readonly signal?: AbortSignal;
  /** Runs while the run is still held, after the last stage; not after an interruption. */
  readonly finish?: (summary: StudySummary) => Promise<unknown>;
  /** Runs after each stage that was committed, while the run is held. */
  readonly afterStage?: (stage: Stage) => Promise<void>;
  /** How many stages may run at a time, and who runs them: one, by this process, by default. */
  readonly atOnce?: number | undefined;
  readonly runner?: StageRunner | undefined;
  /** Also makes again what was removed from finished stages to save space. */
  readonly restore?: boolean | undefined;
  readonly files?: FileSystem;
  readonly clock?: Clock;
}

/**
 * Runs the stages that are not done yet, in one run folder that no other process can hold meanwhile. Killed anywhere,
 * the same call goes on at the last finished stage; called again after the end, it does nothing.
 * @throws UserError when the folder cannot be used or another process holds it; what a stage throws.
 */
export async function runStudy(stages: readonly Stage[], options: RunStudyOptions): Promise<StudySummary> {
  const { runFolder, configText, observer = () => {}, signal = new AbortController().signal, finish } = options;
  const { files = nodeFileSystem, clock = systemClock } = options;
  const release = await orUserError("use the run folder", runFolder, async () => {
    await files.ensureFolder(runFolder);
    return lockRun(files, runFolder, clock.date());
  });
  try {
    await removeLeftovers(files, runFolder);
    const ownConfig = configText !== undefined && checkSeal(new TextEncoder().encode(configText)) === "none";
    const damaged = await orUserError("read", runFolder, () => damagedRunFiles(runFolder, files, { ownConfig }));
    for (const { path, reason } of damaged) observer({ type: "rejected", folder: join(runFolder, path), reason });
    if (configText !== undefined)
      await orUserError("write to", runFolder, async () =>
        writeIfChanged(files, join(runFolder, "config.yaml"), configText),
      );
    await orUserError("write to", runFolder, async () => options.begin?.());
    const summary = await runStages(stages, {
      runFolder,
      files,
      observer,
      signal,
      clock,
      atOnce: options.atOnce,
      runner: options.runner,
      restore: options.restore,
      afterStage:
        options.afterStage &&
        ((stage) => orUserError("write the results in", runFolder, async () => options.afterStage?.(stage))),
    });
    if (!summary.interrupted) await orUserError("write the results in", runFolder, async () => finish?.(summary));
    return summary;
  } finally {
    await release().catch(() => {}); // a deleted folder has no lock to give back, and a dead holder's lock is taken over
  }
}

/** Writes a file atomically unless it already has this content: a second run leaves every file as it is. Returns whether it wrote. */
export async function writeIfChanged(files: FileSystem, path: string, content: string | Uint8Array): Promise<boolean> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  if ((await files.kind(path)) === "file" && Buffer.compare(await files.read(path), bytes) === 0) return false;
  await writeAtomically(files, path, bytes);
  return true;
}

/** What killed processes were about to rename into place, and what attempts left at stages that are finished; nobody else writes while the run is held. */
async function removeLeftovers(files: FileSystem, runFolder: string): Promise<void> {
  for (const folder of [runFolder, join(runFolder, "results")])
    await orUserError("clean up in", folder, async () => {
      if ((await files.kind(folder)) !== "folder") return;
      for (const name of await files.list(folder)) if (name.endsWith(".tmp")) await files.remove(join(folder, name));
    });
  const stages = join(runFolder, "stages");
  await orUserError("clean up in", stages, async () => {
    if ((await files.kind(stages)) !== "folder") return;
    const names = await files.list(stages);
    const finished = new Set(names.filter((name) => !name.startsWith(".")));
    for (const name of names) {
      const stage = /^\.(.+)\.attempt-[0-9]+(\.state-[0-9]+)?(\.tmp)?$/.exec(name);
      if (/^\..+\.removed\.tmp$/.test(name)) await files.remove(join(stages, name));
      if (stage && (stage[3] !== undefined || finished.has(stage[1]!))) await files.remove(join(stages, name));
    }
  });
}
