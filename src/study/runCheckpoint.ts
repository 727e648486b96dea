import { join } from "node:path";
import type { Checkpoint } from "../analysis/index.js";
import { UserError } from "../errors.js";
import { studyModels } from "./build.js";
import { type FileSystem, nodeFileSystem } from "./fileSystem.js";
import { loadWorld } from "./loadWorld.js";
import { checkStage } from "./manifest.js";
import { resolveConfig } from "./resolveConfig.js";
import { type Stage, stageIdentity } from "./stage.js";
import { loadCheckpoint } from "./stages/checkpoints.js";
import { loadTuningStep } from "./stages/tune.js";
import { dynamicsSteps } from "./stages/tunings.js";
import { stageFolder } from "./store.js";

/**
 * A model of a run by its name: `instruct`, `dpo-medium`, or `dpo-medium@60`, that tuning after 60 steps (a step of `tune.dynamics`, 0 or the last).
 * `seed`: by default the run's first.
 * @throws UserError when the run has no such model or has not made it yet, naming those it has.
 */
export async function loadRunCheckpoint(
  runFolder: string,
  name: string,
  { seed, files = nodeFileSystem }: { readonly seed?: number; readonly files?: FileSystem } = {},
): Promise<Checkpoint> {
  const config = await resolveConfig({ source: join(runFolder, "config.yaml") }, files);
  const models = studyModels(config, await loadWorld(config.world)).filter(
    (model) => model.seed === (seed ?? config.seeds[0]),
  );
  if (models.length === 0)
    throw new UserError(`${runFolder} has no seed ${seed}; its seeds: ${config.seeds.join(", ")}.`);
  const [checkpoint, at, ...rest] = name.split("@") as [string, string?, ...string[]];
  const model = models.find((one) => one.checkpoint === checkpoint);
  if (model === undefined || rest.length > 0)
    throw new UserError(
      `${runFolder} has no checkpoint ${JSON.stringify(name)}; it has ${models.map((one) => one.checkpoint).join(", ")}, and a tuning's step is written as in dpo-medium@60.`,
    );
  const tuned = await finished(model.stage, runFolder, files);
  if (at === undefined) return loadCheckpoint(tuned);
  const { tuning } = model;
  const kept = tuning === undefined ? [] : [0, ...dynamicsSteps(config, tuning), config.tune.steps];
  if (!kept.map(String).includes(at))
    throw new UserError(
      `${checkpoint} has no step ${JSON.stringify(at)}; steps kept: ${[...new Set(kept)].join(", ") || "none"}. tune.dynamics says which are.`,
    );
  const pretrained = await finished(model.pretrained, runFolder, files);
  return loadTuningStep({ tuned, pretrained, steps: config.tune.steps }, Number(at));
}

/** The folder of a stage that is done and whole. */
async function finished(stage: Stage, runFolder: string, files: FileSystem): Promise<string> {
  const folder = stageFolder(runFolder, stage);
  const check = await checkStage(files, folder, stageIdentity(stage));
  if (check.state === "whole" && check.removed.length > 0)
    throw new UserError(
      `The stage "${stage.name}" of ${runFolder} has no ${check.removed[0]} any more, it was removed by --keep; make it again with "nullscope study ${join(runFolder, "config.yaml")} --keep all".`,
    );
  if (check.state === "whole" && check.manifest.outcome === "done") return folder;
  const why = check.state === "whole" ? "it diverged" : check.state === "damaged" ? check.reason : "it was not run yet";
  throw new UserError(`The stage "${stage.name}" of ${runFolder} has no model (${why}); run the study again.`);
}
