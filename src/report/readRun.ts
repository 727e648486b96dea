import { readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { UserError } from "../errors.js";
import { nodeFileSystem } from "../study/fileSystem.js";
import { readManifest, readOutput } from "../study/manifest.js";
import type { Example, ResultRow } from "../study/results.js";
import { CONFIG_FILE, readRunConfig } from "../study/runConfigFile.js";
import { readSealedJson } from "../study/seal.js";
import { parseStrictYaml } from "../study/strictYaml.js";
import { asClaim, type ClaimVerdict } from "./claims.js";

/** The verdicts' file has a schema of its own. */
const CLAIMS = "claims.json";
/** What a world stage keeps of its world. */
const WORLD = "world.json";

/** How long one stage took; the only part of a run that differs between two runs of the same configuration. */
export interface StageTime {
  /** Folder name, KIND-HASH. */
  readonly stage: string;
  readonly name: string;
  readonly seconds: number;
}

/** All that the report is made from. */
export interface RunData {
  /** Name of the run's folder. */
  readonly name: string;
  /** `config.yaml` as parsed; `null` when there is none. */
  readonly config: unknown;
  readonly rows: readonly ResultRow[];
  readonly examples: readonly Example[];
  /** The verdicts of `results/claims.json`; empty where there is none. */
  readonly claims: readonly ClaimVerdict[];
  readonly times: readonly StageTime[];
  /** The world file that the newest world stage kept, and its hash; absent where there is none. */
  readonly world: { readonly file: unknown; readonly hash: string | undefined } | undefined;
  /** Names of stages whose numbers went wrong and that gave no results. */
  readonly diverged: readonly string[];
}

/**
 * Reads a run folder: `config.yaml`, every `results/*.json`, and the stages' manifests. A missing part is empty. Throws UserError when
 * the folder holds no results or a file is damaged.
 */
export async function readRun(runFolder: string): Promise<RunData> {
  const results = join(runFolder, "results");
  const files = (await list(results)).filter((file) => file.endsWith(".json")).sort();
  if (files.length === 0)
    throw new UserError(
      `${runFolder} holds no results to report: there is no results/*.json in it. Run "nullscope study" first, or give the folder of a finished run.`,
    );
  const rows: ResultRow[] = [];
  const examples: Example[] = [];
  const claims: ClaimVerdict[] = [];
  for (const file of files) {
    const path = join(results, file);
    const content = await readSealedJson(nodeFileSystem, path, "run the study again, it rebuilds the file");
    if (file === CLAIMS) {
      if (!isRecord(content) || !Array.isArray(content.rows)) throw damaged(path, 'it has no "rows"');
      for (const row of content.rows) {
        const claim = asClaim(row);
        if (!claim) throw damaged(path, "a claim has no id, no statement or no verdict");
        claims.push(claim);
      }
    } else if (isRecord(content) && Array.isArray(content.rows))
      rows.push(...content.rows.map((row) => asRow(row, path)));
    else if (isRecord(content) && Array.isArray(content.examples))
      examples.push(...content.examples.map((example) => asExample(example, path)));
    else
      throw new UserError(
        `${path} is not a results file: it has neither "rows" nor "examples". Delete it or move it away.`,
      );
  }
  return {
    name: basename(resolve(runFolder)),
    config: await readConfig(runFolder),
    rows,
    examples,
    claims,
    ...(await readStages(join(runFolder, "stages"))),
  };
}

async function readConfig(runFolder: string): Promise<unknown> {
  const path = join(runFolder, CONFIG_FILE);
  let text: string;
  try {
    text = await readRunConfig(runFolder, nodeFileSystem);
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
  try {
    return parseStrictYaml(text, path);
  } catch (error) {
    throw new UserError(`${path} is not readable YAML (${firstLine(error)}). Restore it, or run the study again.`);
  }
}

async function readStages(folder: string): Promise<Pick<RunData, "times" | "diverged" | "world">> {
  let world: RunData["world"];
  let worldFinished = "";
  const times: StageTime[] = [];
  const diverged: string[] = [];
  for (const stage of (await list(folder)).sort()) {
    if (stage.startsWith(".")) continue; // an attempt in progress
    const check = await readManifest(nodeFileSystem, join(folder, stage));
    if (check.state !== "whole") continue; // It costs the report a duration; the study names such a stage and makes it again.
    const { name, kind, finished, outcome, durationSeconds, outputs, config } = check.manifest;
    times.push({ stage, name, seconds: durationSeconds });
    if (outcome === "diverged") diverged.push(name);
    // A run whose configuration changed may keep an older world beside the present one.
    if (kind !== "world" || finished < worldFinished || !outputs.some(({ path }) => path === WORLD)) continue;
    const bytes = await readOutput(nodeFileSystem, join(folder, stage), check.manifest, WORLD);
    const hash = isRecord(config) ? config.world : undefined;
    world = {
      file: JSON.parse(new TextDecoder().decode(bytes)),
      hash: typeof hash === "string" ? hash : undefined,
    };
    worldFinished = finished;
  }
  return { times, diverged, world };
}

const TEXT_FIELDS = ["measure", "metric", "checkpoint", "set", "branch", "outcome", "matrix"] as const;
const NUMBER_FIELDS = ["block", "index", "alpha", "step", "seed", "value", "n", "low", "high", "chance"] as const;

/** A row with absent fields left out (files write them as null or not at all), each field of its type. */
function asRow(value: unknown, path: string): ResultRow {
  if (!isRecord(value)) throw damaged(path, "a row is not an object");
  const row: Record<string, string | number> = {};
  for (const field of TEXT_FIELDS) {
    const cell = value[field];
    if (cell === undefined || cell === null) continue;
    if (typeof cell !== "string") throw damaged(path, `a row's "${field}" is not text`);
    row[field] = cell;
  }
  for (const field of NUMBER_FIELDS) {
    const cell = value[field];
    if (cell === undefined || cell === null) continue;
    if (typeof cell !== "number") throw damaged(path, `a row's "${field}" is not a number`);
    row[field] = cell;
  }
  const { measure, metric, outcome, value: number } = row;
  if (typeof measure !== "string" || typeof metric !== "string")
    throw damaged(path, "a row has no measure or no metric");
  if (outcome !== undefined && outcome !== "success" && outcome !== "failure")
    throw damaged(path, `a row's outcome is "${outcome}", not success or failure`);
  // A value that is not finite is written as null in JSON; the report prints it as absent.
  return { ...(row as Partial<ResultRow>), measure, metric, value: typeof number === "number" ? number : Number.NaN };
}

function asExample(value: unknown, path: string): Example {
  if (!isRecord(value)) throw damaged(path, "an example is not an object");
  const text = (field: string) => {
    const cell = value[field];
    if (typeof cell !== "string") throw damaged(path, `an example's "${field}" is not text`);
    return cell;
  };
  const words = (field: string) => {
    const cell = value[field];
    if (!Array.isArray(cell) || !cell.every((word) => typeof word === "string"))
      throw damaged(path, `an example's "${field}" is not a list of words`);
    return cell as string[];
  };
  const outcome = text("outcome");
  if (outcome !== "instruct" && outcome !== "null" && outcome !== "other")
    throw damaged(path, `an example's outcome is "${outcome}", not instruct, null or other`);
  return {
    checkpoint: text("checkpoint"),
    set: text("set"),
    seed: typeof value.seed === "number" ? value.seed : 0,
    branch: text("branch"),
    label: text("label"),
    operators: words("operators"),
    text: words("text"),
    truth: words("truth"),
    output: words("output"),
    outcome,
  };
}

function damaged(path: string, why: string): UserError {
  return new UserError(`${path} is damaged: ${why}. Run the study again; it rebuilds the file.`);
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return isRecord(error) && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
