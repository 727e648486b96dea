import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { canonicalJson, type JsonValue } from "./canonicalJson.js";
import { errorCode, type FileSystem } from "./fileSystem.js";
import { listOutputs, sha256 } from "./manifest.js";
import type { StateContent } from "./stage.js";

/*
 * Beside a stage's folder, `stages/KIND-HASH`, lie the attempts at it, `.KIND-HASH.attempt-N`, and what the attempts saved on their way,
 * `.KIND-HASH.attempt-N.state-STEP`. States lie outside the attempt's folder, so that they outlive it: a new attempt clears the folders of
 * older ones away, and goes on from the newest whole state that any of them left.
 */

const STATE = "state.json";
/** Two, so that one is left when the disk damages the other. */
const KEPT = 2;

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
const plainName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/);
const relativePath = z.string().regex(/^(?!.*(^|\/)\.\.?(\/|$))[^/\\\0]+(\/[^/\\\0]+)*$/);

const stateSchema = z.strictObject({
  schema: z.literal("nullscope/state@1"),
  identity: sha256Hex,
  attempt: z.int().min(1),
  step: z.int().min(1),
  /** What computed the steps so far. Another version may differ in the last digits, so it begins anew. */
  versions: z.record(z.string(), z.string()),
  note: z.json(),
  /** Every file of the state; `output` is where in the stage's folder it belongs, for what the stage had written by then. */
  files: z.array(
    z.strictObject({
      name: plainName,
      size: z.int().min(0),
      sha256: sha256Hex,
      output: relativePath.optional(),
    }),
  ),
  /** sha256 of the canonical JSON of all the other fields. */
  sha256: sha256Hex,
});

/** `state.json`: which step of which stage, and the hash of every file of the state. */
type StateManifest = z.infer<typeof stateSchema>;

/** The text of `state.json`, sealed with its own hash. */
export function sealState(fields: Omit<StateManifest, "schema" | "sha256">): string {
  const unsealed = { ...fields, schema: "nullscope/state@1" } as const;
  return `${JSON.stringify({ ...unsealed, sha256: sha256(canonicalJson(unsealed as JsonValue)) }, null, 2)}\n`;
}

/** Whose state it is. */
export interface StateOwner {
  /** Where the stage will lie when it is finished. */
  readonly stageFolder: string;
  readonly identity: string;
  readonly attempt: number;
  /** The attempt's own folder, with what the stage has written so far. */
  readonly attemptFolder: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** A state that lies in the store, by its name alone. */
interface NamedState {
  readonly folder: string;
  readonly attempt: number;
  readonly step: number;
}

const stateFolder = ({ stageFolder, attempt }: StateOwner, step: number) =>
  join(dirname(stageFolder), `.${basename(stageFolder)}.attempt-${attempt}.state-${step}`);

/** The states of a stage, the one of most steps first; of equal ones, the one of the newest attempt. */
export async function listStates(files: FileSystem, stageFolder: string): Promise<NamedState[]> {
  const prefix = `.${basename(stageFolder)}.attempt-`;
  const states: NamedState[] = [];
  for (const name of await files.list(dirname(stageFolder))) {
    const numbers = name.startsWith(prefix) && /^([0-9]{1,9})\.state-([0-9]{1,9})$/.exec(name.slice(prefix.length));
    if (numbers)
      states.push({
        folder: join(dirname(stageFolder), name),
        attempt: Number(numbers[1]),
        step: Number(numbers[2]),
      });
  }
  return states.sort((a, b) => b.step - a.step || b.attempt - a.attempt);
}

/**
 * Commits a state as a stage is committed: written aside, every file and the folder synced, renamed, the parent synced. What the stage wrote
 * into its folder so far is part of it. Then states that are no longer needed go.
 * @param overtaken throws when a newer attempt has begun: a late writer adds nothing.
 */
export async function saveState(
  files: FileSystem,
  owner: StateOwner,
  { step, note, files: own }: StateContent,
  overtaken: () => Promise<void>,
): Promise<void> {
  const folder = stateFolder(owner, step);
  const aside = `${folder}.tmp`;
  try {
    await files.makeFolder(aside);
    const written: StateManifest["files"] = [];
    const put = async (name: string, bytes: Uint8Array, output?: string) => {
      await files.write(join(aside, name), bytes);
      await files.sync(join(aside, name));
      written.push({ name, size: bytes.length, sha256: sha256(bytes), ...(output !== undefined && { output }) });
    };
    for (const [name, bytes] of own) await put(name, bytes);
    for (const [index, output] of (await listOutputs(files, owner.attemptFolder)).files.entries())
      await put(`output-${index}`, await files.read(join(owner.attemptFolder, output)), output);
    const { identity, attempt, versions } = owner;
    const text = sealState({ identity, attempt, step, versions, note: note as StateManifest["note"], files: written });
    await files.write(join(aside, STATE), new TextEncoder().encode(text));
    await files.sync(join(aside, STATE));
    await files.sync(aside);
    await overtaken();
    await files.rename(aside, folder);
  } catch (error) {
    await files.remove(aside).catch(() => {}); // the first error is the one to tell
    throw error;
  }
  await files.sync(dirname(folder));
  const mine = (await listStates(files, owner.stageFolder)).filter((one) => one.attempt <= owner.attempt);
  for (const old of mine.slice(KEPT)) await files.remove(old.folder);
}

/** Removes every state of the stage: it is finished. Those of newer attempts stay, there are none unless this one is late. */
export async function removeStates(
  files: FileSystem,
  { stageFolder, attempt }: Pick<StateOwner, "stageFolder" | "attempt">,
): Promise<void> {
  for (const one of await listStates(files, stageFolder)) if (one.attempt <= attempt) await files.remove(one.folder);
}

/**
 * The newest whole state that any attempt left; what the stage had written by then is back in the attempt's folder. Undefined where there is none.
 * @param refuse a reason not to go on from a state that is whole, as a clause.
 * @param rejected is told of every state that was passed over, and why; it is removed.
 */
export async function loadState(
  files: FileSystem,
  owner: StateOwner,
  refuse: (content: StateContent) => string | undefined,
  rejected: (folder: string, reason: string) => void,
): Promise<(StateContent & { readonly outputs: ReadonlyMap<string, Uint8Array> }) | undefined> {
  for (const { folder, step } of await listStates(files, owner.stageFolder)) {
    const found = await readState(files, owner, folder, step);
    const reason = typeof found === "string" ? found : refuse(found.content);
    if (typeof found !== "string" && reason === undefined) {
      for (const [output, bytes] of found.outputs) {
        await makeFoldersOf(files, owner.attemptFolder, output);
        await files.write(join(owner.attemptFolder, output), bytes);
      }
      return { ...found.content, outputs: found.outputs };
    }
    rejected(folder, reason!);
    await files.remove(folder);
  }
  return undefined;
}

/** The folders between an attempt and one of its files; not the attempt's own: when that was deleted, the attempt has lost. */
async function makeFoldersOf(files: FileSystem, attemptFolder: string, output: string): Promise<void> {
  const folders = output.split("/").slice(0, -1);
  for (const depth of folders.keys())
    await files.makeFolder(join(attemptFolder, ...folders.slice(0, depth + 1))).catch((error: unknown) => {
      if (errorCode(error) !== "EEXIST") throw error;
    });
}

/** A state, every byte of it verified; or what is wrong with it, as a clause. */
async function readState(
  files: FileSystem,
  { identity, versions }: StateOwner,
  folder: string,
  step: number,
): Promise<string | { content: StateContent; outputs: Map<string, Uint8Array> }> {
  const read = async (name: string) => {
    try {
      return await files.read(join(folder, name));
    } catch (error) {
      const code = errorCode(error);
      if (code === undefined) throw error;
      return code === "ENOENT" ? `${name} is missing` : `${name} cannot be read (${code})`;
    }
  };
  const text = await read(STATE);
  if (typeof text === "string") return text;
  const parsed = parseState(text);
  if (typeof parsed === "string") return parsed;
  const { sha256: seal, ...fields } = parsed;
  if (sha256(canonicalJson(fields as JsonValue)) !== seal) return `its ${STATE} was changed after it was written`;
  if (parsed.identity !== identity || parsed.step !== step) return `its ${STATE} is of another stage or step`;
  const other = Object.entries(versions).find(([name, version]) => parsed.versions[name] !== version);
  if (other !== undefined)
    return `it was made by ${other[0]} ${parsed.versions[other[0]] ?? "of an unknown version"}, and this is ${other[1]}`;
  const own = new Map<string, Uint8Array>();
  const outputs = new Map<string, Uint8Array>();
  for (const { name, size, sha256: expected, output } of parsed.files) {
    const bytes = await read(name);
    if (typeof bytes === "string") return bytes;
    if (bytes.length !== size) return `${name} has ${bytes.length} bytes instead of ${size}`;
    if (sha256(bytes) !== expected) return `${name} does not have the sha256 of its ${STATE}`;
    if (output === undefined) own.set(name, bytes);
    else outputs.set(output, bytes);
  }
  return { content: { step: parsed.step, note: parsed.note, files: own }, outputs };
}

function parseState(bytes: Uint8Array): StateManifest | string {
  try {
    const parsed = stateSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
    return parsed.success ? parsed.data : `its ${STATE} is not a state of this version`;
  } catch {
    return `its ${STATE} is no valid JSON`;
  }
}
