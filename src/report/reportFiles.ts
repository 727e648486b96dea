import { join, relative, sep } from "node:path";
import { z } from "zod";
import { errorCode, nodeFileSystem, writeAtomically } from "../study/fileSystem.js";
import { type Damage, sha256 } from "../study/manifest.js";
import { readSealedJson, sealJson } from "../study/seal.js";
import type { RunData } from "./readRun.js";

export { readRun } from "./readRun.js";

/** Beside `report.html`: the hash of every file of the report, and of what it was made from. */
export const REPORT_MANIFEST = "report.json";

const schema = z.strictObject({
  schema: z.literal("nullscope/report@1"),
  /** Digest of all that the report shows. */
  from: z.string(),
  files: z.array(
    z.strictObject({
      path: z.string().regex(/^(report\.html|figures\/[^/\\]*\.(svg|png|csv))$/),
      size: z.int().min(0),
      sha256: z.string(),
    }),
  ),
});
type ReportManifest = z.infer<typeof schema>;

/** A digest of all that the report is made from. */
export const digestOfRun = (run: RunData): string => sha256(JSON.stringify(run));

/** Writes `report.json`, after all that it names. @param paths of the report's files, below `runFolder`. */
export async function writeReportManifest(runFolder: string, run: RunData, paths: readonly string[]): Promise<void> {
  const files = [];
  for (const path of paths)
    files.push({ path: relative(runFolder, path).split(sep).join("/"), ...(await nodeFileSystem.digest(path)) });
  const manifest: ReportManifest = { schema: "nullscope/report@1", from: digestOfRun(run), files };
  const text = new TextEncoder().encode(sealJson(`${JSON.stringify(manifest, null, 2)}\n`));
  await writeAtomically(nodeFileSystem, join(runFolder, REPORT_MANIFEST), text);
}

/** How a run's report stands. */
export interface ReportCheck {
  /** Whether there is a report at all. */
  readonly present: boolean;
  readonly damaged: readonly Damage[];
  /** What the report was made from; undefined where its manifest does not tell. */
  readonly from: string | undefined;
  /** Its files, by their paths from the run's folder. */
  readonly files: readonly string[];
}

/** Compares the report's files with `report.json`, by hash. Never throws for what it finds. */
export async function checkReport(runFolder: string): Promise<ReportCheck> {
  const none = { from: undefined, files: [] };
  let json: unknown;
  try {
    json = await readSealedJson(nodeFileSystem, join(runFolder, REPORT_MANIFEST), "it is written anew");
  } catch {
    const reason = `${REPORT_MANIFEST} was changed after it was written`;
    return { present: true, damaged: [{ path: REPORT_MANIFEST, reason }], ...none };
  }
  if (json === undefined) {
    // Without it nothing vouches for the page: a process was killed before the last of the report's files.
    const present = (await nodeFileSystem.kind(join(runFolder, "report.html"))) === "file";
    const damaged = present ? [{ path: REPORT_MANIFEST, reason: `${REPORT_MANIFEST} is missing` }] : [];
    return { present, damaged, ...none };
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const reason = `${REPORT_MANIFEST} is not a manifest of this version`;
    return { present: true, damaged: [{ path: REPORT_MANIFEST, reason }], ...none };
  }
  const damaged: Damage[] = [];
  for (const { path, size, sha256: expected } of parsed.data.files) {
    const found = await nodeFileSystem.digest(join(runFolder, path)).catch((error: unknown) => {
      if (errorCode(error) === undefined) throw error;
      return undefined;
    });
    if (found === undefined) damaged.push({ path, reason: `${path} is missing or cannot be read` });
    else if (found.size !== size || found.sha256 !== expected)
      damaged.push({ path, reason: `${path} does not have the sha256 of ${REPORT_MANIFEST}` });
  }
  return { present: true, damaged, from: parsed.data.from, files: parsed.data.files.map(({ path }) => path) };
}
