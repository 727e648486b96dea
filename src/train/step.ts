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
import { gptScorer, type Objective } from "./objective.js";

export interface TrainStepOptions {
  readonly model: GptConfig;
  readonly objective: Objective;
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
export type TrainStepOutput = "nextParameters" | "nextFirstMoment" | "nextSecondMoment" | "loss" | "gradientNorm";

/** With an input `positions` or without. */
export type TrainStepProgram = Program<Exclude<TrainStepInput, "positions">, TrainStepOutput>;

/** The program's inputs while it is traced. */
type TrainStepTensors = Readonly<Record<Exclude<TrainStepInput, "positions">, Tensor> & { positions?: Tensor }>;

/** One whole training step as one program: forward, backward, clip, AdamW. Vectors are flat, in the model's parameter layout. */
export function trainStepProgram(options: TrainStepOptions): TrainStepProgram {
  const { model, objective, batch, time, scored, pad, clip, dtype = "float32" } = options;
  const layout = gptLayout(model);
  const vector = { shape: [layout.size], dtype };
  const scalar = { shape: [], dtype };
  const ids = (length: number) => ({ shape: [batch, length], dtype: "int32" as const });
  const length = scored ?? time;
  return program<Exclude<TrainStepInput, "positions">, TrainStepOutput>(
    `train-${objective.name}`,
    {
      parameters: vector,
      firstMoment: vector,
      secondMoment: vector,
      decayMask: vector,
      learningRate: scalar,
      bias1: scalar,
      bias2: scalar,
      tokens: ids(time),
      ...(scored !== undefined && { positions: ids(length) }),
      targets: ids(length),
      weights: { shape: [batch, length], dtype },
    },
    ({ tokens, targets, weights, positions, ...state }: TrainStepTensors) => {
      const parameters = unflatten(state.parameters, layout);
      const policy = gptScorer(model, parameters, pad);
      const preferred = { tokens, targets, weights, ...(positions !== undefined && { positions }) };
      const loss = label(objective.loss({ policy, preferred }), "loss");
      const gradient = flatten(gradients(loss, [...parameters.values()]));
      const gradientNorm = label(norm(gradient), "optimizer.gradient_norm");
      const next = adamw({ ...state, gradient: clipByNorm(gradient, gradientNorm, clip) }, options.adamw);
      return {
        nextParameters: label(next.parameters, "optimizer.parameters"),
        nextFirstMoment: label(next.firstMoment, "optimizer.first_moment"),
        nextSecondMoment: label(next.secondMoment, "optimizer.second_moment"),
        loss,
        gradientNorm,
      };
    },
  );
}

/** How a GPT's parameters lie in the flat vector. */
export function gptLayout(model: GptConfig): ParameterLayout {
  return parameterLayout(gptParameters(model));
}
