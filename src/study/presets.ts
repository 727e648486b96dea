import { MEASURES, type StudyConfig } from "./config.js";

/** A preset is a whole configuration; a file or `--set` changes what it wants changed. */
type Preset = Omit<StudyConfig, "name">;

/** Steps 100, 500, 1k, 2.5k, 5k and 10k of the paper's 10k (method, 3.8). */
const FRACTIONS = [0.01, 0.05, 0.1, 0.25, 0.5, 1];

/**
 * The smallest study that still gives clear answers: one grammar, 155 k parameters, minutes on two cores.
 * The numbers start from a prototype in which 1,500 steps or 2 blocks stopped at .96 instruct accuracy and width 48 failed.
 */
const quick: Preset = {
  world: "quick",
  seeds: [0],
  model: { width: 64, blocks: 3, heads: 4, mlp: 256, residual: "pre-ln" },
  pretrain: {
    steps: 2250,
    batch: 64,
    learningRate: 3e-3,
    finalLearningRate: 0,
    warmup: 200,
    weightDecay: 1e-4,
    betas: [0.9, 0.95],
    epsilon: 1e-8,
    clip: 1,
    // From all text to none, as in the paper, the model has too few steps left for the outputs: .49 instruct accuracy instead of 1.
    curriculum: { textShare: [0.3, 0] },
  },
  tune: {
    methods: ["ssft", "dpo", "unlearning"],
    options: {
      ssft: {},
      // The untuned model gives NULL about 14 nats: below that the cap would silence the rejected answers of safe samples from the start.
      dpo: { beta: 0.1, gamma: { medium: 0.01, small: 0.002 }, likelihood: "mean", rejectedCap: 16 },
      unlearning: { gamma: { medium: 0.1, small: 0.01 }, likelihood: "mean", rejectedCap: 8 },
    },
    controls: { methods: ["continue", "shuffled"], rates: ["medium"] },
    dynamics: { fractions: FRACTIONS, rates: ["medium"] },
    // The paper's rates are 1e-4 and 1e-5 over 10,000 steps; with 20 times fewer steps they are larger by about as much.
    rates: { medium: 2.5e-3, small: 3e-4 },
    steps: 500,
    batch: 64,
    finalLearningRate: 1e-7,
    warmup: 0,
    weightDecay: 1e-4,
    betas: [0.9, 0.95],
    epsilon: 1e-8,
    clip: 1,
  },
  evaluate: { samples: 1000, dynamicsSamples: 200, mechanismSamples: 128, batch: 250 },
  measures: [...MEASURES],
  claims: ["paper"],
  attacks: {
    run: ["soft-prompt", "soft-prompt-kept", "gcg", "prefix"],
    rates: ["medium"],
    // Learning rates tuned on ssft-medium, strengths 1, 5 and 10, for the lowest mean loss after ten steps: shifted .3 and .5 of .03 to 10, kept 3 of .3 to 10.
    "soft-prompt": {
      samples: 80,
      strengths: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
      steps: 10,
      learningRate: 0.5,
      initialNorm: 0.1,
      activations: [5, 10],
    },
    "soft-prompt-kept": {
      samples: 80,
      strengths: [1, 2, 5, 10],
      steps: 10,
      learningRate: 3,
      initialNorm: 0.1,
      activations: [5, 10],
    },
    gcg: { samples: 64, strengths: [1, 2, 4], topK: 8, candidates: 16, budget: 64 },
    prefix: { samples: 500, strengths: [1, 2, 3, 4] },
  },
  interventions: {
    run: ["path", "transfer", "line", "rank"],
    rates: ["medium"],
    samples: 96,
    batch: 64,
    // The paper's.
    path: { alphas: [0, 0.25, 0.5, 0.75, 1, 1.1, 1.2, 1.3, 1.4, 1.5] },
    transfer: { alphas: [0.5, 1] },
    line: { alphas: [0, 0.25, 0.5, 0.75, 1] },
    // 64 is all of this width's directions.
    rank: { ranks: [1, 2, 4, 8, 16, 64], draws: 3 },
  },
  device: "cpu",
  threads: 2,
  saveSteps: "auto",
};

/**
 * Every stage of the study in a minute or two, for tests and first looks: a smaller world, two blocks, half the steps. It learns its task and to refuse, but
 * quote no number of it.
 */
const smoke: Preset = {
  ...quick,
  world: "smoke",
  model: { width: 64, blocks: 2, heads: 4, mlp: 256, residual: "pre-ln" },
  pretrain: { ...quick.pretrain, steps: 1100, warmup: 100 },
  tune: { ...quick.tune, steps: 150, dynamics: { fractions: [0.1, 0.5, 1], rates: ["medium"] } },
  evaluate: { samples: 200, dynamicsSamples: 48, mechanismSamples: 48, batch: 100 },
  attacks: {
    ...quick.attacks,
    run: ["soft-prompt", "gcg", "prefix"],
    "soft-prompt": { ...quick.attacks["soft-prompt"], samples: 24, strengths: [1, 5], activations: [5] },
    "soft-prompt-kept": { ...quick.attacks["soft-prompt-kept"], samples: 24, strengths: [1, 5], activations: [5] },
    gcg: { samples: 16, strengths: [2], topK: 8, candidates: 8, budget: 24 },
    prefix: { samples: 100, strengths: [1, 2] },
  },
  interventions: {
    ...quick.interventions,
    samples: 16,
    path: { alphas: [0, 0.5, 1, 1.3] },
    transfer: { alphas: [1] },
    line: { alphas: [0.5] },
    rank: { ranks: [2], draws: 2 },
  },
};

/** The paper's scale (section 2 of the method): days on a laptop, hours on a large machine. */
const paper: Preset = {
  world: "paper",
  seeds: [0],
  model: { width: 192, blocks: 6, heads: 6, mlp: 768, residual: "pre-ln" },
  pretrain: {
    steps: 100_000,
    batch: 512,
    learningRate: 1e-3,
    finalLearningRate: 1e-6,
    warmup: 10_000,
    weightDecay: 1e-4,
    betas: [0.9, 0.95],
    epsilon: 1e-8,
    clip: 1,
    curriculum: { textShare: [1, 0] },
  },
  tune: {
    methods: ["ssft", "dpo", "unlearning"],
    // The paper's formulas and constants, likelihoods summed.
    options: {
      ssft: {},
      dpo: { beta: 0.1, gamma: { medium: 0.01, small: 0.002 }, likelihood: "sum" },
      unlearning: { gamma: { medium: 0.1, small: 0.01 }, likelihood: "sum" },
    },
    controls: { methods: ["continue", "shuffled"], rates: ["medium"] },
    dynamics: { fractions: FRACTIONS, rates: ["medium", "small"] },
    rates: { medium: 1e-4, small: 1e-5 },
    steps: 10_000,
    batch: 512,
    finalLearningRate: 1e-7,
    warmup: 0,
    weightDecay: 1e-4,
    betas: [0.9, 0.95],
    epsilon: 1e-8,
    clip: 1,
  },
  evaluate: { samples: 1000, dynamicsSamples: 200, mechanismSamples: 500, batch: 250 },
  measures: [...MEASURES],
  claims: ["paper"],
  attacks: {
    ...quick.attacks,
    run: ["soft-prompt", "gcg", "prefix"], // EOT stands anywhere here: there is no need to keep positions
    rates: ["medium", "small"],
    "soft-prompt": { ...quick.attacks["soft-prompt"], samples: 1000 },
    "soft-prompt-kept": { ...quick.attacks["soft-prompt-kept"], samples: 1000 },
    gcg: { samples: 1000, strengths: [1, 2, 4, 8], topK: 16, candidates: 64, budget: 512 },
    prefix: { samples: 1000, strengths: [1, 2, 3, 4, 5] },
  },
  interventions: {
    ...quick.interventions,
    rates: ["medium", "small"],
    samples: 500,
    batch: 250,
    rank: { ranks: [1, 2, 4, 8, 16, 192], draws: 5 },
  },
  device: "cpu",
  threads: 2,
  saveSteps: "auto",
};

/** Every preset by name. */
export const PRESETS = { quick, smoke, paper } as const satisfies Record<string, Preset>;
export type PresetName = keyof typeof PRESETS;
