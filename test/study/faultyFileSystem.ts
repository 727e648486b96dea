import { mkdir } from "node:fs/promises";
import { type FileSystem, nodeFileSystem } from "../../src/study/fileSystem.js";

/** What a crashed process would never come back from: thrown by the operation at which it "died", and by all after it. */
export class Crash extends Error {}

/** The real file system, but nothing waits for the disk: for tests that are about bytes, and many. */
export const unsyncedFileSystem: FileSystem = {
  ...nodeFileSystem,
  ensureFolder: async (path) => void (await mkdir(path, { recursive: true })),
  sync: async () => {},
};

/** The real file system, with a number for each operation and a fault at the one that `fault` chooses. */
export function faultyFileSystem(
  fault: (operation: number, name: keyof FileSystem, path: string) => Error | undefined,
  base: FileSystem = nodeFileSystem,
) {
  const operations: string[] = [];
  let crashed: Crash | undefined;
  const wrap =
    <Key extends keyof FileSystem>(name: Key) =>
    async (...parameters: Parameters<FileSystem[Key]>) => {
      if (crashed !== undefined) throw crashed; // a dead process does nothing more, not even clean up
      const error = fault(operations.push(`${name} ${parameters[0]}`) - 1, name, String(parameters[0]));
      if (error instanceof Crash) crashed = error;
      if (error !== undefined) throw error;
      return (base[name] as (...args: unknown[]) => Promise<unknown>)(...parameters);
    };
  const files = Object.fromEntries(
    (Object.keys(nodeFileSystem) as (keyof FileSystem)[]).map((name) => [name, wrap(name)]),
  );
  return { files: files as unknown as FileSystem, operations };
}

/** An error as the system would report it. */
export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: planted`), { code });
}
