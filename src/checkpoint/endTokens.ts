import { join } from "node:path";
import { UserError } from "../errors.js";
import { readForeignJson } from "./foreignJson.js";
import { exists } from "./foreignText.js";
import type { StrictJson } from "./strictJson.js";

const MAX_BYTES = 4_000_000;

/**
 * The tokens that end an answer: `eos_token_id` of `generation_config.json`, which chat models list several in, else that of `config.json`; none where neither has it.
 * @throws UserError for an id that is no token of the model.
 */
export async function endTokenIds(folder: string, vocabulary: number): Promise<number[]> {
  for (const name of ["generation_config.json", "config.json"]) {
    if (!(await exists(join(folder, name)))) continue;
    const config = await readForeignJson(folder, name, MAX_BYTES);
    const given = config instanceof Map ? config.get("eos_token_id") : undefined;
    if (given === undefined || given === null) continue;
    const ids: readonly StrictJson[] = Array.isArray(given) ? given : [given];
    return ids.map((id) => {
      if (typeof id !== "bigint" || id < 0n || id >= BigInt(vocabulary))
        throw new UserError(
          `${join(folder, name)}: eos_token_id must name tokens of the model, whole numbers below ${vocabulary}.`,
        );
      return Number(id);
    });
  }
  return [];
}
