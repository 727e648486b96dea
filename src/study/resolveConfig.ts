import { basename, extname } from "node:path";
import { closest, distance } from "fastest-levenshtein";
import { z } from "zod";
import { UserError } from "../errors.js";
import { type StudyConfig, studySchema } from "./config.js";
import { errorCode, type FileSystem, nodeFileSystem } from "./fileSystem.js";
import { withDefaultOptions } from "./methodOptions.js";
import { PRESETS } from "./presets.js";
import { unbroken } from "./runConfigFile.js";
import { parseStrictYaml } from "./strictYaml.js";

/** Where a configuration comes from: a preset or a file, then changes in order of rising precedence. */
export interface ConfigSource {
  /** A preset's name, or the path of a YAML file (it ends in .yaml or .yml, or holds a slash). Default: the preset `quick`. */
  readonly source?: string;
  /** `a.b=c`, values written as YAML; `a.b=null` removes an entry. */
  readonly set?: readonly string[];
  readonly name?: string;
  /** This many seeds, counted from the first. */
  readonly seeds?: number;
  /** The first seed. */
  readonly seed?: number;
  readonly threads?: number;
  /** `cpu`, `webgpu`, `cuda` or `auto`. */
  readonly device?: string;
  /** Claims files that take the place of the configuration's. */
  readonly claims?: readonly string[];
}

type Tree = { readonly [key: string]: unknown };

/**
 * The whole configuration of a study, checked.
 * @throws UserError, one sentence: which key or value is wrong, where it was given, what would be right.
 */
export async function resolveConfig(from: ConfigSource, files: FileSystem = nodeFileSystem): Promise<StudyConfig> {
  const { source = "quick", set = [] } = from;
  const isFile = /[\\/]|\.ya?ml$/i.test(source);
  let tree: Tree = isFile ? await readConfigFile(source, files) : presetTree(source, "");
  if (tree.name === undefined) tree = merge(tree, { name: isFile ? basename(source, extname(source)) : source });
  const changes = set.map(parseChange);
  for (const change of changes) tree = merge(tree, change.tree);
  if (from.name !== undefined) tree = merge(tree, { name: from.name });
  if (from.threads !== undefined) tree = merge(tree, { threads: from.threads });
  if (from.device !== undefined) tree = merge(tree, { device: from.device });
  if (from.claims !== undefined) tree = merge(tree, { claims: from.claims });
  if (from.seed !== undefined || from.seeds !== undefined) tree = merge(tree, { seeds: seedList(tree.seeds, from) });

  const parsed = studySchema.safeParse(tree);
  if (parsed.success) {
    const { tune, ...rest } = parsed.data;
    return { ...rest, tune: { ...tune, options: withDefaultOptions(tune.options, tune.methods) } };
  }
  // A misspelt key often leaves its setting missing as well: the misspelling is the one to tell.
  const { issues } = parsed.error;
  const issue = issues.find((one) => one.code === "unrecognized_keys") ?? issues[0]!;
  const at = [...issue.path, ...(issue.code === "unrecognized_keys" ? [issue.keys[0]!] : [])].map(String).join(".");
  const change = changes.findLast(({ path }) => at === path || at.startsWith(`${path}.`) || path.startsWith(`${at}.`));
  const option = at === "name" || at === "device" || at === "threads" ? optionOf(at, from) : undefined;
  const origin = option ?? (change && `--set ${change.text}`) ?? (isFile ? source : `The preset ${source}`);
  throw new UserError(`${origin}: ${describeIssue(issue, tree)}`);
}

/** How a setting with an option of its own was given there, if it was. */
function optionOf(key: "name" | "device" | "threads", from: ConfigSource): string | undefined {
  return from[key] === undefined ? undefined : `--${key} ${from[key]}`;
}

function presetTree(name: string, where: string): Tree {
  if (Object.hasOwn(PRESETS, name)) return PRESETS[name as keyof typeof PRESETS];
  const known = Object.keys(PRESETS);
  throw new UserError(
    `${where}There is no preset ${JSON.stringify(name)}; did you mean ${JSON.stringify(closest(name, known))}? Presets: ${known.join(", ")}; a file's name ends in .yaml.`,
  );
}

/** A configuration is a page; hostile YAML costs up to 10 µs a byte. */
const MAX_CONFIG_BYTES = 100_000;

async function readConfigFile(path: string, files: FileSystem): Promise<Tree> {
  let bytes: Uint8Array;
  try {
    bytes = await files.read(path);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    const why =
      code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : `reading fails (${code})`;
    throw new UserError(
      `Cannot read the configuration ${path}: ${why}; give a preset (${Object.keys(PRESETS).join(", ")}) or a YAML file.`,
    );
  }
  if (bytes.length > MAX_CONFIG_BYTES)
    throw new UserError(`${path} has ${bytes.length} bytes, too many for a configuration.`);
  // A run's own config.yaml can be given again: what it says of versions is no setting.
  const { preset, versions: _, ...own } = parseTree(unbroken(bytes, path), path);
  if (preset === undefined) return own;
  if (typeof preset !== "string")
    throw new UserError(`${path}: preset must be one of ${Object.keys(PRESETS).join(", ")}.`);
  return merge(presetTree(preset, `${path}: `), own);
}

function parseTree(text: string, where: string): Tree {
  const value = parseStrictYaml(text, where);
  if (value === null) return {};
  if (!isTree(value)) throw new UserError(`${where} must hold settings as "key: value" lines.`);
  return value;
}

/** `a.b=c` as `{ a: { b: c } }`. */
function parseChange(text: string): { text: string; path: string; tree: Tree } {
  const equals = text.indexOf("=");
  const path = text.slice(0, Math.max(0, equals)).trim();
  if (equals < 0 || path.split(".").includes(""))
    throw new UserError(`--set ${text}: a change is written key=value, as in --set tune.steps=200.`);
  const value = parseStrictYaml(text.slice(equals + 1), `--set ${text}: the value`);
  const tree = path.split(".").reduceRight<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value);
  return { text, path, tree: tree as Tree };
}

/** `over` laid on `base`, key by key through nested settings; lists and values are replaced whole, null removes. */
function merge(base: Tree, over: Tree): Tree {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const below = merged.get(key);
    if (value === null) merged.delete(key);
    else merged.set(key, isTree(below) && isTree(value) ? merge(below, value) : value);
  }
  return Object.fromEntries(merged); // defines own properties: `__proto__` becomes a key that the schema refuses
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function seedList(current: unknown, { seed, seeds }: ConfigSource): number[] {
  const listed = Array.isArray(current) ? current : [0];
  const first = seed ?? (typeof listed[0] === "number" ? listed[0] : 0);
  const count = seeds ?? listed.length;
  if (!Number.isSafeInteger(count) || count < 1 || count > 1000)
    throw new UserError(`--seeds ${count}: the number of seeds must be a whole number from 1 to 1000.`);
  return Array.from({ length: count }, (_, i) => first + i);
}

function describeIssue(issue: z.core.$ZodIssue, tree: Tree): string {
  const path = issue.path.map(String).join(".");
  const given = issue.path.reduce<unknown>(
    (value, key) => (isTree(value) || Array.isArray(value) ? (value as Tree)[String(key)] : undefined),
    tree,
  );
  const but = `, not ${clip(JSON.stringify(given) ?? String(given))}`;
  switch (issue.code) {
    case "unrecognized_keys": {
      const key = issue.keys[0]!;
      return `${JSON.stringify(join(path, key))} is not a setting; did you mean ${JSON.stringify(nearestKey(path, key))}?`;
    }
    case "invalid_type":
      if (given === undefined) return `${path} is missing; set it, or start from a preset with "preset: quick".`;
      return `${path} must be ${TYPE_WORDS.get(issue.expected) ?? issue.expected}${but}.`;
    case "too_small":
      return `${path} must be ${issue.inclusive ? "at least" : "more than"} ${issue.minimum}${issue.origin === "array" ? " long" : ""}${but}.`;
    case "too_big":
      return `${path} must be ${issue.inclusive ? "at most" : "less than"} ${issue.maximum}${issue.origin === "array" ? " long" : ""}${but}.`;
    case "invalid_value":
      return `${path} must be one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}${but}.`;
    case "invalid_union": {
      // A setting that is one value or a group of them: what was given says which was meant.
      const branch = issue.errors[isTree(given) ? issue.errors.length - 1 : 0]![0]!;
      return describeIssue({ ...branch, path: [...issue.path, ...branch.path] } as z.core.$ZodIssue, tree);
    }
    case "invalid_key":
      return `${path}: ${issue.issues[0]?.message ?? "the name is not allowed"}.`;
    default:
      return `${path} ${issue.message}${but}.`;
  }
}

const TYPE_WORDS: ReadonlyMap<string, string> = new Map([
  ["int", "a whole number"],
  ["number", "a number"],
  ["string", "text"],
  ["object", 'settings as "key: value"'],
  ["record", 'settings as "key: value"'],
  ["array", "a list"],
  ["tuple", "a list of two numbers"],
]);

const clip = (text: string) => (text.length > 80 ? `${text.slice(0, 80)} ...` : text);
const join = (path: string, key: string) => (path === "" ? key : `${path}.${key}`);

/** The setting that was probably meant: the most alike name, one beside it before one elsewhere. */
function nearestKey(path: string, key: string): string {
  const score = (candidate: string) => {
    const dot = candidate.lastIndexOf(".");
    const elsewhere = candidate.slice(0, Math.max(0, dot)) === path ? 0 : 1;
    return distance(key.toLowerCase(), candidate.slice(dot + 1).toLowerCase()) + elsewhere / 2;
  };
  return settingPaths(studySchema).reduce((best, candidate) => (score(candidate) < score(best) ? candidate : best));
}

/** Every setting of the schema by its dotted path, sections included. */
export function settingPaths(schema: z.ZodObject, prefix = ""): string[] {
  return Object.entries(schema.shape).flatMap(([key, inner]) => {
    const path = join(prefix, key);
    const bare = inner instanceof z.ZodOptional ? inner.unwrap() : inner;
    return bare instanceof z.ZodObject ? [path, ...settingPaths(bare, path)] : [path];
  });
}
