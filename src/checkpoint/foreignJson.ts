import { open, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { UserError } from "../errors.js";
import { parseStrictJson, type StrictJson } from "./strictJson.js";

/**
 * The real path of a file of a checkpoint folder. It must lie in the folder itself; the one exception is Hugging Face's cache, whose
 * `snapshots/REVISION/` holds links into `blobs/` beside it.
 * @param name one path component. @throws UserError for a missing file, no file (a folder, a pipe), and a link that leads elsewhere.
 */
export async function fileInside(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  const failed = (error: NodeJS.ErrnoException): never => {
    throw new UserError(
      `${path} cannot be opened (${error.code ?? error.message}); check the path and its permissions.`,
    );
  };
  const home = await realpath(folder).catch(failed);
  const target = await realpath(path).catch(failed);
  const inside = (root: string) => {
    const way = relative(root, target);
    return way !== "" && way !== ".." && !way.startsWith(`..${sep}`);
  };
  const snapshots = dirname(home);
  const cached = basename(snapshots) === "snapshots" && inside(join(dirname(snapshots), "blobs"));
  if (!inside(home) && !cached)
    throw new UserError(
      `${path} is a link to a file outside its folder and is not followed; copy the file itself into the folder.`,
    );
  // Before it is opened: opening a pipe would wait for ever.
  if (!(await stat(target).catch(failed)).isFile()) throw new UserError(`${path} is not a file.`);
  return target;
}

/** A JSON file of a checkpoint folder, without JavaScript's traps, its first `maxBytes` at most. @throws UserError. */
export async function readForeignJson(folder: string, name: string, maxBytes: number): Promise<StrictJson> {
  const path = join(folder, name);
  const handle = await open(await fileInside(folder, name), "r").catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${path} cannot be opened (${error.code ?? error.message}); check its permissions.`);
  });
  try {
    const { size } = await handle.stat();
    if (size > maxBytes)
      throw new UserError(`${path} has ${size} bytes, more than the ${maxBytes} that such a file can need.`);
    const bytes = Buffer.alloc(size);
    let at = 0;
    while (at < size) {
      const { bytesRead } = await handle.read(bytes, at, size - at, at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return parseStrictJson(decodeUtf8(bytes.subarray(0, at), path), path);
  } finally {
    await handle.close();
  }
}

function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UserError(`${path} is not valid UTF-8; the file is damaged.`);
  }
}

/** Strict JSON as plain values, for a schema that checks each field: objects without prototype, whole numbers as numbers. */
export function plainJson(value: StrictJson): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plainJson);
  if (!(value instanceof Map)) return value;
  const object = Object.create(null) as Record<string, unknown>;
  for (const [key, member] of value) if (key !== "__proto__") object[key] = plainJson(member);
  return object;
}
