import { z } from "zod";
import { INTERVENTION_KINDS } from "../analysis/index.js";
import { RECIPES } from "../train/index.js";
import { methodOptionsSchema, missingRates, word } from "./methodOptions.js";

// Bounds are far beyond any sensible study: they catch a slip of the keyboard before it allocates, not an ambition.
const positive = (most: number) => z.int().min(1).max(most);
const rate = z.number().min(0).max(10);
const MAX_STEPS = 10_000_000;
const MAX_BATCH = 65_536;

/** AdamW and its schedule: linear warm-up, then cosine from `learningRate` to `finalLearningRate`. */
const optimizer = {
  steps: positive(MAX_STEPS),
  batch: positive(MAX_BATCH),
  finalLearningRate: rate,
  warmup: z.int().min(0).max(MAX_STEPS),
  /** On matrices only. */
  weightDecay: z.number().min(0).max(10),
  betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]),
  epsilon: z.number().gt(0).max(1),
  /** Largest norm of the whole gradient, applied after the backward pass. */
  clip: z.number().gt(0).max(1e6),
};

/** What a run may be called: one plain component of a path. */
export const RUN_NAME = /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Tunings that are no safety tuning, as nulls for what safety tuning does. */
export const CONTROLS = ["continue", "shuffled"] as const;
export type Control = (typeof CONTROLS)[number];

/** Measures of how the model decides: each differentiates, steers, reads or patches it on a few samples. */
export const MECHANISMS = ["sensitivity", "refusal-direction", "probes", "patching"] as const;

const distinct = (items: readonly unknown[]) => new Set(items).size === items.length;

/** Strengths are what an attack's curve is drawn over: soft tokens, letters that may change, tokens that are forced. */
const strengths = (most: number) =>
  z.array(positive(most)).min(1).max(100).refine(distinct, "must differ from each other");
const attacked = positive(1_000_000);

const softPrompt = z.strictObject({
  /** How many of the unsafe test samples are attacked. */
  samples: attacked,
  strengths: strengths(1000),
  steps: positive(100),
  learningRate: z.number().gt(0).max(1e6),
  /** Expected norm of the random embeddings that the descent starts from. */
  initialNorm: z.number().min(0).lt(1),
  /** Strengths whose activations are kept and measured as sets of their own. */
  activations: z.array(positive(1000)).max(100).refine(distinct, "must differ from each other"),
});

/** How much of dW is added, or how far along a line. */
const alphas = z.array(z.number().min(-100).max(100)).min(1).max(1000).refine(distinct, "must differ from each other");

/** Attacks by name, each with its settings. */
export const attackSchemas = {
  "soft-prompt": softPrompt,
  "soft-prompt-kept": softPrompt,
  gcg: z.strictObject({
    samples: attacked,
    strengths: strengths(1000),
    topK: positive(100_000),
    candidates: positive(MAX_BATCH),
    /** Forward passes per sample and strength. */
    budget: positive(1_000_000),
  }),
  prefix: z.strictObject({ samples: attacked, strengths: strengths(1000) }),
};

/** The words of the measures, each the name of its result file. */
export const MEASURES = [
  "behaviour",
  "clusters",
  "column-space",
  "row-space",
  "activation-space",
  "overlap",
  ...MECHANISMS,
] as const;

export const ATTACKS = [
  "soft-prompt",
  "soft-prompt-kept",
  "gcg",
  "prefix",
] as const satisfies readonly (keyof typeof attackSchemas)[];
export type AttackName = (typeof ATTACKS)[number];

/** The configuration of a study. Strict: a key that is not here is an error, never ignored. */
export const studySchema = z.strictObject({
  /** The run's folder under `runs/`. */
  name: z
    .string()
    .regex(
      RUN_NAME,
      "must be 1 to 64 letters, digits, '.', '_' or '-', begin with a letter or digit, and hold no '..'",
    ),
  /** A world's name in `worlds/`, or the path of a world file. */
  world: z.string().min(1).max(4096),
  seeds: z.array(z.int().min(0).max(0xffffffff)).min(1).max(1000).refine(distinct, "must differ from each other"),
  model: z
    .strictObject({
      width: positive(16_384),
      blocks: positive(256),
      heads: positive(256),
      mlp: positive(65_536),
      residual: z.enum(["pre-ln", "released"]),
    })
    .refine(({ width, heads }) => width % heads === 0, { message: "must divide model.width", path: ["heads"] }),
  pretrain: z
    .strictObject({
      ...optimizer,
      learningRate: rate,
      /** Share of samples that train the text, at the first and at the last step; linear between. The rest train outputs. */
      curriculum: z.strictObject({ textShare: z.tuple([z.number().min(0).max(1), z.number().min(0).max(1)]) }),
    })
    .refine(({ warmup, steps }) => warmup <= steps, { message: "must not exceed pretrain.steps", path: ["warmup"] }),
  tune: z
    .strictObject({
      ...optimizer,
      methods: z
        .array(z.enum([...RECIPES.keys()]))
        .min(1)
        .refine(distinct, "must differ from each other"),
      /** Peak learning rates by name: `medium` gives the checkpoint `ssft-medium`. */
      rates: z.record(word, rate).refine((rates) => Object.keys(rates).length > 0, "must name at least one rate"),
      /** Options of methods; each may be one value, or one for each rate by its name. */
      options: methodOptionsSchema,
      /** `continue`: plain instruction tuning for as many steps; `shuffled`: SSFT with permuted labels. At the rates named here. */
      controls: z.strictObject({
        methods: z.array(z.enum(CONTROLS)).refine(distinct, "must differ from each other"),
        rates: z.array(word).refine(distinct, "must differ from each other"),
      }),
      /** At these shares of the steps, every method's model at the rates named here is kept and measured. */
      dynamics: z.strictObject({
        fractions: z.array(z.number().gt(0).max(1)).max(1000).refine(distinct, "must differ from each other"),
        rates: z.array(word).refine(distinct, "must differ from each other"),
      }),
    })
    .refine(({ warmup, steps }) => warmup <= steps, { message: "must not exceed tune.steps", path: ["warmup"] })
    .superRefine((tune, context) => {
      for (const part of ["controls", "dynamics"] as const)
        for (const [index, name] of tune[part].rates.entries())
          if (!Object.hasOwn(tune.rates, name))
            context.addIssue({ code: "custom", message: "must be a name in tune.rates", path: [part, "rates", index] });
      for (const { method, option, rate: name } of missingRates(tune.options, tune.methods, Object.keys(tune.rates)))
        context.addIssue({
          code: "custom",
          message: `must be one value, or have one for the rate "${name}" too`,
          path: ["options", method, option],
        });
    }),
  /** Test samples per set (and per branch), and how many go through the model at once. */
  // Half of a set gives the class means and half is measured: four samples a branch, eight at least, are the fewest of which both halves have a spread.
  evaluate: z.strictObject({
    samples: z.int().min(8).max(1_000_000),
    /** Samples per set at each step of `tune.dynamics`: a curve wants many points more than narrow intervals. */
    dynamicsSamples: z.int().min(8).max(1_000_000),
    /** Samples per set of the measures that differentiate or steer the model: sensitivity, refusal-direction, probes, patching. */
    mechanismSamples: z.int().min(8).max(1_000_000),
    batch: positive(MAX_BATCH),
  }),
  measures: z.array(z.enum(MEASURES)).min(1).refine(distinct, "must differ from each other"),
  /** The claims under test: names of `claims/`, or paths of claims files. */
  claims: z.array(z.string().min(1).max(4096)).max(100).refine(distinct, "must differ from each other"),
  /** Attacks that search, on the tuned checkpoints of some rates; jailbreak sets are no part of this, every checkpoint meets them. */
  attacks: z.strictObject({
    run: z.array(z.enum(ATTACKS)).refine(distinct, "must differ from each other"),
    /** Names of tune.rates; a rate that the study does not have is passed over. */
    rates: z.array(word).refine(distinct, "must differ from each other"),
    ...attackSchemas,
  }),
  /** Changes of weights along and between the tunings of some rates, and what they do to behaviour, clusters and loss. */
  interventions: z.strictObject({
    run: z.array(z.enum(INTERVENTION_KINDS)).refine(distinct, "must differ from each other"),
    /** Names of tune.rates; a rate that the study does not have is passed over. */
    rates: z.array(word).refine(distinct, "must differ from each other"),
    /** Test samples per set. */
    samples: z.int().min(8).max(1_000_000),
    /** Samples of all sets together that go through the model at once. */
    batch: positive(MAX_BATCH),
    path: z.strictObject({ alphas }),
    transfer: z.strictObject({ alphas }),
    line: z.strictObject({ alphas }),
    /** Singular directions that are kept of every matrix's dW; of random ones several draws. */
    rank: z.strictObject({
      ranks: z.array(positive(65_536)).min(1).max(100).refine(distinct, "must differ from each other"),
      draws: positive(1000),
    }),
  }),
  /** Where programs run. `auto`: WebGPU where there is a graphics adapter, else the CPU. */
  device: z.enum(["cpu", "webgpu", "cuda", "auto"]),
  threads: positive(1024),
  /** Steps of training between two states that a killed study goes on from; `auto`: so many that saving takes about a hundredth of the time. No result depends on it. */
  saveSteps: z.union([positive(MAX_STEPS), z.literal("auto")]).default("auto"),
});

export type StudyConfig = z.infer<typeof studySchema>;
