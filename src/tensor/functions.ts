/** Functions of a transformer, written in operations. Those with a hand-written gradient say why. */
import {
  add,
  cast,
  div,
  lessEqual,
  mul,
  neg,
  sigmoid,
  softplus,
  sqrt,
  square,
  sub,
  withGradient,
} from "./operations/elementwise.js";
import { pick } from "./operations/indexing.js";
import { concat, slice } from "./operations/layout.js";
import { matmul } from "./operations/matmul.js";
import { logSoftmax, normalize, softmax } from "./operations/normalization.js";
import { mean, sum } from "./operations/reduction.js";
import type { Tensor } from "./tensor.js";

/** 2u = x (GELU_SCALE + GELU_SCALE GELU_CUBIC x²). */
export const GELU_SCALE = 2 * Math.sqrt(2 / Math.PI);
export const GELU_CUBIC = 0.044715;

/**
 * GELU, tanh approximation: x/2 (1 + tanh u), u = sqrt(2/pi)(x + 0.044715 x³). Hendrycks & Gimpel 2016; PyTorch's `gelu(approximate="tanh")`.
 * Written as x sigmoid(2u), which is the same number in fewer passes; its gradient reuses x² and the sigmoid.
 */
export function gelu(x: Tensor): Tensor {
  const xx = square(x);
  const gate = sigmoid(mul(x, add(mul(xx, GELU_SCALE * GELU_CUBIC), GELU_SCALE)));
  const value = mul(x, gate);
  return withGradient(value, [x], (grad) => {
    // d/dx [x s(2u)] = s + x s (1 - s) (2u)'
    const slope = add(mul(xx, 3 * GELU_SCALE * GELU_CUBIC), GELU_SCALE);
    return [mul(grad, add(gate, mul(mul(value, sub(1, gate)), slope)))];
  });
}

/** x sigmoid(x), also called swish. */
export function silu(x: Tensor): Tensor {
  return mul(x, sigmoid(x));
}

/** log sigmoid(x) = -log(1 + e^-x), without overflow. */
export function logSigmoid(x: Tensor): Tensor {
  return neg(softplus(neg(x)));
}

/** Layer normalization over the last axis. Ba et al. 2016. x [..., n], weight [n], bias [n] */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon = 1e-5): Tensor {
  return add(mul(normalize(x, epsilon), weight), bias);
}

/** x / sqrt(mean(x²) + epsilon) * weight over the last axis. Zhang & Sennrich 2019. x [..., n], weight [n] */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon = 1e-6): Tensor {
  const rms = sqrt(add(mean(square(x), { axis: -1, keepDims: true }), epsilon));
  return mul(div(x, rms), weight);
}

export interface AttentionInput {
  /** [..., queries, dim] */
  readonly queries: Tensor;
  /** [..., keys, dim] */
  readonly keys: Tensor;
  /** [..., keys, dim] */
  readonly values: Tensor;
  /** Added to the scores before the softmax: 0 where a query may look, a large negative number where not. Broadcasts to [..., queries, keys]. No gradient. */
  readonly bias: Tensor;
  /** On the products of queries and keys, 1 / sqrt(dim). */
  readonly scale: number;
}

/**
 * Softmax attention: pattern = softmax(scale q k' + bias), output = pattern v. Vaswani 2017. The gradient takes the softmax's inner sum over
 * keys as a sum over dim, sum(dP P) = sum(dO O) (Dao 2022), which spares two passes over [queries, keys].
 */
export function attention({ queries, keys, values, bias, scale }: AttentionInput): {
  readonly pattern: Tensor;
  readonly output: Tensor;
} {
  const pattern = softmax(add(matmul(queries, keys, { transposeB: true, scale }), bias)); // [..., queries, keys]
  const output = matmul(pattern, values);
  return {
    pattern,
    output: withGradient(output, [queries, keys, values], (grad) => {
      const inner = sum(mul(grad, output), { axis: -1, keepDims: true });
      const scores = mul(pattern, sub(matmul(grad, values, { transposeB: true }), inner));
      return [
        matmul(scores, keys, { scale }),
        matmul(scores, queries, { transposeA: true, scale }),
        matmul(pattern, grad, { transposeA: true }),
      ];
    }),
  };
}

/**
 * Rotary position embedding in Llama's half-split layout: x cos + rotateHalf(x) sin. Su et al. 2021.
 * x [..., time, dim]; cos and sin broadcast to it (each angle stands twice: [time, dim] = [angles, angles]).
 */
export function rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const half = x.shape.at(-1)! / 2;
  const rotated = concat([neg(slice(x, -1, half)), slice(x, -1, 0, half)], -1);
  return add(mul(x, cos), mul(rotated, sin));
}

/** Negative log-likelihood of each target id, in nats. logits [..., vocabulary], targets [...] -> [...] */
export function tokenNll(logits: Tensor, targets: Tensor): Tensor {
  return neg(pick(logSoftmax(logits), targets));
}

/**
 * Mean of `values` where `weights` count, sum(values weights) / sum(weights). Both [...]. Where nothing counts the sum is 0 and the
 * divisor is taken as 1: the loss of an empty batch is 0 and moves nothing (PyTorch's mean is NaN there).
 */
export function weightedMean(values: Tensor, weights: Tensor): Tensor {
  const total = sum(weights);
  const empty = cast(lessEqual(total, 0), total.dtype);
  return div(sum(mul(values, weights)), add(total, empty));
}
