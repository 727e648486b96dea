import type { StepMetric, StepMetrics } from "../../train/index.js";
import type { ResultRow } from "../results.js";
import type { MetricsRow, StageContext } from "../stage.js";

/** How many points of a training curve go into the results; every step is in `metrics.jsonl`. */
const POINTS = { pretraining: 200, tuning: 100 } as const;

/** What a step measured, in the words of result rows. */
const METRIC_WORDS: Readonly<Record<StepMetric, string>> = {
  nllPreferred: "nll-preferred",
  nllRejected: "nll-rejected",
  rewardsChosen: "rewards-chosen",
  rewardsRejected: "rewards-rejected",
  rewardsAccuracies: "rewards-accuracies",
  rewardsMargins: "rewards-margins",
};

export interface TrainingLogOptions {
  readonly seed: number;
  readonly steps: number;
  /** Also likelihoods and rewards; in pretraining the loss says it all. */
  readonly tuning?: boolean;
}

export interface TrainingLog {
  readonly onStep: (metrics: StepMetrics) => void;
  /** Takes up the rows of `metrics.jsonl` that an earlier attempt wrote, before the first step. */
  readonly restore: (rows: readonly MetricsRow[]) => void;
  readonly rows: readonly ResultRow[];
}

/** Writes every step to `metrics.jsonl`, tells people the loss, and keeps an even selection of steps for the report. */
export function trainingLog(
  context: Pick<StageContext, "metrics" | "progress">,
  checkpoint: string,
  { seed, steps, tuning = false }: TrainingLogOptions,
): TrainingLog {
  const every = Math.max(1, Math.round(steps / (tuning ? POINTS.tuning : POINTS.pretraining)));
  const rows: ResultRow[] = [];
  let smooth: number | undefined;
  const take = (row: StepRow) => {
    const { step, loss, learningRate, gradientNorm, ...more } = row;
    smooth = smooth === undefined ? loss : 0.95 * smooth + 0.05 * loss;
    if (step !== 1 && step !== steps && step % every !== 0) return;
    const named = Object.entries(more).map(([name, value]) => [METRIC_WORDS[name as StepMetric], value] as const);
    for (const [metric, value] of [
      ["loss", loss] as const,
      ...named,
      ["learning-rate", learningRate] as const,
      ["gradient-norm", gradientNorm] as const,
    ])
      rows.push({ measure: "training", metric, checkpoint, step, seed, value });
  };
  return {
    rows,
    // Numbers come back from JSON as they were, and only finite ones were written: what is not ends a training.
    restore: (lines) => {
      for (const line of lines) take(line as unknown as StepRow);
    },
    onStep({ step, loss, metrics, learningRate, gradientNorm }) {
      const row: StepRow = { step, loss, ...(tuning && metrics), learningRate, gradientNorm };
      context.metrics({ ...row });
      take(row);
      context.progress(step, steps, `loss ${smooth!.toFixed(3)}`);
    },
  };
}

/** A line of a training's `metrics.jsonl`. */
interface StepRow extends Pick<StepMetrics, "step" | "loss" | "learningRate" | "gradientNorm">, StepMetricValues {}
type StepMetricValues = { readonly [Metric in StepMetric]?: number };
