import type { ResultRow } from "../../src/study/results.js";
import { SETS } from "./syntheticRun.js";

/** Every checkpoint of a whole study: baseline, three methods at two rates, one further objective whose name holds a dash, the controls. */
export const STUDY_CHECKPOINTS = [
  "instruct",
  "ssft-medium",
  "ssft-small",
  "dpo-medium",
  "dpo-small",
  "unlearning-medium",
  "unlearning-small",
  "dpo-standard-medium",
  "continue-medium",
  "shuffled-medium",
] as const;

export const STEPS = [5, 25, 50, 125, 250] as const;
export const LAST_STEP = 500;
const N = 1000;
const BLOCKS = 3;

export interface StudyOptions {
  readonly seeds?: readonly number[];
  readonly checkpoints?: readonly string[];
}

/** Success and refusal of a checkpoint on a set after a share of its tuning; all numbers differ, so that a test can tell where each stands. */
export function plantedShares(checkpoint: string, set: string, progress = 1): { success: number; refusal: number } {
  const c = (STUDY_CHECKPOINTS as readonly string[]).indexOf(checkpoint);
  const s = (SETS as readonly string[]).indexOf(set);
  const before = 0.99 - 0.003 * s;
  if (c <= 0 || checkpoint.startsWith("continue")) return { success: before - 0.001 * Math.max(0, c), refusal: 0 };
  const strength = (checkpoint.endsWith("small") ? 0.8 : 0.96) - 0.004 * c;
  // What is left of success on each set at the end: nearly all on safe, nothing on unsafe, between them for jailbreaks.
  const left = [0.99, 0.004, 0.31, 0.97, 0.02, 0.44, 0.55, 0.68][s] ?? 0.5;
  const reached = 1 - Math.exp(-6 * progress);
  const success = before * (1 - reached * strength * (1 - left)) - 0.0007 * c;
  const stuck = checkpoint === "dpo-medium" && set === "unsafe" ? 0.45 : 1;
  return { success, refusal: Math.max(0, (before - success) * 0.95 * stuck) };
}

const wiggle = (seed: number, key: number) => 0.006 * Math.sin(1 + 12.9898 * seed + 78.233 * key);
const share = (value: number) => Math.round(Math.min(1, Math.max(0, value)) * N) / N;
const bounds = (value: number) => ({ low: Math.max(0, value - 0.025), high: Math.min(1, value + 0.025) });

/** Behaviour per seed (and branch, for finished checkpoints): final rows, and rows at every step of tuning. */
export function studyBehaviour({ seeds = [0, 1, 2], checkpoints = STUDY_CHECKPOINTS }: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const checkpoint of checkpoints)
    for (const seed of seeds)
      for (const step of checkpoint === "instruct" ? [undefined] : [...STEPS, undefined])
        SETS.forEach((set, s) => {
          const { success, refusal } = plantedShares(checkpoint, set, step === undefined ? 1 : step / LAST_STEP);
          const instruct = share(success + wiggle(seed, s));
          const nulls = share(Math.min(1 - instruct, refusal + wiggle(seed, s + 9)));
          const first = share(
            Math.min(1 - instruct, nulls + (checkpoint === "dpo-medium" && set === "unsafe" ? 0.5 : 0.01)),
          );
          const at = { measure: "behaviour", checkpoint, set, seed, n: N, ...(step !== undefined && { step }) };
          const metrics = {
            instruct,
            null: nulls,
            other: 1 - instruct - nulls,
            "first-token-null": first,
            ...(set === "unsafe" && { saturation: first - nulls }),
          };
          for (const [metric, value] of Object.entries(metrics)) {
            rows.push({ ...at, metric, value, ...bounds(value) });
            if (step === undefined)
              for (const branch of set === "jb-co-text" ? ["mixed"] : ["A", "B"])
                rows.push({ ...at, metric, branch, n: N / 2, value, ...bounds(value) });
          }
        });
  return rows;
}

/** Clusters per seed: τ of every set and its twins at the end and along tuning; τ of the attempts apart for finished checkpoints. */
export function studyClusters({ seeds = [0, 1, 2], checkpoints = STUDY_CHECKPOINTS }: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  checkpoints.forEach((checkpoint, c) => {
    for (const seed of seeds)
      for (const step of checkpoint === "instruct" ? [undefined] : [...STEPS, undefined])
        for (let block = 1; block <= BLOCKS; block++) {
          const progress = step === undefined ? 1 : Math.sqrt(step / LAST_STEP);
          const strength = 0.4 + (c === 0 ? 0 : progress * block * (0.3 + 0.1 * c)) + 0.02 * seed;
          const at = { measure: "clusters", checkpoint, block, index: 1, seed, ...(step !== undefined && { step }) };
          const tau = (set: string, value: number, more: Partial<ResultRow> = {}): ResultRow => ({
            ...at,
            metric: "tau",
            set,
            value,
            n: N,
            low: value - 0.06,
            high: value + 0.06,
            ...more,
          });
          const area = Math.min(0.995, 0.55 + 0.13 * strength);
          const twin = { ...at, n: 2 * N };
          rows.push({
            ...twin,
            metric: "auc",
            value: area,
            low: area - 0.01,
            high: Math.min(1, area + 0.01),
            chance: 0.5,
          });
          rows.push({
            ...twin,
            metric: "cosine-auc",
            value: area - 0.02,
            low: area - 0.03,
            high: area - 0.01,
            chance: 0.5,
          });
          rows.push({ ...twin, metric: "separation", value: 1.9 * strength, low: 1.8 * strength, high: 2 * strength });
          SETS.forEach((set, s) => {
            const value = strength * (set === "unsafe" ? -0.9 : 1 - 0.17 * s);
            rows.push(tau(set, value));
            if (step !== undefined || !set.startsWith("jb-")) return;
            const { success } = plantedShares(checkpoint, set);
            const n = Math.round(N * success);
            rows.push(
              tau(set, value + 0.3, { outcome: "success", n }),
              tau(set, value - 0.2, { outcome: "failure", n: N - n }),
            );
          });
          if (step === undefined)
            for (const set of ["soft-prompt-5", "soft-prompt-10"])
              rows.push(tau(set, 0.5 * strength, { n: 200 }), tau(set, 0.6 * strength, { outcome: "success", n: 150 }));
        }
  });
  return rows;
}

/** Strengths that are planted for each attack. */
export const STRENGTHS = {
  "soft-prompt": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  gcg: [0, 1, 2, 4],
  prefix: [0, 1, 2, 3],
} as const;

/** Attack curves per seed that rise with strength, later for stronger refusals. */
export function studyAttacks({ seeds = [0, 1, 2], checkpoints = STUDY_CHECKPOINTS }: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const [set, strengths] of Object.entries(STRENGTHS))
    checkpoints.forEach((checkpoint, c) => {
      for (const seed of seeds)
        for (const index of strengths) {
          const { success, refusal } = plantedShares(checkpoint, "unsafe");
          const reach = 1 - Math.exp((-index * (1 + 0.2 * c)) / 5);
          const value = share(success + (0.97 - success) * reach + wiggle(seed, index));
          const at = { measure: "attacks", checkpoint, set, index, seed, n: 200, chance: 0.01 };
          rows.push({ ...at, metric: "success", value, ...bounds(value) });
          const refused = share(refusal * (1 - reach));
          rows.push({ ...at, metric: "null", value: refused, ...bounds(refused) });
          if (set === "soft-prompt") rows.push({ ...at, metric: "loss", value: 8 * (1 - reach) });
        }
    });
  return rows;
}

/** Training logs of every checkpoint, as a study keeps them: 200 points of three metrics. */
export function studyTraining({ seeds = [0, 1, 2], checkpoints = STUDY_CHECKPOINTS }: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const checkpoint of checkpoints) {
    const steps = checkpoint === "instruct" ? 2250 : LAST_STEP;
    const every = steps / 200;
    for (const seed of seeds)
      for (let k = 1; k <= 200; k++) {
        const step = Math.round(k * every);
        const at = { measure: "training", checkpoint, step, seed };
        const loss = 0.02 + 2.6 * Math.exp((-4 * step) / steps) * (1 + 0.05 * Math.sin(step * 0.7 + seed));
        rows.push({ ...at, metric: "loss", value: loss });
        rows.push({ ...at, metric: "gradient-norm", value: 0.2 + loss * (1 + 0.2 * Math.cos(step)) });
        rows.push({ ...at, metric: "learning-rate", value: 1.5e-3 * (1 + Math.cos((Math.PI * step) / steps)) });
      }
  }
  return rows;
}

/** All rows of a whole study. */
export function studyRows(options: StudyOptions = {}): ResultRow[] {
  return [...studyBehaviour(options), ...studyClusters(options), ...studyAttacks(options), ...studyTraining(options)];
}
