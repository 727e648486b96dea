import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { canonicalJson, type JsonValue } from "./canonicalJson.js";
import { errorCode, type FileSystem } from "./fileSystem.js";

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
  | { readonly state: "damaged"; readonly reason: string }
  | { readonly state: "whole"; readonly manifest: StageManifest };

/** Reads a stage's manifest and compares every output with it, byte for byte by hash. Never throws for what it finds in the folder. */
export async function checkStage(files: FileSystem, folder: string, identity?: string): Promise<StageCheck> {
  if ((await files.kind(folder)) === "absent") return { state: "absent" };
  const damaged = (reason: string): StageCheck => ({ state: "damaged", reason });
  let manifest: StageManifest;
  try {
    const parsed = manifestSchema.safeParse(
      JSON.parse(new TextDecoder().decode(await files.read(join(folder, MANIFEST)))),
    );
    if (!parsed.success) return damaged("its manifest.json is not a manifest of this version");
    manifest = parsed.data;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return damaged("it has no manifest.json");
    if (error instanceof SyntaxError) return damaged("its manifest.json is no valid JSON");
    if (errorCode(error) !== undefined) return damaged(`its manifest.json cannot be read (${errorCode(error)})`);
    throw error;
  }
  const { sha256: seal, ...fields } = manifest;
  if (sha256(canonicalJson(fields as JsonValue)) !== seal)
    return damaged("its manifest.json was changed after it was written");
  if (identity !== undefined && manifest.identity !== identity) return damaged("its manifest.json is of another stage");
  const listed = new Set(manifest.outputs.map((output) => output.path));
  try {
    const unlisted = (await listOutputs(files, folder)).files.find((path) => !listed.has(path));
    if (unlisted !== undefined) return damaged(`${unlisted} is not in its manifest`);
  } catch (error) {
    return damaged(`it cannot be listed (${error instanceof Error ? error.message : String(error)})`);
  }
  for (const output of manifest.outputs) {
    try {
      const bytes = await files.read(join(folder, output.path));
      if (bytes.length !== output.size)
        return damaged(`${output.path} has ${bytes.length} bytes instead of ${output.size}`);
      if (sha256(bytes) !== output.sha256) return damaged(`${output.path} does not have the sha256 of its manifest`);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      return damaged(
        errorCode(error) === "ENOENT"
          ? `${output.path} is missing`
          : `${output.path} cannot be read (${errorCode(error)})`,
      );
    }
  }
  return { state: "whole", manifest };
}
