import { join } from "node:path";
import { Option } from "commander";
import { UserError } from "../errors.js";
import { nodeFileSystem } from "../study/fileSystem.js";

/** For options that may be given again: gathers their values. */
export const gather = (value: string, before: readonly string[] = []): string[] => [...before, value];

/** A whole number in [least, most]. @throws UserError naming the option. */
export function wholeNumber(option: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < least || value > most)
      throw new UserError(`${option} must be a whole number from ${least} to ${most}, not ${JSON.stringify(text)}.`);
    return value;
  };
}

/** The folder of a run given by its path or, where that is nothing, by its name below `runs`. @throws UserError when neither exists. */
export async function findRun(run: string, runs = "runs"): Promise<string> {
  // No path holds a NUL, and no system call takes one.
  for (const folder of run.includes("\0") ? [] : [run, join(runs, run)])
    if ((await nodeFileSystem.kind(folder)) === "folder") return folder;
  throw new UserError(
    `There is no run ${JSON.stringify(run)}, neither as a folder nor in ${runs}/; make one with "nullscope study".`,
  );
}

/** What every command that computes for a run has in common. */
export interface EngineOptions {
  readonly threads?: number;
  readonly workers?: number;
}

export const threadsOption = new Option(
  "--threads <n>",
  "threads of the engine; the results do not depend on it",
).argParser(wholeNumber("--threads", 1, 1024));

export const workersOption = new Option(
  "--workers <n>",
  "stages that run at once, each in a process of its own, sharing the threads; default: one a thread, as memory allows",
).argParser(wholeNumber("--workers", 1, 1024));
