import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { closest } from "fastest-levenshtein";
import { parseStrictJson } from "../checkpoint/strictJson.js";
import { UserError } from "../errors.js";
import { parseWorld, type World } from "../world/index.js";
import { errorCode, type FileSystem, nodeFileSystem } from "./fileSystem.js";

/** The worlds that come with the package. */
const SHIPPED = fileURLToPath(new URL("../../worlds/", import.meta.url));

/** The paper's world has 8 kB; a file of this size is something else. */
const MAX_WORLD_BYTES = 10_000_000;

/**
 * A shipped world by its name, or a world file by its path (it ends in .json or holds a slash).
 * @throws UserError for an unknown name, naming the nearest, and for a file that is unreadable or no world.
 */
export async function loadWorld(nameOrPath: string, files: FileSystem = nodeFileSystem): Promise<World> {
  const isPath = /[\\/]|\.json$/i.test(nameOrPath);
  const path = isPath ? nameOrPath : join(SHIPPED, `${nameOrPath}.json`);
  let bytes: Uint8Array;
  try {
    bytes = await files.read(path);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    if (isPath)
      throw new UserError(
        `Cannot read the world file ${path} (${code === "ENOENT" ? "there is no such file" : code}); check the path.`,
      );
    const known = await shippedWorlds(files);
    throw new UserError(
      `There is no world ${JSON.stringify(nameOrPath)}; did you mean ${JSON.stringify(closest(nameOrPath, known))}? Worlds: ${known.join(", ")}, or the path of a .json file.`,
    );
  }
  if (bytes.length > MAX_WORLD_BYTES) throw new UserError(`${path} has ${bytes.length} bytes, too many for a world.`);
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : "it is not UTF-8 text";
    throw new UserError(`The world file ${path} is not valid JSON: ${reason}.`);
  }
  parseStrictJson(text, `The world file ${path}`); // JSON.parse keeps the last of two equal keys without a word
  return parseWorld(json, path);
}

/** Names of the worlds that come with the package, sorted. */
export async function shippedWorlds(files: FileSystem = nodeFileSystem): Promise<string[]> {
  return (await files.list(SHIPPED))
    .filter((name) => name.endsWith(".json"))
    .map((name) => name.slice(0, -".json".length));
}
