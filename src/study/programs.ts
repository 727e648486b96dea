import { activationsProgram, decodeProgram } from "../analysis/index.js";
import type { Program } from "../tensor/index.js";
import { pretrain, scoredPositions, ssft, type TrainStepOptions, trainStepProgram } from "../train/index.js";
import type { World } from "../world/index.js";
import type { StudyConfig } from "./config.js";
import { gptOf } from "./stages/checkpoints.js";
import { POSITIONS } from "./stages/clusters.js";

/** Kinds of stages that run a program of their own. */
export const PROGRAM_STAGES = ["pretrain", "tune", "behaviour", "clusters"] as const;
export type ProgramStage = (typeof PROGRAM_STAGES)[number];

/** The program that a stage of this study runs again and again: for graph viewers and profiles. */
export function stageProgram(config: StudyConfig, world: World, stage: ProgramStage): Program {
  const model = gptOf(config.model, world);
  const { pad } = world.vocabulary;
  const time = world.time - 1;
  const training = (settings: StudyConfig["pretrain"] | StudyConfig["tune"]): Omit<TrainStepOptions, "objective"> => {
    const { batch, betas, epsilon, weightDecay, clip } = settings;
    return { model, batch, time, scored: scoredPositions(world), pad, clip, adamw: { betas, epsilon, weightDecay } };
  };
  const { batch } = config.evaluate;
  switch (stage) {
    case "pretrain":
      return trainStepProgram({ ...training(config.pretrain), objective: pretrain });
    case "tune":
      return trainStepProgram({ ...training(config.tune), objective: ssft });
    case "behaviour":
      return decodeProgram(model, { batch, time: 5 + world.maxText, steps: world.maxText, pad });
    case "clusters":
      return activationsProgram(model, { batch, time, means: POSITIONS.length, pad });
  }
}
