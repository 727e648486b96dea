import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.js";
import { fileInside } from "./foreignJson.js";

/**
 * A foreign UTF-8 file as text, without its byte order mark. Its size is asked before anything is read.
 * @throws UserError when it cannot be read, is no regular file, is larger than `maxBytes`, or is not UTF-8.
 */
export async function readForeignText(path: string, maxBytes: number): Promise<string> {
  const unreadable = (error: NodeJS.ErrnoException): never => {
    const reason = error.code === "ENOENT" ? "there is no such file" : (error.code ?? error.message);
    throw new UserError(`Cannot read ${path} (${reason}); check the path.`);
  };
  // Before it is opened: opening a pipe would wait for ever.
  if (!(await stat(path).catch(unreadable)).isFile())
    throw new UserError(`${path} is not a file; give the path of a file.`);
  const file = await open(path, "r").catch(unreadable);
  try {
    const { size } = await file.stat();
    if (size > maxBytes)
      throw new UserError(`${path} has ${size} bytes, more than the ${maxBytes} that such a file may have.`);
    // A file that grows meanwhile is read no further than it was.
    const bytes = Buffer.alloc(size);
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled).catch(unreadable);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return decodeUtf8(bytes.subarray(0, filled), path);
  } finally {
    await file.close();
  }
}

/** The same of a file of a checkpoint folder, which must lie in it (`fileInside`). @throws UserError */
export async function readTextInside(folder: string, name: string, maxBytes: number): Promise<string> {
  if (!(await exists(join(folder, name))))
    throw new UserError(`Cannot read ${join(folder, name)} (there is no such file); check the path.`);
  return await readForeignText(await fileInside(folder, name), maxBytes);
}

export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/** Bytes as UTF-8 text, without a byte order mark. @throws UserError when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${where} is not UTF-8 text; save it as UTF-8.`);
  }
}
