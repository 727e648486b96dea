import { open } from "node:fs/promises";
import { UserError } from "../errors.js";

/**
 * A foreign UTF-8 file as text, without its byte order mark. Its size is asked before anything is read.
 * @throws UserError when it cannot be read, is no regular file, is larger than `maxBytes`, or is not UTF-8.
 */
export async function readForeignText(path: string, maxBytes: number): Promise<string> {
  const unreadable = (error: NodeJS.ErrnoException): never => {
    const reason = error.code === "ENOENT" ? "there is no such file" : (error.code ?? error.message);
    throw new UserError(`Cannot read ${path} (${reason}); check the path.`);
  };
  const file = await open(path, "r").catch(unreadable);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new UserError(`${path} is not a file; give the path of a file.`);
    if (stat.size > maxBytes)
      throw new UserError(`${path} has ${stat.size} bytes, more than the ${maxBytes} that such a file may have.`);
    // A file that grows meanwhile is read no further than it was.
    const bytes = Buffer.alloc(stat.size);
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

/** Bytes as UTF-8 text, without a byte order mark. @throws UserError when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${where} is not UTF-8 text; save it as UTF-8.`);
  }
}
