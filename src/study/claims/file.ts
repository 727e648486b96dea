import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../../errors.js";
import { type FileSystem, nodeFileSystem } from "../fileSystem.js";
import type { ResultRow } from "../results.js";
import { readResults } from "../resultsFiles.js";
import { writeIfChanged } from "../runStudy.js";
import { readSealedJson, sealJson } from "../seal.js";
import { type ClaimRow, type ClaimSummary, type DecidedClaims, evaluateClaims } from "./evaluate.js";
import type { ClaimsFile } from "./load.js";

export const CLAIMS_SCHEMA = "nullscope/claims@1";
export const CLAIMS_FILE = "claims.json";

/** A claims file that verdicts come from. */
export interface ClaimsSource {
  readonly file: string;
  readonly sha256: string;
}

/** `results/claims.json`. */
export interface ClaimsResults {
  readonly schema: typeof CLAIMS_SCHEMA;
  readonly files: readonly ClaimsSource[];
  readonly claims: readonly ClaimSummary[];
  readonly rows: readonly ClaimRow[];
}

/** The verdicts on several files; each file is a family of its own for the correction, so that another file changes nothing. */
export function decideAll(files: readonly ClaimsFile[], rows: readonly ResultRow[]): ClaimsResults {
  const decided: DecidedClaims[] = files.map((file) => evaluateClaims(file, rows));
  return {
    schema: CLAIMS_SCHEMA,
    files: decided.map(({ file, sha256 }) => ({ file, sha256 })),
    claims: decided.flatMap(({ claims }) => claims),
    rows: decided.flatMap((one) => one.rows),
  };
}

/** All rows of a run's `results/`. */
export async function allRows(runFolder: string, files: FileSystem = nodeFileSystem): Promise<ResultRow[]> {
  const folder = join(runFolder, "results");
  const rows: ResultRow[] = [];
  for (const name of [...(await files.list(folder))].sort())
    if (name.endsWith(".json") && name !== CLAIMS_FILE && name !== "examples.json")
      rows.push(...(await readResults(join(folder, name), files)).rows);
  return rows;
}

/** Decides the claims by the run's results and writes `results/claims.json`; without claims the file is removed. */
export async function writeClaims(
  runFolder: string,
  claims: readonly ClaimsFile[],
  files: FileSystem = nodeFileSystem,
): Promise<void> {
  const path = join(runFolder, "results", CLAIMS_FILE);
  if (claims.length === 0) {
    if ((await files.kind(path)) === "file") await files.remove(path);
    return;
  }
  await writeIfChanged(files, path, claimsText(decideAll(claims, await allRows(runFolder, files))));
}

/** `results/claims.json` as text, sealed: one claim and one row a line, absent fields left out. */
export function claimsText({ schema, files, claims, rows }: ClaimsResults): string {
  const list = (items: readonly object[]) =>
    items.length === 0 ? "[]" : `[\n${items.map((item) => `    ${JSON.stringify(item)}`).join(",\n")}\n  ]`;
  return sealJson(
    `{\n  "schema": ${JSON.stringify(schema)},\n  "files": ${list(files)},\n  "claims": ${list(claims)},\n  "rows": ${list(rows)}\n}\n`,
  );
}

const verdict = z.enum(["supported", "contradicted", "undecided"]);
const number = z.number().optional();
const resultsSchema = z.object({
  schema: z.literal(CLAIMS_SCHEMA),
  files: z.array(z.object({ file: z.string(), sha256: z.string() })),
  claims: z.array(
    z.object({
      ...{ id: z.string(), statement: z.string(), source: z.string(), parts: z.array(z.string()) },
      ...{ verdict, corrected: verdict },
    }),
  ),
  rows: z.array(
    z.object({
      ...{ id: z.string(), claim: z.string(), statement: z.string(), verdict, corrected: verdict },
      ...{ value: number, low: number, high: number, chance: number, n: number, seeds: z.number() },
      ...{ p: number, pHolm: number, rule: z.string(), measure: z.string(), reason: z.string().optional() },
    }),
  ),
});

/** Reads a run's `results/claims.json`; `undefined` where there is none. @throws UserError for a file that is damaged. */
export async function readClaims(
  runFolder: string,
  files: FileSystem = nodeFileSystem,
): Promise<ClaimsResults | undefined> {
  const path = join(runFolder, "results", CLAIMS_FILE);
  const json = await readSealedJson(files, path, "run the study again, it rebuilds the file");
  if (json === undefined) return undefined;
  const parsed = resultsSchema.safeParse(json);
  if (!parsed.success)
    throw new UserError(
      `${path} is not a ${CLAIMS_SCHEMA} file (${parsed.error.issues[0]?.path.join(".") ?? "its form"} is wrong); run the study again.`,
    );
  return json as unknown as ClaimsResults; // checked just above; as it stands, so that printing it gives the file
}
