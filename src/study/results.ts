import type { Intervention } from "../analysis/index.js";

/** The contract that every measure, report and script builds on: tidy rows, one number each. */
export const RESULTS_SCHEMA = "nullscope/results@1";

/** One number of a study. An absent field does not apply to it (null in JSON and Parquet). */
export interface ResultRow {
  /** The measure's word: `behaviour`, `clusters`, ... ; the file is `results/MEASURE.json`. */
  readonly measure: string;
  /** What of the measure: `instruct`, `tau`, `auc`, ... */
  readonly metric: string;
  /** `instruct` (W_IT), METHOD-RATE (`ssft-medium`, `dpo-small`, ...), the controls `continue-medium` and `shuffled-medium`. */
  readonly checkpoint?: string;
  /** `safe`, `unsafe`, `jb-co-task`, ... */
  readonly set?: string;
  /** A branch of the world by its name, or `mixed`; absent: all together. */
  readonly branch?: string;
  /** On a jailbreak set or attack: over its successful or its failed attempts apart; absent: over all of them. */
  readonly outcome?: "success" | "failure";
  /** 1-based, as the paper counts. */
  readonly block?: number;
  /** `mlp.fc`, `mlp.proj`, ... */
  readonly matrix?: string;
  /** Whatever the metric counts: singular direction, attack strength, q of the activation mean. */
  readonly index?: number;
  readonly alpha?: number;
  /** Steps of tuning done, 1-based, where the checkpoint is not the final one; of training curves, the step measured. */
  readonly step?: number;
  /** Absent: over all seeds. */
  readonly seed?: number;
  readonly value: number;
  /** How many samples (or seeds, or directions) the value rests on. */
  readonly n?: number;
  /** 95% interval. */
  readonly low?: number;
  readonly high?: number;
  /** The measure's null: what chance alone would give. */
  readonly chance?: number;
}

/** Column order of `results.parquet` and of every table. */
export const RESULT_COLUMNS = [
  "measure",
  "metric",
  "checkpoint",
  "set",
  "branch",
  "outcome",
  "block",
  "matrix",
  "index",
  "alpha",
  "step",
  "seed",
  "value",
  "n",
  "low",
  "high",
  "chance",
] as const satisfies readonly (keyof ResultRow)[];

/** An intervention that was applied, and to which rows it led: those with this checkpoint, and its alpha, rank (`index`) and matrices. */
export type AppliedIntervention = Intervention & { readonly checkpoint: string };

/** `results/MEASURE.json`. */
export interface ResultsFile {
  readonly schema: typeof RESULTS_SCHEMA;
  readonly measure: string;
  /** Identities of the stages that the rows came from. */
  readonly stages: readonly string[];
  /** Of `interventions`: what was applied, as data. */
  readonly interventions?: readonly AppliedIntervention[];
  readonly rows: readonly ResultRow[];
}

/** A decoded sample kept for people to read, in `results/examples.json` under `examples`. */
export interface Example {
  readonly checkpoint: string;
  readonly set: string;
  readonly seed: number;
  readonly branch: string;
  readonly label: string;
  readonly operators: readonly string[];
  readonly text: readonly string[];
  /** f_j(f_i(text)). */
  readonly truth: readonly string[];
  /** Greedy output of the checkpoint. */
  readonly output: readonly string[];
  readonly outcome: "instruct" | "null" | "other";
}

/** `results/examples.json`: what the models wrote, a few samples of each kind. */
export interface ExamplesFile {
  readonly schema: "nullscope/examples@1";
  readonly examples: readonly Example[];
}
