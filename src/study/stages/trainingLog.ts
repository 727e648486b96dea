import type { StepMetrics } from "../../train/index.js";
import type { ResultRow } from "../results.js";
import type { StageContext } from "../stage.js";

/** How many points of a training curve go into the results; every step is in `metrics.jsonl`. */
const POINTS = 200;

export interface TrainingLog {
  readonly onStep: (metrics: StepMetrics) => void;
  readonly rows: readonly ResultRow[];
}

/** Writes every step to `metrics.jsonl`, tells people the loss, and keeps an even selection of steps for the report. */
export function trainingLog(
  context: Pick<StageContext, "metrics" | "progress">,
  checkpoint: string,
  seed: number,
  steps: number,
): TrainingLog {
  const every = Math.max(1, Math.round(steps / POINTS));
  const rows: ResultRow[] = [];
  let smooth: number | undefined;
  return {
    rows,
    onStep({ step, loss, learningRate, gradientNorm }) {
      context.metrics({ step, loss, learningRate, gradientNorm });
      smooth = smooth === undefined ? loss : 0.95 * smooth + 0.05 * loss;
      context.progress(step, steps, `loss ${smooth.toFixed(3)}`);
      if (step !== 1 && step !== steps && step % every !== 0) return;
      for (const [metric, value] of Object.entries({
        loss,
        "learning-rate": learningRate,
        "gradient-norm": gradientNorm,
      }))
        rows.push({ measure: "training", metric, checkpoint, step, seed, value });
    },
  };
}
