import { type GptConfig, gptParameters } from "../model/index.js";
import {
  type FloatDType,
  flatten,
  gradients,
  label,
  type ParameterLayout,
  type Program,
  parameterLayout,
  program,
  type Tensor,
  unflatten,
} from "../tensor/index.js";
import { type AdamwOptions, adamw, clipByNorm, norm } from "./adamw.js";
import { gptScorer, type Objective, type ObjectiveInput } from "./objective.js";
import { answerPairs, pairScorer } from "./pairs.js";
import { stepMetrics } from "./stepMetrics.js";

export interface TrainStepOptions {
  readonly model: GptConfig;
  readonly objective: Objective;
  /** Prompts of a step. An objective that needs rejected answers has twice as many rows, the preferred ones first. */
  readonly batch: number;
  /** Tokens per row that go into the model: one less than the sample, whose last token is only a target. */
  readonly time: number;
  /** Positions of a row at which the loss is asked: the program then has an input `positions`. Absent: every position. */
  readonly scored?: number;
  readonly pad: number;
  readonly adamw: AdamwOptions;
  /** Largest norm of the whole gradient. */
  readonly clip: number;
  readonly dtype?: FloatDType;
}

export type TrainStepInput =
  | "parameters"
  | "reference"
  | "firstMoment"
  | "secondMoment"
  | "decayMask"
  | "learningRate"
  | "bias1"
  | "bias2"
  | "tokens"
  | "positions"
  | "targets"
  | "weights";
export type TrainStepOutput =
  | "nextParameters"
  | "nextFirstMoment"
  | "nextSecondMoment"
  | "loss"
  | "gradientNorm"
  /** [metrics], see `stepMetricsOf`. */
  | "metrics";

/** Inputs that a program has only where its options ask for them. */
type OptionalInput = "positions" | "reference";

/** With an input `positions` or without, and with the `reference` model's parameters where the objective needs them. */
export type TrainStepProgram = Program<Exclude<TrainStepInput, OptionalInput>, TrainStepOutput>;

/** The program's inputs while it is traced. */
type TrainStepTensors = Readonly<
  Record<Exclude<TrainStepInput, OptionalInput>, Tensor> & { [Input in OptionalInput]?: Tensor }
>;

/** How many rows go through the model in one step: two for each prompt whose rejected answer counts too. */
export function rowsOfStep({ objective, batch }: Pick<TrainStepOptions, "objective" | "batch">): number {
  return objective.needs.includes("rejected") ? 2 * batch : batch;
}

/**
 * One whole training step as one program: forward, backward, clip, AdamW. Vectors are flat, in the model's parameter layout. Preferred and
 * rejected answers share one pass; the reference model's pass stands in the same program and has no gradient.
 */
export function trainStepProgram(options: TrainStepOptions): TrainStepProgram {
  const { model, objective, time, scored, pad, clip, dtype = "float32" } = options;
  const layout = gptLayout(model);
  const vector = { shape: [layout.size], dtype };
  const scalar = { shape: [], dtype };
  const rows = rowsOfStep(options);
  const ids = (length: number) => ({ shape: [rows, length], dtype: "int32" as const });
  const length = scored ?? time;
  const needs = new Set(objective.needs);
  return program<Exclude<TrainStepInput, OptionalInput>, TrainStepOutput>(
    `train-${objective.name}`,
    {
      parameters: vector,
      ...(needs.has("reference") && { reference: vector }),
      firstMoment: vector,
      secondMoment: vector,
      decayMask: vector,
      learningRate: scalar,
      bias1: scalar,
      bias2: scalar,
      tokens: ids(time),
      ...(scored !== undefined && { positions: ids(length) }),
      targets: ids(length),
      weights: { shape: [rows, length], dtype },
    },
    ({ tokens, targets, weights, positions, reference, ...state }: TrainStepTensors) => {
      const parameters = unflatten(state.parameters, layout);
      const sequences = { tokens, targets, weights, ...(positions !== undefined && { positions }) };
      const policy = gptScorer(model, parameters, pad);
      const before = reference && gptScorer(model, unflatten(reference, layout), pad);
      let input: ObjectiveInput = { policy, preferred: sequences, ...(before && { reference: before }) };
      if (needs.has("rejected")) {
        const pairs = answerPairs(sequences);
        const { preferred, rejected } = pairs;
        const scorers = { policy: pairScorer(policy, pairs), ...(before && { reference: pairScorer(before, pairs) }) };
        input = { ...scorers, preferred, rejected };
      }
      const loss = label(objective.loss(input), "loss");
      const gradient = flatten(gradients(loss, [...parameters.values()]));
      const gradientNorm = label(norm(gradient), "optimizer.gradient_norm");
      const next = adamw({ ...state, gradient: clipByNorm(gradient, gradientNorm, clip) }, options.adamw);
      return {
        nextParameters: label(next.parameters, "optimizer.parameters"),
        nextFirstMoment: label(next.firstMoment, "optimizer.first_moment"),
        nextSecondMoment: label(next.secondMoment, "optimizer.second_moment"),
        loss,
        gradientNorm,
        metrics: label(stepMetrics(objective, input), "metrics"),
      };
    },
  );
}

/** How a GPT's parameters lie in the flat vector. */
export function gptLayout(model: GptConfig): ParameterLayout {
  return parameterLayout(gptParameters(model));
}
