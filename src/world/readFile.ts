import type { z } from "zod";
import { UserError } from "../errors.js";
import { didYouMean, quoted } from "./problems.js";
import { type WorldFile, worldSchema } from "./schema.js";

/** Deeper or larger than any world, and still quick to refuse. */
const MAX_DEPTH = 12;
const MAX_VALUES = 200_000;
const FORBIDDEN_KEYS = new Set(["__proto__", "constructor", "prototype"]);
/** Every key that a world file can have, for "did you mean". */
const KNOWN_KEYS = [
  ["schema", "name", "description", "terminals", "text", "null", "skeleton", "grammars", "operators", "safety"],
  ["pretraining", "tuning", "testShare", "min", "max", "layout", "root", "dominant", "rules"],
  ["names", "twins", "safe", "unsafe", "identityShare", "nullShare", "leftOutOperators", "heldOutRules"],
  ["symbol", "rule"],
].flat();

/**
 * Checks the form of a world file: types, bounds, known keys. What the names mean is checked by `parseWorld`.
 * @throws UserError with one thing that is wrong, as one sentence.
 */
export function readWorldFile(json: unknown, source: string): WorldFile {
  refuseHostile(json, source);
  if (valueAt(json, ["schema"]) === "nullscope/world@1")
    throw new UserError(
      `${source}: this is the older form nullscope/world@1; write skeleton.safeDominant and unsafeDominant as ` +
        `"dominant": { "A": [...], "B": [...] }, and "schema": "nullscope/world@2".`,
    );
  const parsed = worldSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  // A misspelt key often leaves its setting missing as well: the misspelling is the one to tell.
  const { issues } = parsed.error;
  const issue = issues.find((one) => one.code === "unrecognized_keys") ?? issues[0]!;
  throw new UserError(`${source}: ${sentence(issue, json)}`);
}

/** Bounded walk over the value before the schema sees it: depth (a cycle is infinitely deep), size, keys that poison objects. */
function refuseHostile(json: unknown, source: string): void {
  const open: { value: unknown; depth: number }[] = [{ value: json, depth: 0 }];
  let seen = 0;
  for (let item = open.pop(); item; item = open.pop()) {
    if (++seen > MAX_VALUES)
      throw new UserError(
        `${source}: this holds more than ${MAX_VALUES} values, too large for a world; check the file.`,
      );
    if (typeof item.value !== "object" || item.value === null) continue;
    if (item.depth >= MAX_DEPTH)
      throw new UserError(
        `${source}: values are nested more than ${MAX_DEPTH} deep; a world file is flat, check the file.`,
      );
    for (const key of Object.keys(item.value)) {
      if (FORBIDDEN_KEYS.has(key)) throw new UserError(`${source}: the key "${key}" is not allowed; remove it.`);
      open.push({ value: (item.value as Record<string, unknown>)[key], depth: item.depth + 1 });
    }
  }
}

/** One zod issue as words: where, what is wrong, what would be right. */
function sentence(issue: z.core.$ZodIssue, json: unknown): string {
  const where = issue.path.length === 0 ? "the file" : quoted(issue.path.join("."));
  switch (issue.code) {
    case "unrecognized_keys": {
      const key = issue.keys[0]!;
      return `${where} has the unknown key ${quoted(key)}${didYouMean(key, KNOWN_KEYS, "; remove it.")}`;
    }
    case "invalid_type": {
      const found = valueAt(json, issue.path);
      if (found === undefined) return `${where} is missing; it should be of type ${issue.expected}.`;
      return `${where} should be of type ${issue.expected}, not ${quoted(JSON.stringify(found) ?? String(found))}.`;
    }
    case "invalid_value":
      return `${where} should be ${issue.values.map((value) => `"${String(value)}"`).join(" or ")}.`;
    case "invalid_format":
      return `${where}: ${quoted(String(valueAt(json, issue.path)))} ${issue.message}.`;
    case "invalid_key":
      return `${where} ${issue.issues[0]?.message ?? "is not a name"}.`;
    case "too_small":
      return `${where} is too small or too short: at least ${issue.minimum}.`;
    case "too_big":
      return `${where} is too large or too long: at most ${issue.maximum}.`;
    default:
      return `${where}: ${issue.message}.`;
  }
}

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  let value = json;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
