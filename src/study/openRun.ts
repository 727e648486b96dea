import { basename, join, resolve } from "node:path";
import { UserError } from "../errors.js";
import { type ClaimsResults, readClaims } from "./claims/file.js";
import { errorCode, type FileSystem, nodeFileSystem } from "./fileSystem.js";
import { checkStage, type StageManifest } from "./manifest.js";
import type { ResultRow } from "./results.js";
import { readResults } from "./resultsFiles.js";
import { readRunConfig } from "./runConfigFile.js";
import { parseStrictYaml } from "./strictYaml.js";

/** Values that rows must have: `{ metric: "tau", block: [2, 3] }`; of a list any; `undefined`: the field must be absent. */
export type RowFilter = {
  readonly [Field in keyof ResultRow]?: ResultRow[Field] | readonly ResultRow[Field][] | undefined;
};

/** One measure's rows, read when asked for. */
export interface MeasureResults {
  /** All rows, in the file's order. @throws UserError when the run has no such measure. */
  rows(): Promise<ResultRow[]>;
  /** The rows that have these values. */
  where(filter: RowFilter): Promise<ResultRow[]>;
}

/** A run on disk, for scripts: `const study = await openRun("runs/quick")`. */
export interface OpenRun {
  readonly name: string;
  readonly folder: string;
  /** `config.yaml` as it stands; undefined where there is none. */
  readonly config: unknown;
  /** Measures that have results, sorted. */
  readonly measures: readonly string[];
  results(measure: string): MeasureResults;
  /** The verdicts on the run's claims; undefined where there are none yet. */
  claims(): Promise<ClaimsResults | undefined>;
  /** Manifests of the finished stages, every file verified; and what was skipped, by name and reason. */
  stages(): Promise<{
    readonly whole: readonly StageManifest[];
    readonly skipped: readonly { folder: string; reason: string }[];
  }>;
}

/**
 * Opens a run folder for reading.
 * @throws UserError when it is not a run.
 */
export async function openRun(folder: string, files: FileSystem = nodeFileSystem): Promise<OpenRun> {
  if ((await files.kind(folder)) === "absent")
    throw new UserError(
      `There is no run ${folder}; give a run's folder, as runs/quick, or make one with "nullscope study".`,
    );
  const config = await readRunConfig(folder, files).then((text) => parseConfig(text, folder), absent);
  const measures = (await listOrNone(files, join(folder, "results")))
    .filter((name) => name.endsWith(".json") && name !== "examples.json" && name !== "claims.json")
    .map((name) => name.slice(0, -".json".length));
  if (config === undefined && measures.length === 0)
    throw new UserError(
      `${folder} is not a run: it holds neither config.yaml nor results; give a run's folder, as runs/quick.`,
    );
  return {
    name: basename(resolve(folder)),
    folder,
    config,
    measures,
    results: (measure) => {
      const rows = async () => {
        if (!measures.includes(measure))
          throw new UserError(
            `${folder} has no results of "${measure}"; it has ${measures.length === 0 ? "none yet" : measures.join(", ")}.`,
          );
        return [...(await readResults(join(folder, "results", `${measure}.json`), files)).rows];
      };
      return { rows, where: async (filter) => filterRows(await rows(), filter) };
    },
    claims: () => readClaims(folder, files),
    stages: async () => {
      const whole: StageManifest[] = [];
      const skipped: { folder: string; reason: string }[] = [];
      for (const name of await listOrNone(files, join(folder, "stages"))) {
        if (name.startsWith(".")) continue; // an attempt in progress
        const check = await checkStage(files, join(folder, "stages", name));
        if (check.state === "whole") whole.push(check.manifest);
        else if (check.state === "damaged") skipped.push({ folder: name, reason: check.reason });
      }
      return { whole, skipped };
    },
  };
}

/** Looks whether a folder is a run at all, damaged or not. @throws UserError when it is none. */
export async function openRunForCheck(folder: string, files: FileSystem = nodeFileSystem): Promise<void> {
  for (const name of ["config.yaml", "stages", "results"])
    if ((await files.kind(join(folder, name))) !== "absent") return;
  throw new UserError(
    `${folder} is not a run: it holds neither config.yaml nor stages nor results; give a run's folder, as runs/quick.`,
  );
}

/** The rows in which every field of the filter has its value, or one of its values. */
export function filterRows(rows: readonly ResultRow[], filter: RowFilter): ResultRow[] {
  const wanted = Object.entries(filter) as [keyof ResultRow, unknown][];
  return rows.filter((row) =>
    wanted.every(([field, value]) => (Array.isArray(value) ? value.includes(row[field]) : row[field] === value)),
  );
}

function parseConfig(text: string, folder: string): unknown {
  try {
    return parseStrictYaml(text, "config.yaml");
  } catch {
    throw new UserError(`${join(folder, "config.yaml")} is not valid YAML; run the study again, it rewrites the file.`);
  }
}

async function listOrNone(files: FileSystem, folder: string): Promise<string[]> {
  return files.list(folder).catch((error: unknown) => absent(error) ?? []);
}

function absent(error: unknown): undefined {
  if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
  throw error;
}
