import { UserError } from "../errors.js";
import type { SafetensorsHeader } from "./safetensorsHeader.js";
import { quoteName, type StrictJson } from "./strictJson.js";

/** One file of the folder, by its name alone. */
const SHARD_NAME = /^[A-Za-z0-9._-]+\.safetensors$/;

/**
 * Tensor name to shard name, from the JSON of `model.safetensors.index.json`. `metadata` (total_size) is a hint that nothing here needs.
 * @param where names the index in errors. @throws UserError for a map that is missing or empty, and for a name that is not one file here.
 */
export function weightMapOf(json: StrictJson, where: string): ReadonlyMap<string, string> {
  if (!(json instanceof Map)) throw new UserError(`${where} is ${kindOf(json)}, not a JSON object with a weight_map.`);
  const map = json.get("weight_map");
  if (map === undefined) throw new UserError(`${where} has no weight_map, which says where each tensor is.`);
  if (!(map instanceof Map))
    throw new UserError(`${where}: weight_map is ${kindOf(map)}; it must map each tensor's name to a file's.`);
  if (map.size === 0) throw new UserError(`${where}: weight_map is empty; an index names at least one tensor.`);
  for (const [tensor, shard] of map) checkShardName(shard, `${where}: tensor ${quoteName(tensor)}`);
  return map as ReadonlyMap<string, string>;
}

/** Names in the order of what they try, so that each refusal says its own reason. */
function checkShardName(shard: StrictJson, where: string): void {
  if (typeof shard !== "string")
    throw new UserError(`${where} is said to be in ${kindOf(shard)}, not in a file's name.`);
  const fail = (why: string): never => {
    throw new UserError(
      `${where} is said to be in ${quoteName(shard)}, ${why}; only files of the folder itself are read.`,
    );
  };
  if (shard === "") fail("an empty name");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\u0000-\u001f\u007f]/.test(shard)) fail("a name with a control character");
  if (/^[A-Za-z][A-Za-z0-9+.-]+:\//.test(shard) || shard.startsWith("//")) fail("a URL, and nothing is fetched");
  if (shard.startsWith("\\\\")) fail("a network path");
  if (shard.startsWith("/") || /^[A-Za-z]:/.test(shard)) fail("an absolute path");
  if (/^\.+$/.test(shard)) fail("a folder");
  if (shard.includes("%")) fail("a name in URL encoding");
  const parts = shard.split(/[\\/]/);
  if (parts.includes("..")) fail("a path that leads out of the folder");
  if (parts.length > 1) fail("a path into another folder");
  if (!shard.endsWith(".safetensors")) fail("which is no safetensors file");
  if (!SHARD_NAME.test(shard)) fail("a name with other characters than letters, digits, dot, _ and -");
}

function kindOf(value: StrictJson): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (value instanceof Map) return "an object";
  return typeof value === "bigint" ? "a number" : `a ${typeof value}`;
}

/**
 * Every tensor of the index is in the shard that it names and in no other, and the shards hold nothing else.
 * @throws UserError that names the tensor and the shards.
 */
export function checkIndex(
  weightMap: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, Pick<SafetensorsHeader, "tensors">>,
  where: string,
): void {
  const holders = new Map<string, string[]>();
  for (const [shard, { tensors }] of shards)
    for (const name of tensors.keys()) holders.set(name, [...(holders.get(name) ?? []), shard]);
  for (const [name, shard] of weightMap) {
    const found = holders.get(name);
    const tensor = `${where}: tensor ${quoteName(name)}`;
    if (found === undefined) throw new UserError(`${tensor} is listed in ${shard}, but no shard holds it.`);
    if (found.length > 1)
      throw new UserError(
        `${tensor} is in two shards, ${found[0]} and ${found[1]}; which one is meant cannot be known.`,
      );
    if (found[0] !== shard) throw new UserError(`${tensor} is listed in ${shard}, but is in ${found[0]}.`);
  }
  for (const [name, [shard]] of holders)
    if (!weightMap.has(name))
      throw new UserError(
        `${where} does not list tensor ${quoteName(name)}, which is in ${shard}; copy the index again.`,
      );
}
