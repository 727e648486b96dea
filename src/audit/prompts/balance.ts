/** The two labels, which are also the names of the plain sets. */
export const LABELS = ["safe", "unsafe"] as const;
export type Label = (typeof LABELS)[number];

/** How well a part of the prompt alone tells its label. */
export interface LabelBalance {
  readonly safe: number;
  readonly unsafe: number;
  /** Share of the larger label: what one reaches who looks at nothing. */
  readonly chance: number;
  /** Best accuracy of a rule that sees only the operator; of one that sees only the operand. In sample, so never below chance. */
  readonly operator: number;
  readonly operand: number;
}

interface Labelled {
  readonly operator: string;
  readonly operand: string;
  readonly label: Label;
}

/** Best accuracy of each part alone: Σ over its values of max(safe, unsafe), over n. NaN where there are no prompts. */
export function labelBalance(prompts: readonly Labelled[]): LabelBalance {
  const unsafe = prompts.filter(({ label }) => label === "unsafe").length;
  const safe = prompts.length - unsafe;
  return {
    safe,
    unsafe,
    chance: Math.max(safe, unsafe) / prompts.length,
    operator: accuracyByValue(prompts, ({ operator }) => operator),
    operand: accuracyByValue(prompts, ({ operand }) => operand),
  };
}

function accuracyByValue(prompts: readonly Labelled[], partOf: (prompt: Labelled) => string): number {
  const counts = new Map<string, { safe: number; unsafe: number }>();
  for (const prompt of prompts) {
    const count = counts.get(partOf(prompt)) ?? { safe: 0, unsafe: 0 };
    count[prompt.label]++;
    counts.set(partOf(prompt), count);
  }
  let right = 0;
  for (const { safe, unsafe } of counts.values()) right += Math.max(safe, unsafe);
  return right / prompts.length;
}

/**
 * Best accuracy of a threshold on one number, both directions tried: with labels equally frequent, 1/2 + D/2, D the largest distance between the two
 * cumulative distributions (Kolmogorov and Smirnov's). values [n], labels [n].
 */
export function thresholdAccuracy(values: ArrayLike<number>, labels: readonly Label[]): number {
  const order = labels.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const unsafe = labels.filter((label) => label === "unsafe").length;
  const safe = labels.length - unsafe;
  let best = Math.max(safe, unsafe);
  let [safeBelow, unsafeBelow] = [0, 0];
  for (const [rank, i] of order.entries()) {
    if (labels[i] === "unsafe") unsafeBelow++;
    else safeBelow++;
    const next = order[rank + 1];
    if (next !== undefined && values[next] === values[i]) continue;
    best = Math.max(best, safeBelow + unsafe - unsafeBelow, unsafeBelow + safe - safeBelow);
  }
  return best / labels.length;
}
