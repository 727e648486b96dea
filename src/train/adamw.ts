import { add, div, minimum, mul, scalar, sqrt, square, sub, sum, type Tensor } from "../tensor/index.js";

/** PyTorch's names and defaults, but the paper's betas. */
export interface AdamwOptions {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** Decoupled; acts where `decayMask` is 1. */
  readonly weightDecay: number;
}

export interface AdamwState {
  /** All vectors [parameters]. */
  readonly parameters: Tensor;
  readonly firstMoment: Tensor;
  readonly secondMoment: Tensor;
}

export interface AdamwStep extends AdamwState {
  readonly gradient: Tensor;
  /** 1 where weight decay acts, 0 elsewhere. [parameters] */
  readonly decayMask: Tensor;
  /** 0-d, this step's learning rate. */
  readonly learningRate: Tensor;
  /** 0-d, 1 - beta^s for each beta at step s = 1, 2, ...: the moments' bias. */
  readonly bias1: Tensor;
  readonly bias2: Tensor;
}

/**
 * One step of AdamW (Loshchilov & Hutter 2019) on a flat vector, as torch.optim.AdamW computes it: x -= lr wd x;
 * m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; x -= lr (m / bias1) / (sqrt(v / bias2) + eps).
 */
export function adamw(step: AdamwStep, { betas: [beta1, beta2], epsilon, weightDecay }: AdamwOptions): AdamwState {
  const { gradient, learningRate, decayMask } = step;
  const firstMoment = add(mul(step.firstMoment, beta1), mul(gradient, 1 - beta1));
  const secondMoment = add(mul(step.secondMoment, beta2), mul(square(gradient), 1 - beta2));
  const kept = sub(1, mul(decayMask, mul(learningRate, weightDecay)));
  const direction = div(firstMoment, add(sqrt(mul(secondMoment, div(1, step.bias2))), epsilon));
  const parameters = sub(mul(step.parameters, kept), mul(direction, div(learningRate, step.bias1)));
  return { parameters, firstMoment, secondMoment };
}

/** sqrt(sum x²) of a whole vector, 0-d. */
export function norm(x: Tensor): Tensor {
  return sqrt(sum(square(x)));
}

/** The gradient scaled so that its norm is at most `maxNorm`: times min(1, maxNorm / (norm + 1e-6)), as clip_grad_norm_ does. */
export function clipByNorm(gradient: Tensor, gradientNorm: Tensor, maxNorm: number): Tensor {
  return mul(gradient, minimum(div(scalar(maxNorm, gradient.dtype), add(gradientNorm, 1e-6)), 1));
}
