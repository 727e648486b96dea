import { z } from "zod";

/** Names of symbols, terminals and operators: printable, without spaces (rules are written as words). */
const name = z
  .string()
  .regex(/^[\p{L}\p{N}_'+*.:-]{1,24}$/u, "is not a name (1 to 24 letters, digits or _ ' + * . : -)");
const names = z.array(name);
/** A rule's right side: names separated by single spaces. */
const ruleText = z
  .string()
  .max(400)
  .regex(/^\S+( \S+)*$/u, "is not a rule (names separated by single spaces)");
const rules = z.record(name, z.array(ruleText).min(1).max(64));
const share = z.number().min(0).max(1);
/** Branches by name. They begin with a letter, so that no name is an array's index, which objects would put first. */
const MAX_BRANCHES = 16;
const branchName = z
  .string()
  .regex(
    /^(?!(?:mixed|root)$)[A-Za-z][A-Za-z0-9_-]{0,23}$/,
    "is not a branch's name (a letter, then up to 23 letters, digits, _ or -; mixed and root mean something else)",
  );
const byBranch = <Value extends z.ZodType>(value: Value) =>
  z
    .record(branchName, value)
    .refine((branches) => Object.keys(branches).length >= 2, `must have at least two branches`)
    .refine((branches) => Object.keys(branches).length <= MAX_BRANCHES, `has more than ${MAX_BRANCHES} branches`);

/** The JSON form of a world: what docs/world.md describes. Unknown keys are refused. */
export const worldSchema = z.strictObject({
  schema: z.literal("nullscope/world@2"),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, "is not a world's name (letters, digits, _ and -)"),
  description: z.string().max(2000).default(""),
  /** The letters of texts, in order. */
  terminals: names.min(2).max(512),
  text: z.strictObject({
    min: z.int().min(2).max(512),
    max: z.int().min(2).max(512),
    layout: z.enum(["packed", "aligned"]),
  }),
  /** `dedicated`: a token of its own. `letter`: the last terminal, as the authors' release does. */
  null: z.enum(["dedicated", "letter"]).default("dedicated"),
  /** What all grammars have in common. */
  skeleton: z.strictObject({
    root: name,
    /** Branch to the nodes whose text belongs to it: A safe-dominant and B unsafe-dominant in the paper. */
    dominant: byBranch(names.min(1).max(64)),
    rules,
  }),
  /** Each adds its own rules to the skeleton's, and its own bijection for every operator: the images of the terminals in order. */
  grammars: z
    .array(z.strictObject({ name, rules, operators: z.record(name, z.string().max(20_000)) }))
    .min(1)
    .max(16),
  operators: z.strictObject({
    /** Task tokens, twins among them. */
    names: names.min(2).max(64),
    /** Twin to original: another name for the same bijections. */
    twins: z.record(name, name).default({}),
  }),
  /** F_N^s and F_N^u of every branch N. */
  safety: byBranch(z.strictObject({ safe: names.min(1), unsafe: names.min(1) })),
  pretraining: z
    .strictObject({
      /** Share of samples in which one of the two tokens is the identity. */
      identityShare: share.default(0),
      /** Share of samples whose output is all NULL. */
      nullShare: share.default(0),
    })
    .default({ identityShare: 0, nullShare: 0 }),
  tuning: z
    .strictObject({
      /** Operators that tuning never shows, under any name. */
      leftOutOperators: names.default([]),
      /** Rules of dominant nodes that tuning's text never uses. */
      heldOutRules: z.array(z.strictObject({ symbol: name, rule: ruleText })).default([]),
    })
    .default({ leftOutOperators: [], heldOutRules: [] }),
  /** Share of all (text, task pair) combinations that is reserved for tests; training never draws from it. */
  testShare: z.number().min(0.001).max(0.5).default(0.125),
});

export type WorldFile = z.infer<typeof worldSchema>;
