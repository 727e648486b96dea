import { z } from "zod";

const id = z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,31}$/, "must be 1 to 32 letters, digits, '.', '_' or '-'");
const sentence = z.string().min(1).max(1000);
const name = z.string().min(1).max(200);

/** The share of refusals is called `null`, which YAML without quotes reads as nothing: here it can mean only the name. */
const metric = z.preprocess((value) => (value === null ? "null" : value), name);

/** One value, a list whose rows are averaged, `all` of them, or null: the row must not have the field. */
const cell = <Value extends z.ZodType>(value: Value) => z.union([value, z.array(value).min(1).max(1000), z.null()]);

/** Blocks by place, so that one claim serves models of any depth; `early` and `late` are the halves, a middle block in neither. */
export const BLOCK_PLACES = ["first", "last", "early", "late"] as const;

/** Which rows: every field that is not named must be absent from the row (`seed` apart, which pairs). */
const selection = {
  measure: name,
  metric,
  checkpoint: cell(name).optional(),
  set: cell(name).optional(),
  branch: cell(name).optional(),
  outcome: cell(z.enum(["success", "failure", "all"])).optional(),
  block: cell(z.union([z.int().min(1), z.enum([...BLOCK_PLACES, "all"])])).optional(),
  matrix: cell(name).optional(),
  index: cell(z.union([z.number(), z.literal("all")])).optional(),
  alpha: cell(z.union([z.number(), z.literal("all")])).optional(),
  step: cell(z.int().min(1)).optional(),
};
export const selectionSchema = z.strictObject(selection);
const partialSelection = selectionSchema.partial();

/** What is computed from the rows of `of` (and `against`). */
export const CONTRASTS = ["value", "difference", "ratio", "correlation"] as const;

/** The test of a part of a claim. */
const test = {
  of: selectionSchema,
  /** Fields in which the other rows differ from `of`; the rest is the same. */
  against: partialSelection.optional(),
  /** Default: `difference` where there is `against`, else `value`. */
  contrast: z.enum(CONTRASTS).optional(),
  /** The null: a number, `own` (the rows' own chance level), or the fields in which a null's rows differ from `of`. YAML reads `null:` as no key. */
  chance: z.union([z.number(), z.literal("own"), partialSelection]),
  /** Where the claim says that the effect lies. */
  direction: z.enum(["above", "below"]),
  /** How far beyond the null the interval must lie, in the unit of the effect. */
  margin: z.number().min(0).optional(),
};

const part = z.strictObject({ id, statement: sentence, ...test });

const claim = z.strictObject({
  id,
  statement: sentence,
  /** Where it is claimed: section, figure. */
  source: sentence,
  parts: z.array(part).min(1).max(200).optional(),
  ...z.object(test).partial().shape,
});

/** A claims file. Strict: a key that is not here is an error. */
export const claimsSchema = z.strictObject({
  /** What the claims are of. */
  title: sentence.optional(),
  claims: z.array(claim).min(1).max(1000),
});

export type Selection = z.infer<typeof selectionSchema>;
export type PartialSelection = z.infer<typeof partialSelection>;
export type ClaimPart = z.infer<typeof part>;
export type Contrast = (typeof CONTRASTS)[number];

/** A claim with its parts spelled out; a claim with one test has one part, of its own id. */
export interface Claim {
  readonly id: string;
  readonly statement: string;
  readonly source: string;
  readonly parts: readonly ClaimPart[];
}

/** The keys of a claims file at a path, for the nearest name of one that is not known. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  const last = path.filter((key) => typeof key === "string").at(-1);
  if (last === undefined) return ["title", "claims"];
  if (last === "of" || last === "against" || last === "chance") return Object.keys(selection);
  return Object.keys(last === "parts" ? part.shape : claim.shape);
}
