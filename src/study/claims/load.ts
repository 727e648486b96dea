import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { closest } from "fastest-levenshtein";
import type { z } from "zod";
import { UserError } from "../../errors.js";
import { errorCode, type FileSystem, nodeFileSystem } from "../fileSystem.js";
import { parseStrictYaml } from "../strictYaml.js";
import { type Claim, type ClaimPart, claimsSchema, knownKeys } from "./schema.js";

/** The claims that come with the package. */
const SHIPPED = fileURLToPath(new URL("../../../claims/", import.meta.url));

/** The paper's claims have 20 kB; a file of this size is something else. */
const MAX_CLAIMS_BYTES = 200_000;

/** A claims file as read: what a run records of it. */
export interface ClaimsFile {
  /** As it was asked for: `paper`, or a path. */
  readonly name: string;
  /** Of the file's bytes. */
  readonly sha256: string;
  readonly bytes: Uint8Array;
  readonly claims: readonly Claim[];
}

/**
 * Shipped claims by their name (`paper`), or claims files by their path (it ends in .yaml or .yml, or holds a slash).
 * @throws UserError for an unknown name, naming the nearest; for a file that is unreadable or no claims file; for an id that occurs twice.
 */
export async function loadClaims(
  names: readonly string[],
  files: FileSystem = nodeFileSystem,
): Promise<readonly ClaimsFile[]> {
  const loaded: ClaimsFile[] = [];
  const seen = new Map<string, string>();
  for (const name of names) {
    const file = await loadOne(name, files);
    for (const id of file.claims.flatMap((claim) => claim.parts.map((part) => part.id))) {
      const before = seen.get(id);
      if (before !== undefined)
        throw new UserError(
          `${name}: the id ${JSON.stringify(id)} occurs twice${before === name ? "" : `, it is in ${before} too`}; give every claim and part an id of its own.`,
        );
      seen.set(id, name);
    }
    loaded.push(file);
  }
  return loaded;
}

async function loadOne(name: string, files: FileSystem): Promise<ClaimsFile> {
  const isPath = /[\\/]|\.ya?ml$/i.test(name);
  const path = isPath ? name : join(SHIPPED, `${name}.yaml`);
  let bytes: Uint8Array;
  try {
    bytes = await files.read(path);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    if (isPath)
      throw new UserError(
        `Cannot read the claims file ${path} (${code === "ENOENT" ? "there is no such file" : code}); check the path.`,
      );
    const known = (await files.list(SHIPPED)).flatMap((file) => /^(.*)\.yaml$/.exec(file)?.[1] ?? []);
    throw new UserError(
      `There are no claims ${JSON.stringify(name)}; did you mean ${JSON.stringify(closest(name, known))}? Claims: ${known.join(", ")}, or the path of a .yaml file.`,
    );
  }
  if (bytes.length > MAX_CLAIMS_BYTES) throw new UserError(`${path} has ${bytes.length} bytes, too many for claims.`);
  return { name, sha256: sha256(bytes), bytes, claims: parseClaims(new TextDecoder().decode(bytes), path) };
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/**
 * Claims from the text of a claims file.
 * @throws UserError, one sentence: which key or value is wrong, in which claim, what would be right.
 */
export function parseClaims(text: string, where: string): Claim[] {
  const tree = parseStrictYaml(text, where);
  const parsed = claimsSchema.safeParse(tree);
  if (!parsed.success) {
    const { issues } = parsed.error;
    const issue = issues.find((one) => one.code === "unrecognized_keys") ?? issues[0]!;
    throw new UserError(`${where}: ${describeIssue(issue, tree)}`);
  }
  return parsed.data.claims.map(({ id, statement, source, parts, ...test }) => {
    const given = Object.keys(test);
    if (parts !== undefined && given.length > 0)
      throw new UserError(
        `${where}: claim ${id} has parts and a ${JSON.stringify(given[0])} of its own; put it into a part.`,
      );
    const { of, chance, direction } = test;
    if (parts !== undefined) return { id, statement, source, parts: parts.map((part) => checked(part, where)) };
    if (of === undefined || chance === undefined || direction === undefined) {
      const lacking = of === undefined ? "of" : chance === undefined ? "chance" : "direction";
      throw new UserError(`${where}: claim ${id} has neither parts nor ${JSON.stringify(lacking)}; add it.`);
    }
    return { id, statement, source, parts: [checked({ id, statement, ...test, of, chance, direction }, where)] };
  });
}

function checked(part: ClaimPart, where: string): ClaimPart {
  const { id, contrast, against } = part;
  const wants = contrast !== undefined && contrast !== "value";
  if (wants && against === undefined)
    throw new UserError(`${where}: ${id}: a ${contrast} needs "against", the rows to compare with; add it.`);
  if (!wants && contrast !== undefined && against !== undefined)
    throw new UserError(
      `${where}: ${id}: contrast "value" has no "against"; remove it, or make the contrast a difference.`,
    );
  if (contrast === "ratio" && typeof part.chance === "number" && part.chance <= 0)
    throw new UserError(
      `${where}: ${id}: the chance of a ratio must be above 0, not ${part.chance}; 1 is no difference.`,
    );
  return part;
}

const TYPE_WORDS: ReadonlyMap<string, string> = new Map([
  ["string", "text"],
  ["number", "a number"],
  ["int", "a whole number"],
  ["object", 'settings as "key: value"'],
  ["array", "a list"],
]);

function describeIssue(issue: z.core.$ZodIssue, tree: unknown): string {
  const along = (path: readonly PropertyKey[]) =>
    path.reduce<unknown>(
      (value, key) =>
        typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined,
      tree,
    );
  const at = placeOf(issue.path, along);
  const given = along(issue.path);
  const json = JSON.stringify(given) ?? String(given);
  const but = `, not ${json.length > 80 ? `${json.slice(0, 80)} ...` : json}`;
  switch (issue.code) {
    case "unrecognized_keys": {
      const key = issue.keys[0]!;
      return `${at === "" ? "" : `${at}: `}${JSON.stringify(key)} is not a key here; did you mean ${JSON.stringify(closest(key, knownKeys(issue.path)))}?`;
    }
    case "invalid_type":
      if (given === undefined && issue.path.length > 0) return `${at} is missing; add it.`;
      return `${at || "the file"} must be ${TYPE_WORDS.get(issue.expected) ?? issue.expected}${but}.`;
    case "invalid_value":
      return `${at} must be one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}${but}.`;
    case "invalid_union": {
      if (given === undefined) return `${at} is missing; add it.`;
      // Which of the alternatives was meant shows by which of them fails deepest, on a misspelt key before anything else.
      const all = issue.errors.flat();
      const meant = all.find((one) => one.code === "unrecognized_keys") ?? all.find((one) => one.path.length > 0);
      if (meant !== undefined)
        return describeIssue({ ...meant, path: [...issue.path, ...meant.path] } as z.core.$ZodIssue, tree);
      const forms = all.map((one) =>
        one.code === "invalid_type"
          ? (TYPE_WORDS.get(one.expected) ?? one.expected)
          : one.code === "invalid_value"
            ? one.values.map((value) => JSON.stringify(value)).join(" or ")
            : "",
      );
      const words = [...new Set(forms)].filter((form) => form !== "");
      return `${at} must be ${words.length === 0 ? "of another form" : words.join(" or ")}${but}.`;
    }
    case "too_small":
      return `${at} must be at least ${issue.minimum}${issue.origin === "number" || issue.origin === "int" ? "" : " long"}${but}.`;
    case "too_big":
      return `${at} must be at most ${issue.maximum}${issue.origin === "number" || issue.origin === "int" ? "" : " long"}${but}.`;
    default:
      return `${at} ${issue.message}${but}.`;
  }
}

/** `claims[0].parts[1].of.block` as `O1b: of.block`: the innermost claim or part that has an id, then the keys below it. */
function placeOf(path: readonly PropertyKey[], along: (path: readonly PropertyKey[]) => unknown): string {
  for (let end = path.length; end > 0; end--) {
    const id = along([...path.slice(0, end), "id"]);
    if (typeof id === "string" && typeof path[end - 1] === "number") {
      const below = path.slice(end).map(String).join(".");
      return `${id}${below === "" ? "" : `: ${below}`}`;
    }
  }
  return path.map(String).join(".");
}
