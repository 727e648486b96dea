import { join } from "node:path";
import { ROWS } from "./assembleResults.js";
import { canonicalJson, type JsonValue } from "./canonicalJson.js";
import { allRows, CLAIMS_FILE, claimsText, decideAll } from "./claims/file.js";
import { readStoredClaims } from "./claims/store.js";
import { errorCode, type FileSystem, nodeFileSystem } from "./fileSystem.js";
import {
  checkOutputs,
  type Damage,
  MANIFEST,
  readManifest,
  readOutput,
  type StageManifest,
  sha256,
} from "./manifest.js";
import type { ResultRow } from "./results.js";
import { PARQUET, readResults, resultsParquet } from "./resultsFiles.js";
import { damagedRunFiles, namesIn } from "./runFiles.js";

/** What `verifyRun` found in a run folder. */
export interface RunCheck {
  /** Files that are not as they were written, or do not follow from what they say they were made from. Paths from the run's folder. */
  readonly damaged: readonly Damage[];
  /** Finished stages and files that were looked at. */
  readonly stages: number;
  readonly files: number;
  /** The whole stages by their identity, those of `store` too. */
  readonly manifests: Manifests;
}

/**
 * Reads every file of a run and hashes it: each stage against its manifest, the manifest against its own identity and its inputs, the results
 * against the stages that they name, the verdicts against claims and results, and what carries a seal against that. Writes
 * nothing. The report is not its concern.
 * @param store the stages that its results may name beside its own: a study of a sweep has them in the sweep's folder.
 */
export async function verifyRun(
  runFolder: string,
  files: FileSystem = nodeFileSystem,
  store: Manifests = new Map(),
): Promise<RunCheck> {
  const damaged: Damage[] = [];
  const manifests = new Map(store);
  let own = 0;
  let count = 0;
  for (const name of await namesIn(files, join(runFolder, "stages"))) {
    if (name.startsWith(".")) continue; // an attempt in progress
    const folder = join(runFolder, "stages", name);
    const check = await readManifest(files, folder);
    if (check.state === "absent") continue;
    const say = ({ path, reason }: Damage) => damaged.push({ path: `stages/${name}/${path}`, reason });
    if (check.state === "damaged") {
      say(check);
      continue;
    }
    const { manifest } = check;
    count += 1 + manifest.outputs.length;
    const { damaged: found } = await checkOutputs(files, folder, manifest);
    found.forEach(say);
    const wrong = identityFault(manifest, name);
    if (wrong !== undefined) say({ path: MANIFEST, reason: wrong });
    if (found.length === 0 && wrong === undefined) {
      manifests.set(manifest.identity, { folder, manifest });
      own++;
    }
  }
  const sealed = await damagedRunFiles(runFolder, files);
  damaged.push(...sealed);
  const known = new Set(sealed.map(({ path }) => path));
  const results = await resultFiles(runFolder, files);
  count += results.length + (await otherFiles(runFolder, files));
  for (const name of results) {
    const path = `results/${name}`;
    if (known.has(path) || !isMeasure(name)) continue;
    const reason = await resultsFault(join(runFolder, path), manifests, files);
    if (reason !== undefined) damaged.push({ path, reason });
  }
  // What follows from all results can be judged only where they are whole.
  if (!damaged.some(({ path }) => path.startsWith("results/")))
    damaged.push(...(await derivedFaults(runFolder, files)));
  return { damaged, stages: own, files: count, manifests };
}

/** A manifest's identity has to be that of what it says of the stage, and its folder's name that of the identity. */
function identityFault({ kind, version, config, inputs, identity }: StageManifest, folderName: string) {
  const own = sha256(
    canonicalJson({ kind, version, config, inputs: inputs.map((input) => input.identity) } as unknown as JsonValue),
  );
  if (own !== identity) return "its identity is not that of its kind, version, configuration and inputs";
  if (folderName !== `${kind}-${identity.slice(0, 12)}`) return `its folder is named as another stage's, ${folderName}`;
  return undefined;
}

const isMeasure = (name: string) => name.endsWith(".json") && name !== CLAIMS_FILE && name !== "examples.json";

const resultFiles = (runFolder: string, files: FileSystem) => namesIn(files, join(runFolder, "results"));

async function otherFiles(runFolder: string, files: FileSystem): Promise<number> {
  let count = (await files.kind(join(runFolder, "config.yaml"))) === "file" ? 1 : 0;
  for (const folder of ["claims", "requests"]) count += (await namesIn(files, join(runFolder, folder))).length;
  return count;
}

export type Manifests = ReadonlyMap<string, { readonly folder: string; readonly manifest: StageManifest }>;

/** Every row of a results file has to be one that a stage named in it handed over. */
async function resultsFault(path: string, manifests: Manifests, files: FileSystem): Promise<string | undefined> {
  let parsed: Awaited<ReturnType<typeof readResults>>;
  try {
    parsed = await readResults(path, files);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (parsed.stages.length === 0) return undefined; // put together from other results, as a sweep's are
  const handed = new Map<string, number>();
  for (const identity of parsed.stages) {
    const stage = manifests.get(identity);
    if (stage === undefined)
      return `the stage ${identity.slice(0, 12)} that its rows came from is not whole in this run`;
    const bytes = await readOutput(files, stage.folder, stage.manifest, ROWS);
    for (const row of JSON.parse(new TextDecoder().decode(bytes)) as ResultRow[])
      if (row.measure === parsed.measure) {
        const key = canonicalJson(row as unknown as JsonValue);
        handed.set(key, (handed.get(key) ?? 0) + 1);
      }
  }
  for (const row of parsed.rows) {
    const key = canonicalJson(row as unknown as JsonValue);
    const left = handed.get(key) ?? 0;
    if (left === 0) return `a row (${row.metric}) is of none of the stages that it names`;
    handed.set(key, left - 1);
  }
  return undefined;
}

/** `results.parquet` holds the rows of the files beside it, and `claims.json` the verdicts that follow from them. */
async function derivedFaults(runFolder: string, files: FileSystem): Promise<Damage[]> {
  const found: Damage[] = [];
  const read = (path: string) =>
    files.read(join(runFolder, path)).catch((error: unknown) => {
      if (errorCode(error) === undefined) throw error;
      return undefined;
    });
  const names = await resultFiles(runFolder, files);
  if (names.length === 0) return [];
  const rows = await allRows(runFolder, files);
  const parquet = `results/${PARQUET}`;
  const bytes = await read(parquet);
  if (bytes === undefined || Buffer.compare(bytes, resultsParquet(rows)) !== 0)
    found.push({
      path: parquet,
      reason: `${PARQUET} is ${bytes === undefined ? "missing" : "not that of the rows beside it"}`,
    });
  const path = `results/${CLAIMS_FILE}`;
  const verdicts = await read(path);
  try {
    const stored = await readStoredClaims(runFolder, files);
    const expected = stored.length === 0 ? undefined : claimsText(decideAll(stored, rows));
    if ((verdicts === undefined ? undefined : new TextDecoder().decode(verdicts)) !== expected)
      found.push({ path, reason: "its verdicts do not follow from the run's claims and results" });
  } catch (error) {
    found.push({ path, reason: error instanceof Error ? error.message : String(error) });
  }
  return found;
}
