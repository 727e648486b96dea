import { activationsProgram, decodeProgram } from "../analysis/index.js";
import { UserError } from "../errors.js";
import type { Program } from "../tensor/index.js";
import {
  type Objective,
  pretrain,
  rowChunks,
  scoredPositions,
  sharedPromptTokens,
  trainStepProgram,
} from "../train/index.js";
import type { World } from "../world/index.js";
import type { StudyConfig } from "./config.js";
import { gptOf } from "./stages/checkpoints.js";
import { POSITIONS } from "./stages/clusters.js";
import { type Tuning, tuningObjective, tuningsOf } from "./stages/tunings.js";

/** Kinds of stages that run a program of their own. */
export const PROGRAM_STAGES = ["pretrain", "tune", "behaviour", "clusters"] as const;
export type ProgramStage = (typeof PROGRAM_STAGES)[number];

/** The study's first tuning of this method (or control); without a method its first tuning. @throws UserError when it has none. */
export function tuningOfMethod(config: StudyConfig, method?: string): Tuning {
  const tunings = tuningsOf(config, config.seeds[0]!);
  const found = tunings.find((tuning) => method === undefined || tuning.method === method);
  if (found === undefined)
    throw new UserError(
      `The study has no tuning ${JSON.stringify(method)}; it has ${[...new Set(tunings.map((one) => one.method))].join(", ")}. tune.methods says which.`,
    );
  return found;
}

/** The program that a stage of this study runs again and again: for graph viewers and profiles. `method`: of the stage `tune`. */
export function stageProgram(config: StudyConfig, world: World, stage: ProgramStage, method?: string): Program {
  const model = gptOf(config.model, world);
  const { pad } = world.vocabulary;
  const time = world.time - 1;
  const training = (settings: StudyConfig["pretrain"] | StudyConfig["tune"], objective: Objective): Program => {
    const { batch, betas, epsilon, weightDecay, clip } = settings;
    const adamw = { betas, epsilon, weightDecay };
    const options = {
      model,
      objective,
      batch,
      time,
      scored: scoredPositions(world),
      sharedPrefix: sharedPromptTokens(world),
      pad,
      clip,
      adamw,
    };
    return trainStepProgram({
      ...options,
      chunks: rowChunks(config.device === "auto" ? "cpu" : config.device, options),
    });
  };
  const { batch } = config.evaluate;
  switch (stage) {
    case "pretrain":
      return training(config.pretrain, pretrain);
    case "tune":
      return training(config.tune, tuningObjective(config, tuningOfMethod(config, method)).objective);
    case "behaviour":
      return decodeProgram(model, { batch, time: 5 + world.maxText, steps: world.maxText, pad });
    case "clusters":
      return activationsProgram(model, { batch, time, means: POSITIONS.length, pad });
  }
}
