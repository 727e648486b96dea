import { continueBatches, type Objective, pretrain, ssft, tuningBatches } from "../../train/index.js";
import type { Batch } from "../../train/loop.js";
import type { World } from "../../world/index.js";
import { CONTROLS, type Control, type StudyConfig } from "../config.js";
import { methodObjective, methodOptions } from "../methodOptions.js";
import type { Stage } from "../stage.js";
import type { TrainedModel } from "./behaviour.js";

/** One tuning of a study: a method or a control at one of its rates, from one seed's W_IT. */
export interface Tuning {
  /** A method of the registry, or a control. */
  readonly method: string;
  /** Name of the rate, as in `medium`. */
  readonly rate: string;
  readonly seed: number;
}

/** A model of a study, and how it came about: the pretraining it began with, and its tuning unless it is W_IT itself. */
export interface StudyModel extends TrainedModel {
  readonly pretrained: Stage;
  readonly tuning?: Tuning;
}

/** What a tuning's checkpoint is called: `ssft-medium`. */
export function checkpointName({ method, rate }: Pick<Tuning, "method" | "rate">): string {
  return `${method}-${rate}`;
}

/** Every tuning of one seed: the methods at each rate, rate by rate, then the controls. */
export function tuningsOf({ tune }: Pick<StudyConfig, "tune">, seed: number): Tuning[] {
  const { methods, rates, controls } = tune;
  const cross = (names: readonly string[], at: readonly string[]) =>
    at.flatMap((rate) => names.map((method) => ({ method, rate, seed })));
  return [...cross(methods, Object.keys(rates)), ...cross(controls.methods, controls.rates)];
}

const isControl = (method: string): method is Control => (CONTROLS as readonly string[]).includes(method);

/** The steps, 1-based, at which a tuning's model is kept and measured: the whole tuning's last step is among them only if it is asked for. */
export function dynamicsSteps({ tune }: Pick<StudyConfig, "tune">, { method, rate }: Tuning): number[] {
  const { fractions, rates } = tune.dynamics;
  if (isControl(method) || !rates.includes(rate)) return [];
  const steps = fractions.map((fraction) => Math.max(1, Math.round(fraction * tune.steps)));
  return [...new Set(steps)].sort((a, b) => a - b);
}

/** What a tuning minimises, and the options that it was given. */
export function tuningObjective(
  { tune }: Pick<StudyConfig, "tune">,
  { method, rate }: Pick<Tuning, "method" | "rate">,
): { readonly objective: Objective; readonly options: Readonly<Record<string, unknown>> } {
  if (method === "continue") return { objective: pretrain, options: {} };
  if (method === "shuffled") return { objective: ssft, options: {} };
  return {
    objective: methodObjective(tune.options, method, rate),
    options: methodOptions(tune.options, method, rate),
  };
}

/** What a tuning trains on, as a function of the step. */
export function tuningBatchesOf(
  { tune, pretrain: pretraining }: Pick<StudyConfig, "tune" | "pretrain">,
  world: World,
  { method, rate, seed }: Tuning,
): (step: number) => Batch {
  const { batch } = tune;
  if (method === "continue") {
    const textShare = pretraining.curriculum.textShare[1];
    return continueBatches(world, { seed, batch, from: pretraining.steps, textShare });
  }
  const { objective } = tuningObjective({ tune }, { method, rate });
  const rejected = objective.needs.includes("rejected");
  return tuningBatches(world, { seed, batch, rejected, shuffled: method === "shuffled" });
}

/** The plain instruction tuning that a model is compared with, of its seed: at its rate, else at the first rate that the control has. None for W_IT. */
export function continueControl(models: readonly StudyModel[], { seed, tuning }: StudyModel): StudyModel | undefined {
  const controls = models.filter((one) => one.seed === seed && one.tuning?.method === "continue");
  return tuning && (controls.find((one) => one.tuning?.rate === tuning.rate) ?? controls[0]);
}
