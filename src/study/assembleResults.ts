import { join } from "node:path";
import { UserError } from "../errors.js";
import { canonicalJson } from "./canonicalJson.js";
import { type FileSystem, nodeFileSystem } from "./fileSystem.js";
import { inDependencyOrder } from "./graph.js";
import { readManifest, readOutput, type StageManifest } from "./manifest.js";
import type { AppliedIntervention, Example, ExamplesFile, ResultRow } from "./results.js";
import { writeResults } from "./resultsFiles.js";
import { writeIfChanged } from "./runStudy.js";
import { sealJson } from "./seal.js";
import { type Stage, type StageContext, stageIdentity } from "./stage.js";
import { stageFolder } from "./store.js";

/** Files by which a stage hands its rows and its decoded samples to the study's results. */
export const ROWS = "rows.json";
const EXAMPLES = "examples.json";
/** Interventions that a stage applied, as data. */
const APPLIED = "interventions.json";
const CLAIMS = "claims.json";

/** Called by a measuring stage: these rows become part of `results/MEASURE.json` when the study is done. */
export async function writeRows(
  { folder }: Pick<StageContext, "folder">,
  rows: readonly ResultRow[],
  files: FileSystem = nodeFileSystem,
) {
  for (const row of rows)
    for (const [column, cell] of Object.entries(row))
      if (typeof cell === "number" && !Number.isFinite(cell))
        throw new TypeError(`${row.measure} ${row.metric}: ${column} is ${cell}; leave out what is not defined`);
  await writeJson(files, join(folder, ROWS), rows);
}

/** What a finished stage handed over by `writeRows`: for a stage that compares with it. `folder`: of that stage. */
export async function readRows(folder: string, files: FileSystem = nodeFileSystem): Promise<ResultRow[]> {
  const check = await readManifest(files, folder);
  if (check.state !== "whole")
    throw new UserError(
      `${folder} is no finished stage (${check.state === "damaged" ? check.reason : "it is not there"}); run the study again.`,
    );
  return readVerified<ResultRow[]>(files, folder, check.manifest, ROWS);
}

/** Called by a measuring stage: decoded samples for people to read, for `results/examples.json`. */
export async function writeExamples(
  { folder }: Pick<StageContext, "folder">,
  examples: readonly Example[],
  files: FileSystem = nodeFileSystem,
) {
  await writeJson(files, join(folder, EXAMPLES), examples);
}

/** Called by a stage that intervenes: what it applied, to be listed beside its rows in `results/interventions.json`. */
export async function writeApplied(
  { folder }: Pick<StageContext, "folder">,
  interventions: readonly AppliedIntervention[],
  files: FileSystem = nodeFileSystem,
) {
  await writeJson(files, join(folder, APPLIED), interventions);
}

/**
 * Gathers what the finished stages handed over into the run's `results/`, and removes result files of measures that the
 * study no longer has. Stages that diverged or were skipped give nothing. Returns what `writeResults` found damaged.
 * `store`: where the stages lie, where that is another folder.
 */
export async function assembleResults(
  stages: readonly Stage[],
  runFolder: string,
  files: FileSystem = nodeFileSystem,
  store = runFolder,
): Promise<string[]> {
  const byMeasure = new Map<string, { stages: Set<string>; rows: ResultRow[] }>();
  const examples: Example[] = [];
  const applied = new Map<string, AppliedIntervention>();
  for (const stage of inDependencyOrder(stages)) {
    const folder = stageFolder(store, stage);
    const check = await readManifest(files, folder, stageIdentity(stage));
    if (check.state !== "whole" || check.manifest.outcome !== "done") continue;
    const written = new Set(check.manifest.outputs.map((output) => output.path));
    const read = <T>(path: string) => readVerified<T>(files, folder, check.manifest, path);
    if (written.has(EXAMPLES)) examples.push(...(await read<Example[]>(EXAMPLES)));
    if (written.has(APPLIED))
      for (const one of await read<AppliedIntervention[]>(APPLIED)) applied.set(canonicalJson(one), one);
    if (!written.has(ROWS)) continue;
    for (const row of await read<ResultRow[]>(ROWS)) {
      const gathered = byMeasure.get(row.measure) ?? { stages: new Set(), rows: [] };
      byMeasure.set(row.measure, gathered);
      gathered.stages.add(stageIdentity(stage));
      gathered.rows.push(row);
    }
  }
  const measures = [...byMeasure].sort(([a], [b]) => (a < b ? -1 : 1));
  const damaged = await writeResults(
    runFolder,
    measures.map(([measure, gathered]) => ({
      measure,
      stages: [...gathered.stages],
      ...(measure === "interventions" && { interventions: [...applied.values()] }),
      rows: REPLACEABLE.has(measure) ? newestRows(gathered.rows) : gathered.rows,
    })),
    files,
  );
  const folder = join(runFolder, "results");
  const kept = new Set([CLAIMS, ...measures.map(([measure]) => `${measure}.json`)]); // the verdicts are written after this
  if (examples.length > 0) {
    kept.add(EXAMPLES);
    const file: ExamplesFile = { schema: "nullscope/examples@1", examples };
    await writeIfChanged(files, join(folder, EXAMPLES), sealJson(`${JSON.stringify(file, null, 2)}\n`));
  }
  for (const name of await files.list(folder))
    if (name.endsWith(".json") && !kept.has(name)) await files.remove(join(folder, name));
  return damaged;
}

/** Measures to which an attack or an intervention that was asked for adds rows. */
const REPLACEABLE: ReadonlySet<string> = new Set(["attacks", "clusters", "interventions"]);

/** One row for each quantity, the last: what was asked for again with other settings takes the place of the one before. */
function newestRows(rows: readonly ResultRow[]): ResultRow[] {
  const newest = new Map<string, ResultRow>();
  for (const row of rows) {
    const { value: _, n: __, low: ___, high: ____, chance: _____, ...quantity } = row;
    newest.set(canonicalJson(quantity), row);
  }
  return [...newest.values()];
}

async function writeJson(files: FileSystem, path: string, value: unknown): Promise<void> {
  await files.write(path, new TextEncoder().encode(`${canonicalJson(JSON.parse(JSON.stringify(value)))}\n`));
}

/** Our own writing, verified by hash. */
async function readVerified<T>(files: FileSystem, folder: string, manifest: StageManifest, path: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await readOutput(files, folder, manifest, path))) as T;
}
