import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { link, lstat, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { UserError } from "../errors.js";

/**
 * The operations that the run store is made of. A test hands in its own, to count them, to fail them, to stop after any
 * one of them. Folders are plain paths; every method rejects with Node's errors.
 */
export interface FileSystem {
  /** Makes one folder and fails when it exists (EEXIST): the claim of who was first. */
  makeFolder(path: string): Promise<void>;
  /** Makes a folder and its parents where missing. */
  ensureFolder(path: string): Promise<void>;
  /** Names in a folder, sorted. */
  list(path: string): Promise<string[]>;
  kind(path: string): Promise<"file" | "folder" | "other" | "absent">;
  read(path: string): Promise<Uint8Array>;
  /** Size in bytes and sha256, in hex, of a file of any size, which is never in memory as a whole. */
  digest(path: string): Promise<{ readonly size: number; readonly sha256: string }>;
  /** Size in bytes, and a text that changes whenever the file is written, replaced or restored; undefined where there is nothing. */
  stamp(
    path: string,
  ): Promise<{ readonly size: number; readonly stamp: string; readonly changedMs: number } | undefined>;
  /** Creates or replaces a file's content; not durable until `sync`. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Gives a file a second name and fails when that exists (EEXIST). */
  link(existing: string, added: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a folder with all in it; nothing there is fine. */
  remove(path: string): Promise<void>;
  /** fsync of a file, or of a folder (its entries). */
  sync(path: string): Promise<void>;
}

/** The real file system. */
export const nodeFileSystem: FileSystem = {
  makeFolder: async (path) => void (await mkdir(path)),
  ensureFolder,
  list: async (path) => (await readdir(path)).sort(),
  kind: async (path) => {
    try {
      const stat = await lstat(path);
      return stat.isFile() ? "file" : stat.isDirectory() ? "folder" : "other";
    } catch (error) {
      if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return "absent";
      throw error;
    }
  },
  read: async (path) => new Uint8Array(await readFile(path)),
  digest,
  stamp,
  write: (path, bytes) => put(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, bytes),
  append: (path, bytes) => put(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, bytes),
  link,
  rename,
  // Tried again when an old attempt, about to lose, still writes into the folder.
  remove: (path) => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  sync,
};

async function sync(path: string): Promise<void> {
  // Windows opens no folder as a file, and has nothing to sync in it.
  if (process.platform === "win32" && (await stat(path)).isDirectory()) return;
  const handle = await open(path, process.platform === "win32" ? "r+" : "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function digest(path: string) {
  const hash = createHash("sha256");
  let size = 0;
  const handle = await open(path, "r");
  try {
    const block = new Uint8Array(Math.min(1 << 20, Math.max(1, (await handle.stat()).size)));
    for (;;) {
      const { bytesRead } = await handle.read(block, 0, block.length, null);
      if (bytesRead === 0) return { size, sha256: hash.digest("hex") };
      hash.update(block.subarray(0, bytesRead));
      size += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** `changedMs`: when the file was last changed, by the file system's clock. */
async function stamp(path: string) {
  try {
    // The time of change too: unlike the time of writing, no program can set it back.
    const { size, ino, mtimeNs, ctimeNs } = await lstat(path, { bigint: true });
    const changedMs = Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1_000_000n);
    return { size: Number(size), stamp: `${ino}:${mtimeNs}:${ctimeNs}`, changedMs };
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

// Not mkdir's `recursive`: where the system answers ENOENT for a parent that exists (/proc), it tries for ever.
async function ensureFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
    await sync(dirname(path)); // a new folder outlives a power cut only with its parent's entry
  } catch (error) {
    if (errorCode(error) === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (errorCode(error) === "EEXIST") throw Object.assign(new Error(`${path} is a file`), { code: "ENOTDIR" });
    if (errorCode(error) !== "ENOENT" || dirname(path) === path) throw error;
    await ensureFolder(dirname(path));
    await mkdir(path).catch((again: unknown) => {
      if (errorCode(again) !== "EEXIST") throw again; // another process may make it in between
    });
    await sync(dirname(path));
  }
}

async function put(path: string, flags: number, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, flags, 0o666);
  try {
    await handle.writeFile(bytes);
  } finally {
    await handle.close();
  }
}

/** The system's short name of what went wrong: "ENOSPC". Undefined for other errors. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

// The faults that a user can mend, in their words. Anything else is ours to explain.
const FAULTS: ReadonlyMap<string, string> = new Map([
  ["ENOSPC", "the disk is full; free some space and run the same command again"],
  ["EDQUOT", "your disk quota is used up; free some space and run the same command again"],
  ["EACCES", "permission is denied; choose another folder or change its permissions"],
  ["EPERM", "the operation is not permitted; choose another folder or change its permissions"],
  ["EROFS", "the file system is read-only; choose another folder with --runs"],
  ["ENOTDIR", "a part of its path is a file, not a folder; choose another folder with --runs"],
  ["ENOENT", "it is not there, or its folder was deleted meanwhile; run the same command again"],
  ["EIO", "the disk reports an input/output error; check the disk"],
  ["EMFILE", "too many files are open; raise the limit (ulimit -n)"],
  ["ENAMETOOLONG", "the path is too long; choose a shorter name or folder"],
  ["ELOOP", "its path goes in a circle of links; choose another folder"],
]);

/** Runs `work`; a fault of the file system becomes a UserError that says what could not be done, where, and what to do. */
export async function orUserError<T>(what: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asUserError(error, what, path);
  }
}

/** A fault of the file system as a UserError; any other error unchanged. */
export function asUserError(error: unknown, what: string, path: string): unknown {
  const fault = FAULTS.get(errorCode(error) ?? "");
  return fault === undefined ? error : new UserError(`Cannot ${what} ${path}: ${fault}.`, { cause: error });
}

/** Writes a file so that a reader sees the old content or the new, never a part: temporary file, fsync, rename, fsync of the folder. */
export async function writeAtomically(files: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${hostname()}-${process.pid}.tmp`;
  try {
    await files.write(temporary, bytes);
    await files.sync(temporary);
    await files.rename(temporary, path);
    await files.sync(dirname(path));
  } catch (error) {
    await files.remove(temporary).catch(() => {}); // the first error is the one to tell
    throw error;
  }
}
