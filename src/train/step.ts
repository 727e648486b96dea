import { type GptConfig, gptParameters, type Parameters } from "../model/index.js";
import {
  add,
  type FloatDType,
  flatten,
  gradients,
  label,
  type ParameterLayout,
  type Program,
  parameterLayout,
  program,
  type Runtime,
  type Tensor,
  unflatten,
  withGradient,
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
  /** With `scored` and an objective that needs rejected answers: how many leading tokens every prompt has, which its two answers share. */
  readonly sharedPrefix?: number;
  readonly pad: number;
  readonly adamw: AdamwOptions;
  /** Largest norm of the whole gradient. */
  readonly clip: number;
  readonly dtype?: FloatDType;
  /** Rows go through the model in this many chunks, forward and back, and their gradients are added; default 1. See `rowChunks`. */
  readonly chunks?: number;
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
  const { model, objective, time, scored, sharedPrefix, pad, clip, dtype = "float32", chunks = 1 } = options;
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
      const copies = chunks === 1 ? [parameters] : Array.from({ length: chunks }, () => renamed(parameters));
      const policy = gptScorer(model, copies, pad);
      const before = reference && gptScorer(model, Array(chunks).fill(unflatten(reference, layout)), pad);
      let input: ObjectiveInput = { policy, preferred: sequences, ...(before && { reference: before }) };
      if (needs.has("rejected")) {
        const pairs = answerPairs({ ...sequences, ...(sharedPrefix !== undefined && { sharedPrefix }) });
        const { preferred, rejected } = pairs;
        const scorers = { policy: pairScorer(policy, pairs), ...(before && { reference: pairScorer(before, pairs) }) };
        input = { ...scorers, preferred, rejected };
      }
      const loss = label(objective.loss(input), "loss");
      const gradient = sumOfChunks(loss, copies);
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

/** The same values as tensors of their own, so that their gradient can be asked for apart. No operation is added. */
function renamed(parameters: Parameters): Parameters {
  return new Map([...parameters].map(([name, value]) => [name, withGradient(value, [value], (grad) => [grad])]));
}

/**
 * The gradient of the loss by all parameters, chunk by chunk: joined to a flat vector for each and then added, so that all of a chunk, forward and
 * back, can be done with before the next begins.
 */
function sumOfChunks(loss: Tensor, copies: readonly Parameters[]): Tensor {
  const each = gradients(
    loss,
    copies.flatMap((copy) => [...copy.values()]),
  );
  const size = each.length / copies.length;
  return copies.map((_, chunk) => flatten(each.slice(chunk * size, (chunk + 1) * size))).reduce((a, b) => add(a, b));
}

/** Bytes of one MLP activation of a chunk: with more, every pass over it goes to memory and back; with fewer, calls cost more than they save. */
const CHUNK_BYTES = 4e6;
/** Each chunk is a copy of the graph: more take seconds to compile. */
const MOST_CHUNKS = 8;

/**
 * How many chunks a training step is best done in: one where the device has memory of its own; on a CPU by the step's shape alone, the same
 * on every machine, since it decides the last digits.
 */
export function rowChunks(
  device: Runtime["device"],
  options: Pick<TrainStepOptions, "model" | "objective" | "batch" | "time">,
): number {
  if (device !== "cpu") return 1;
  const bytes = 4 * rowsOfStep(options) * options.time * options.model.mlp;
  return Math.min(MOST_CHUNKS, options.batch, Math.ceil(bytes / CHUNK_BYTES));
}

/** How a GPT's parameters lie in the flat vector. */
export function gptLayout(model: GptConfig): ParameterLayout {
  return parameterLayout(gptParameters(model));
}
