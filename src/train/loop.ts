import { DivergedError } from "../errors.js";
import { decayMask, type GptConfig, gptParameters } from "../model/index.js";
import type { Engine, Resident } from "../tensor/index.js";
import type { AdamwOptions } from "./adamw.js";
import type { Objective } from "./objective.js";
import { type ScheduleOptions, warmupCosine } from "./schedule.js";
import { gptLayout, rowChunks, trainStepProgram } from "./step.js";
import { type StepMetric, stepMetricsOf } from "./stepMetrics.js";

/** Everything that training carries from step to step. Vectors are flat, [parameters]. */
export interface TrainState {
  readonly parameters: Float32Array;
  readonly firstMoment: Float32Array;
  readonly secondMoment: Float32Array;
  /** Steps done. */
  readonly step: number;
}

/** One batch, as the training step wants it; of pairs, first the preferred rows, then the rejected ones. Buffers may be reused once the step is done. */
export interface Batch {
  /** [rows, time] */
  readonly tokens: Int32Array;
  /** Where the loss is asked, [rows, scored]; absent where every position is. */
  readonly positions?: Int32Array;
  /** [rows, scored] */
  readonly targets: Int32Array;
  /** [rows, scored] */
  readonly weights: Float32Array;
}

/** What one step measured. */
export interface StepMetrics {
  /** 1-based. */
  readonly step: number;
  /** The objective, before the update, in nats. */
  readonly loss: number;
  /** Those that the objective has; `nllPreferred` is what is scored, per token. */
  readonly metrics: { readonly nllPreferred: number } & { readonly [Metric in StepMetric]?: number };
  readonly learningRate: number;
  /** Of the whole gradient, before clipping. */
  readonly gradientNorm: number;
}

export interface TrainOptions {
  readonly model: GptConfig;
  readonly objective: Objective;
  readonly adamw: AdamwOptions;
  readonly clip: number;
  /** The model before tuning, flat, for an objective that needs it. [parameters] */
  readonly reference?: Float32Array;
  readonly schedule: ScheduleOptions;
  /** Stop when this many steps are done; by default at the end of the schedule. */
  readonly until?: number;
  /** Prompts of a batch. */
  readonly batch: number;
  readonly time: number;
  /** Scored positions of a row; absent: every one. */
  readonly scored?: number;
  /** Leading tokens that every prompt has, and its two answers share. */
  readonly sharedPrefix?: number;
  readonly pad: number;
  /** The batch of step 0 .. steps - 1: a function of the step alone. */
  readonly batchAt: (step: number) => Batch;
  /** What identifies the batches in an error: "pretrain, seed 0". */
  readonly batchName: string;
  readonly onStep?: (metrics: StepMetrics) => void;
  /** After these numbers of steps `onCheckpoint` gets the weights. */
  readonly checkpointsAt?: readonly number[];
  readonly onCheckpoint?: (step: number, parameters: Float32Array) => Promise<void>;
  /** After every so many steps, and when asked to stop, `onState` gets all that training carries: going on from it changes no byte. */
  readonly saveSteps?: number;
  readonly onState?: (state: TrainState) => Promise<void>;
  readonly signal?: AbortSignal;
}

/** A fresh optimizer around given weights. */
export function freshState(parameters: Float32Array): TrainState {
  return {
    parameters,
    firstMoment: new Float32Array(parameters.length),
    secondMoment: new Float32Array(parameters.length),
    step: 0,
  };
}

/**
 * Trains from `state` to the schedule's last step (or `until`). The result depends on the state and the options alone.
 * Throws DivergedError when a loss or the weights are no longer finite, or what is to be learned is ten times less likely, in nats, than by
 * guessing; and `signal.reason` between two steps when asked to stop, once `onState` has the last one.
 */
export async function train(engine: Engine, state: TrainState, options: TrainOptions): Promise<TrainState> {
  const { model, objective, schedule, adamw, batchAt, batchName, onStep, signal } = options;
  if (objective.needs.includes("reference") && options.reference === undefined)
    throw new RangeError(`the objective ${objective.name} needs the parameters of a reference model`);
  const chunks = rowChunks(engine.runtime.device, options);
  const executable = await engine.compile(trainStepProgram({ ...options, chunks }), {
    keep: ["nextParameters", "nextFirstMoment", "nextSecondMoment"],
  });
  const place = (vector: Float32Array) => engine.place(vector, "float32", [vector.length]);
  const mask = await place(decayMask(gptParameters(model), gptLayout(model)));
  // A constant of every step: placed once, it stays on the device.
  const reference = objective.needs.includes("reference") ? await place(options.reference!) : undefined;
  const metricNames = stepMetricsOf(objective);
  const end = Math.min(schedule.steps, options.until ?? schedule.steps);
  const worstNll = 10 * Math.log(model.vocabulary);
  // Weights and moments stay on the device from step to step: a few numbers come back, a batch goes in.
  let [parameters, firstMoment, secondMoment] = (await Promise.all(
    [state.parameters, state.firstMoment, state.secondMoment].map(place),
  )) as [Resident, Resident, Resident];
  const read = async (): Promise<Omit<TrainState, "step">> => {
    const vectors = await Promise.all([parameters, firstMoment, secondMoment].map((one) => one.read()));
    const [weights, first, second] = vectors as [Float32Array, Float32Array, Float32Array];
    return { parameters: weights, firstMoment: first, secondMoment: second };
  };
  /** The last step before this one after which the weights were kept. */
  const lastKept = (step: number) => Math.max(0, ...(options.checkpointsAt ?? []).filter((kept) => kept < step));
  let saved = state.step;
  const save = async (step: number) => {
    if (step > saved) await options.onState?.({ ...(await read()), step });
    saved = step;
  };
  try {
    for (let step = state.step; step < end; step++) {
      if (signal?.aborted) await save(step);
      signal?.throwIfAborted();
      const learningRate = warmupCosine(step, schedule);
      const bias = (beta: number) => Float32Array.of(1 - beta ** (step + 1));
      const out = await executable.run({
        parameters,
        ...(reference !== undefined && { reference }),
        firstMoment,
        secondMoment,
        decayMask: mask,
        learningRate: Float32Array.of(learningRate),
        bias1: bias(adamw.betas[0]),
        bias2: bias(adamw.betas[1]),
        ...batchAt(step),
      });
      for (const old of [parameters, firstMoment, secondMoment]) old.release();
      parameters = out.nextParameters;
      firstMoment = out.nextFirstMoment;
      secondMoment = out.nextSecondMoment;
      const loss = Number(out.loss[0]);
      const gradientNorm = Number(out.gradientNorm[0]);
      const metrics = Object.fromEntries(
        metricNames.map((name, index) => [name, Number(out.metrics[index])]),
      ) as Record<StepMetric, number>;
      const { nllPreferred } = metrics;
      // The objective itself may have no bound, and what is rejected is meant to become unlikely: what is to be learned must not.
      if (![loss, gradientNorm, nllPreferred].every(Number.isFinite) || nllPreferred > worstNll) {
        const lastGood = lastKept(step); // this loss is that of the weights after `step` steps
        throw new DivergedError(
          `The loss became ${loss} (${nllPreferred} nats per preferred token, gradient norm ${gradientNorm}) at step ${step + 1} of ${schedule.steps}; lower the learning rate (now ${learningRate.toPrecision(3)}) or lengthen the warm-up. ${lastGoodWords(lastGood)}`,
          step + 1,
          `${batchName}, step ${step + 1}`,
          loss,
          lastGood,
        );
      }
      onStep?.({ step: step + 1, loss, metrics, learningRate, gradientNorm });
      if (options.checkpointsAt?.includes(step + 1))
        await options.onCheckpoint?.(step + 1, (await parameters.read()) as Float32Array);
      if ((step + 1) % (options.saveSteps ?? Number.POSITIVE_INFINITY) === 0 && step + 1 < end) await save(step + 1);
    }
    const last = await read();
    if (!last.parameters.every(Number.isFinite))
      throw new DivergedError(
        `The weights are no longer finite after step ${end}; lower the learning rate. ${lastGoodWords(lastKept(end))}`,
        end,
        `${batchName}, step ${end}`,
        Number.NaN,
        lastKept(end),
      );
    return { ...last, step: Math.max(state.step, end) };
  } finally {
    // Also when it diverged or was stopped: a device's memory is not garbage-collected.
    for (const one of [parameters, firstMoment, secondMoment, mask, reference]) one?.release();
  }
}

const lastGoodWords = (step: number) =>
  step === 0
    ? "The last good weights are those that it began with."
    : `The last good weights that were kept are those after step ${step}.`;
