export interface ScheduleOptions {
  /** Learning rate after the warm-up. */
  readonly peak: number;
  /** Learning rate at the last step. */
  readonly final: number;
  /** Steps of linear rise; the first step already moves (peak / warmup). */
  readonly warmup: number;
  readonly steps: number;
}

/** Learning rate of step 0 .. steps - 1: linear warm-up to the peak, then half a cosine to the final rate, reached at the last step. */
export function warmupCosine(step: number, { peak, final, warmup, steps }: ScheduleOptions): number {
  if (step < warmup) return (peak * (step + 1)) / warmup;
  const span = steps - 1 - warmup;
  const progress = span <= 0 ? 1 : (step - warmup) / span;
  return final + 0.5 * (peak - final) * (1 + Math.cos(Math.PI * progress));
}

/** Linear from the first to the last step. */
export function linearSchedule(step: number, steps: number, from: number, to: number): number {
  return steps <= 1 ? to : from + ((to - from) * step) / (steps - 1);
}
