import type { GptConfig } from "../model/index.js";
import { gptLayout } from "../train/index.js";

/**
 * Floating-point operations a second that training reaches on two cores of a common machine: 2.7 M parameters at 77 G and 155 k at 65 G were
 * measured, and a plan should rather promise too much time than too little.
 */
const FLOPS = 50e9;
/** Node, ONNX Runtime and our code before any tensor is allocated. */
const BASE_BYTES = 300e6;

/** What a plan says of a stage beforehand. Rough: for the order of magnitude. */
export interface Estimate {
  readonly estimateSeconds: number;
  readonly estimateBytes: number;
}

/** Training takes 6 operations per parameter and token (forward 2, backward 4; Kaplan 2020), and keeps every activation for the way back. */
export function estimateTraining(
  model: GptConfig,
  { steps, batch, time }: { readonly steps: number; readonly batch: number; readonly time: number },
): Estimate {
  const { size } = gptLayout(model);
  const tokens = batch * time;
  // Per token and block about 16 vectors of the width, 8 of the MLP and 4 attention rows per head; half again for gradients in flight.
  const perToken = model.blocks * (16 * model.width + 8 * model.mlp + 4 * model.heads * time) + 6 * model.vocabulary;
  return {
    estimateSeconds: (6 * size * tokens * steps) / FLOPS,
    estimateBytes: BASE_BYTES + 4 * (10 * size + 1.5 * tokens * perToken),
  };
}

/** Evaluation runs forward only, and keeps one batch's attention and MLP. `tokens`: of all samples, prompts and outputs. */
export function estimateEvaluation(
  model: GptConfig,
  { samples, batch, time }: { readonly samples: number; readonly batch: number; readonly time: number },
): Estimate {
  const { size } = gptLayout(model);
  const perToken = 8 * model.width + 4 * model.mlp + 4 * model.heads * time + 3 * model.vocabulary;
  return {
    // Small operations one token at a time reach a fifth of the rate of training.
    estimateSeconds: (2 * size * samples * time) / (FLOPS / 5),
    estimateBytes: BASE_BYTES + 4 * (2 * size + 1.5 * batch * time * perToken),
  };
}
