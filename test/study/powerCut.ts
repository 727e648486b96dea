import { cp, lstat, mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { type FileSystem, nodeFileSystem } from "../../src/study/fileSystem.js";
import { Crash } from "./faultyFileSystem.js";

/** How much of what a process did is left on the disk when it ends in the middle. */
export type Crashed =
  /** The process ends; the system lives, so all of it. */
  | "killed"
  /** The power fails: of files what was synced, of folders the names as they were when the folder was synced. */
  | "unsynced lost"
  /** The power fails, and the journal was faster than the data: every name, but of files only what was synced. */
  | "unsynced emptied"
  /** The process ends in the middle of a write or a removal: half of the last one. */
  | "torn";

/** What a disk holds for certain: a file's bytes, or a folder's names. */
type Durable = { readonly bytes: Uint8Array } | { readonly names: ReadonlyMap<string, Named> };
interface Named {
  readonly id: number;
  readonly folder: boolean;
}

const WRITES: readonly (keyof FileSystem)[] = ["write", "append"];

/**
 * The real file system below `root`, which counts its operations and knows what of them is durable. After operation `at` the process is dead
 * and what `crashed` leaves lies in `image`. Files are followed by their inodes, so renamed and linked ones stay what they are.
 */
export async function powerCutFileSystem(root: string, at: number, crashed: Crashed, image: string) {
  const durable = new Map<number, Durable>();
  const ids = new Map<number, number>(); // inode -> our own number: the system gives an inode away again
  let lastId = 0;
  let lastWrite: { id: number; keep: number } | undefined;
  const operations: string[] = [];
  let dead: Crash | undefined;

  const idOf = async (path: string): Promise<number> => {
    const { ino } = await lstat(path);
    const id = ids.get(ino) ?? ++lastId;
    ids.set(ino, id);
    return id;
  };
  const isFolder = async (path: string) => (await lstat(path)).isDirectory();
  const makeDurable = async (path: string): Promise<void> => {
    const id = await idOf(path);
    if (await isFolder(path)) {
      const names = new Map<string, Named>();
      for (const name of await readdir(path)) {
        const inner = join(path, name);
        names.set(name, { id: await idOf(inner), folder: await isFolder(inner) });
      }
      durable.set(id, { names });
    } else {
      durable.set(id, { bytes: await readFile(path) });
      if (lastWrite?.id === id) lastWrite = undefined;
    }
  };
  /** What is removed may come back by its name, but its inode is free for another file. */
  const forget = async (path: string): Promise<void> => {
    const stat = await lstat(path).catch(() => undefined);
    if (stat === undefined) return;
    if (stat.isDirectory()) for (const name of await readdir(path)) await forget(join(path, name));
    await idOf(path);
    if (stat.isDirectory() || stat.nlink === 1) ids.delete(stat.ino);
  };

  const perform = async (name: keyof FileSystem, parameters: unknown[], tear: boolean): Promise<unknown> => {
    const path = String(parameters[0]);
    const call = () => (nodeFileSystem[name] as (...args: unknown[]) => Promise<unknown>)(...parameters);
    if (name === "sync") return makeDurable(path); // what the disk does is played here
    if (name === "remove") {
      if (tear && (await nodeFileSystem.kind(path)) === "folder") {
        const names = (await readdir(path)).sort();
        for (const half of names.slice(0, Math.ceil(names.length / 2))) {
          await forget(join(path, half));
          await nodeFileSystem.remove(join(path, half));
        }
        return undefined;
      }
      await forget(path);
      return call();
    }
    if (name === "rename") await forget(String(parameters[1]));
    if (name === "ensureFolder") {
      const made: string[] = [];
      for (let one = path; (await nodeFileSystem.kind(one)) === "absent"; one = dirname(one)) made.push(one);
      await mkdir(path, { recursive: true });
      for (const one of made) await makeDurable(dirname(one));
      return undefined;
    }
    if (!WRITES.includes(name)) return call();
    const before = name === "append" && (await nodeFileSystem.kind(path)) === "file" ? (await lstat(path)).size : 0;
    await call();
    lastWrite = { id: await idOf(path), keep: before + ((parameters[1] as Uint8Array).length >> 1) };
    return undefined;
  };

  const leave = async (): Promise<void> => {
    if (crashed === "killed" || crashed === "torn") {
      await cp(root, image, { recursive: true });
      for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (crashed === "torn" && entry.isFile() && (await idOf(path)) === lastWrite?.id)
          await truncate(join(image, relative(root, path)), lastWrite.keep);
      }
      return;
    }
    const byNames = async ({ id, folder }: Named, to: string): Promise<void> => {
      const left = durable.get(id);
      if (!folder) return writeFile(to, left !== undefined && "bytes" in left ? left.bytes : "");
      await mkdir(to, { recursive: true });
      for (const [name, inner] of left !== undefined && "names" in left ? left.names : [])
        await byNames(inner, join(to, name));
    };
    const asItStands = async (path: string, to: string): Promise<void> => {
      const left = durable.get(await idOf(path));
      if (!(await isFolder(path))) return writeFile(to, left !== undefined && "bytes" in left ? left.bytes : "");
      await mkdir(to, { recursive: true });
      for (const name of await readdir(path)) await asItStands(join(path, name), join(to, name));
    };
    if (crashed === "unsynced emptied") await asItStands(root, image);
    else await byNames({ id: await idOf(root), folder: true }, image);
  };

  const wrap =
    (name: keyof FileSystem) =>
    async (...parameters: unknown[]) => {
      if (dead !== undefined) throw dead;
      const number = operations.push(`${name} ${relative(root, String(parameters[name === "rename" ? 1 : 0]))}`) - 1;
      const result = await perform(name, parameters, number === at && crashed === "torn");
      if (number !== at) return result;
      dead = new Crash();
      await leave();
      throw dead;
    };
  // What is there at the beginning has long been durable.
  for (const entry of await readdir(root, { recursive: true })) await makeDurable(join(root, entry));
  await makeDurable(root);
  const files = Object.fromEntries(
    (Object.keys(nodeFileSystem) as (keyof FileSystem)[]).map((key) => [key, wrap(key)]),
  );
  return { files: files as unknown as FileSystem, operations };
}
