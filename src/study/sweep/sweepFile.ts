import { basename, extname } from "node:path";
import { z } from "zod";
import { UserError } from "../../errors.js";
import { errorCode, type FileSystem, nodeFileSystem } from "../fileSystem.js";
import { parseStrictYaml } from "../strictYaml.js";

/** A sweep as its file says it: one study, in many settings. */
export interface Sweep {
  readonly name: string;
  /** A preset or a configuration's path, as `nullscope study` takes it. */
  readonly study: string;
  /** Of every study: this many seeds. */
  readonly seeds: number | undefined;
  readonly points: readonly SweepPoint[];
}

/** One study of a sweep. */
export interface SweepPoint {
  /** `001`, `002`, ... in the file's order. */
  readonly id: string;
  /** Dotted settings to values: what tells this study from the others. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** These and the settings of all studies, as `--set` takes them. */
  readonly set: readonly string[];
}

const MAX_BYTES = 100_000;
/** A sweep is planned as a whole. */
const MAX_STUDIES = 1_000;

const settings = z.record(z.string().regex(/^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/, "is no setting"), z.json());
const schema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be 1 to 64 letters, digits, dots, _ and -")
    .optional(),
  study: z.string().min(1).max(1_000).default("quick"),
  /** Of every study. */
  set: settings.default({}),
  /** Every combination of these values. */
  grid: z.record(z.string(), z.array(z.json()).min(1).max(MAX_STUDIES)).default({}),
  /** Each of these, with every combination of the grid. */
  list: z.array(settings).min(1).max(MAX_STUDIES).optional(),
  seeds: z.int().min(1).max(1_000).optional(),
});

/** Reads a sweep's file. @throws UserError, one sentence: what is wrong in it, and what would be right. */
export async function readSweep(path: string, files: FileSystem = nodeFileSystem): Promise<Sweep> {
  const bytes = await files.read(path).catch((error: unknown) => {
    const code = errorCode(error);
    if (code === undefined) throw error;
    throw new UserError(
      `Cannot read the sweep ${path} (${code === "ENOENT" ? "there is no such file" : code}); give a YAML file.`,
    );
  });
  if (bytes.length > MAX_BYTES) throw new UserError(`${path} has ${bytes.length} bytes, too many for a sweep.`);
  const parsed = schema.safeParse(parseStrictYaml(new TextDecoder().decode(bytes), path));
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const what = issue.code === "unrecognized_keys" ? `${JSON.stringify(issue.keys[0])} is no key here` : issue.message;
    throw new UserError(
      `${path}: ${[...issue.path.map(String), what].join(": ")}; a sweep has the keys ${Object.keys(schema.shape).join(", ")}.`,
    );
  }
  const { name = basename(path, extname(path)), study, set, grid, list = [{}], seeds } = parsed.data;
  const combinations = Object.entries(grid).reduce<Record<string, unknown>[]>(
    (all, [key, values]) => {
      if (all.length * values.length * list.length > MAX_STUDIES)
        throw new UserError(`${path} makes more than ${MAX_STUDIES} studies; split it.`);
      return all.flatMap((one) => values.map((value) => ({ ...one, [key]: value })));
    },
    [{}],
  );
  const points = list.flatMap((one) => combinations.map((combination) => ({ ...one, ...combination })));
  return {
    name,
    study,
    seeds,
    points: points.map((point, i) => ({
      id: String(i + 1).padStart(3, "0"),
      settings: point,
      set: Object.entries({ ...set, ...point }).map(([key, value]) => `${key}=${JSON.stringify(value)}`),
    })),
  };
}
