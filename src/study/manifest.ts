import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.js";
import { canonicalJson, type JsonValue } from "./canonicalJson.js";
import { errorCode, type FileSystem } from "./fileSystem.js";
import { readSealedJson, sealJson } from "./seal.js";

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

const manifestSchema = z.strictObject({
  schema: z.literal("nullscope/stage@1"),
  kind: z.string(),
  name: z.string(),
  identity: sha256Hex,
  version: z.number(),
  config: z.json(),
  /** Identities of the inputs, by name. */
  inputs: z.array(z.strictObject({ name: z.string(), identity: sha256Hex })),
  /** `diverged`: the numbers went wrong; `diverged.json` says where. Nothing may be built on it. */
  outcome: z.enum(["done", "diverged"]),
  outputs: z.array(z.strictObject({ path: z.string(), size: z.int().min(0), sha256: sha256Hex })),
  /** How often this stage had been started when it was finished, this time included. */
  attempt: z.int().min(1),
  started: z.string(),
  finished: z.string(),
  durationSeconds: z.number().min(0),
  /** sha256 of the canonical JSON of all the other fields: a torn or edited manifest does not verify. */
  sha256: sha256Hex,
});

/** `manifest.json` of a stage: what it is, what it was made from, and the hash of every file in it. */
export type StageManifest = z.infer<typeof manifestSchema>;

export const MANIFEST = "manifest.json";

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The manifest's text, sealed with its own hash. */
export function sealManifest(fields: Omit<StageManifest, "schema" | "sha256">): string {
  const unsealed = { schema: "nullscope/stage@1", ...fields } as const;
  return `${JSON.stringify({ ...unsealed, sha256: sha256(canonicalJson(unsealed as JsonValue)) }, null, 2)}\n`;
}

/** Every file below `folder`, as paths from it with forward slashes, sorted; the manifest itself left out. */
export async function listOutputs(files: FileSystem, folder: string): Promise<{ files: string[]; folders: string[] }> {
  const found: { files: string[]; folders: string[] } = { files: [], folders: [] };
  const walk = async (prefix: string): Promise<void> => {
    for (const name of await files.list(join(folder, prefix))) {
      const path = prefix === "" ? name : `${prefix}/${name}`;
      const kind = await files.kind(join(folder, path));
      if (kind === "folder") {
        found.folders.push(path);
        await walk(path);
      } else if (kind === "absent") throw Object.assign(new Error(`${path} was deleted meanwhile`), { code: "ENOENT" });
      else if (kind !== "file") throw new Error(`a stage may write files and folders only, but ${path} is neither`);
      else if (path !== MANIFEST) found.files.push(path);
    }
  };
  await walk("");
  return found;
}

/** A stage folder as its reader found it. */
export type StageCheck =
  | { readonly state: "absent" }
  /** `path`: of the file that is wrong, from the stage's folder; the manifest where the folder as a whole is. */
  | { readonly state: "damaged"; readonly path: string; readonly reason: string }
  /** `removed`: outputs that are gone on purpose; empty where only the manifest was read. */
  | { readonly state: "whole"; readonly manifest: StageManifest; readonly removed: readonly string[] };

/** One file of a stage that is not what its manifest says. */
export interface Damage {
  readonly path: string;
  readonly reason: string;
}

/** Reads a stage's manifest alone and checks it by its own hash; the outputs are not looked at. Never throws for what it finds. */
export async function readManifest(files: FileSystem, folder: string, identity?: string): Promise<StageCheck> {
  if ((await files.kind(folder)) === "absent") return { state: "absent" };
  const damaged = (reason: string): StageCheck => ({ state: "damaged", path: MANIFEST, reason });
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder().decode(await files.read(join(folder, MANIFEST)));
    json = JSON.parse(text);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return damaged("it has no manifest.json");
    if (error instanceof SyntaxError) return damaged("its manifest.json is no valid JSON");
    if (errorCode(error) !== undefined) return damaged(`its manifest.json cannot be read (${errorCode(error)})`);
    throw error;
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) return damaged("its manifest.json is not a manifest of this version");
  const manifest = parsed.data;
  const { sha256: seal, ...fields } = manifest;
  // The text too, or a line feed that became a space would pass.
  if (sha256(canonicalJson(fields as JsonValue)) !== seal || `${JSON.stringify(json, null, 2)}\n` !== text)
    return damaged("its manifest.json was changed after it was written");
  if (identity !== undefined && manifest.identity !== identity) return damaged("its manifest.json is of another stage");
  return { state: "whole", manifest, removed: [] };
}

/** Beside a manifest: outputs that were removed on purpose, so that a stage without them is not a damaged one. */
export const REMOVED = "removed.json";

const removedSchema = z.strictObject({ schema: z.literal("nullscope/removed@1"), paths: z.array(z.string()) });

/** The text of a stage's `removed.json`. */
export const removedText = (paths: readonly string[]): string =>
  sealJson(`${JSON.stringify({ schema: "nullscope/removed@1", paths }, null, 2)}\n`);

/** A stage's outputs against its manifest. */
export interface OutputsCheck {
  /** Every file that differs, is missing, or is not in the manifest. */
  readonly damaged: readonly Damage[];
  /** Outputs that are gone because they were removed on purpose. */
  readonly removed: readonly string[];
}

/**
 * Looks at every output of a stage; each is hashed.
 * @param hash false: what is in the files is known, only their names are looked at.
 */
export async function checkOutputs(
  files: FileSystem,
  folder: string,
  manifest: StageManifest,
  { hash = true } = {},
): Promise<OutputsCheck> {
  const damaged: Damage[] = [];
  const listed = new Set(manifest.outputs.map((output) => output.path));
  let present: ReadonlySet<string> = new Set();
  let allowed: ReadonlySet<string> = new Set();
  try {
    present = new Set((await listOutputs(files, folder)).files);
    for (const path of present)
      if (path === REMOVED) allowed = await removedPaths(files, folder);
      else if (!listed.has(path)) damaged.push({ path, reason: `${path} is not in its manifest` });
  } catch (error) {
    if (error instanceof UserError) damaged.push({ path: REMOVED, reason: error.message });
    else {
      const reason = `it cannot be listed (${error instanceof Error ? error.message : String(error)})`;
      damaged.push({ path: MANIFEST, reason });
    }
  }
  const removed = [...allowed].filter((path) => listed.has(path) && !present.has(path));
  for (const output of hash ? manifest.outputs : []) {
    if (removed.includes(output.path)) continue;
    const reason = await outputFault(files, folder, output);
    if (reason !== undefined) damaged.push({ path: output.path, reason });
  }
  return { damaged, removed };
}

/** What `removed.json` says. @throws UserError where it is not as it was written. */
async function removedPaths(files: FileSystem, folder: string): Promise<ReadonlySet<string>> {
  const json = await readSealedJson(files, join(folder, REMOVED), "run the study again, it makes the stage anew");
  const parsed = removedSchema.safeParse(json);
  if (!parsed.success) throw new UserError(`${REMOVED} is no list of removed files of this version.`);
  return new Set(parsed.data.paths);
}

type Output = StageManifest["outputs"][number];

async function outputFault(files: FileSystem, folder: string, output: Output): Promise<string | undefined> {
  try {
    return mismatch(output, await files.digest(join(folder, output.path)));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return errorCode(error) === "ENOENT"
      ? `${output.path} is missing`
      : `${output.path} cannot be read (${errorCode(error)})`;
  }
}

function mismatch(output: Output, found: Omit<Output, "path">): string | undefined {
  if (found.size !== output.size) return `${output.path} has ${found.size} bytes instead of ${output.size}`;
  return found.sha256 === output.sha256 ? undefined : `${output.path} does not have the sha256 of its manifest`;
}

/** Reads a stage's manifest and compares every output with it, byte for byte by hash. Never throws for what it finds in the folder. */
export async function checkStage(files: FileSystem, folder: string, identity?: string): Promise<StageCheck> {
  const read = await readManifest(files, folder, identity);
  if (read.state !== "whole") return read;
  const { damaged, removed } = await checkOutputs(files, folder, read.manifest);
  return damaged[0] === undefined ? { ...read, removed } : { state: "damaged", ...damaged[0] };
}

/**
 * An output of a finished stage, compared with its manifest by the very bytes that are returned.
 * @throws UserError naming the file where it differs or cannot be read; Error where the manifest has no such output.
 */
export async function readOutput(
  files: FileSystem,
  folder: string,
  { outputs }: StageManifest,
  path: string,
): Promise<Uint8Array> {
  const output = outputs.find((one) => one.path === path);
  if (output === undefined) throw new Error(`${folder} has no output ${path}`);
  const damaged = (reason: string) =>
    new UserError(`${join(folder, path)} is damaged: ${reason}; run the study again, it rebuilds the file.`);
  const bytes = await files.read(join(folder, path)).catch((error: unknown) => {
    if (errorCode(error) === undefined) throw error;
    throw damaged(errorCode(error) === "ENOENT" ? "it is missing" : `it cannot be read (${errorCode(error)})`);
  });
  const reason = mismatch(output, { size: bytes.length, sha256: sha256(bytes) });
  if (reason !== undefined) throw damaged(reason);
  return bytes;
}
