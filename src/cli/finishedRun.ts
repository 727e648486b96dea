import { join } from "node:path";
import { closest } from "fastest-levenshtein";
import { UserError } from "../errors.js";
import { buildStudy } from "../study/build.js";
import type { StudyConfig } from "../study/config.js";
import { resolveDevice } from "../study/devices.js";
import { type EngineSource, engineSource } from "../study/engines.js";
import { nodeFileSystem } from "../study/fileSystem.js";
import { planStages } from "../study/graph.js";
import { loadWorld } from "../study/loadWorld.js";
import { openRun } from "../study/openRun.js";
import { addRequest, readRequests, requestedStages, type StudyRequest, trainedModels } from "../study/requests.js";
import { resolveConfig } from "../study/resolveConfig.js";
import { readRunConfig } from "../study/runConfigFile.js";
import type { Stage } from "../study/stage.js";
import type { TrainedModel } from "../study/stages/behaviour.js";
import { workersFor } from "../study/workers/workerPool.js";
import type { World } from "../world/index.js";
import type { Io } from "./io.js";
import { findRun } from "./options.js";
import { runToEnd } from "./study.js";

/** A run that something more is asked of. */
export interface FinishedRun {
  readonly folder: string;
  readonly config: StudyConfig;
  readonly world: World;
  readonly engine: EngineSource;
  /** The stages of its configuration. */
  readonly study: readonly Stage[];
  readonly models: readonly TrainedModel[];
}

/** Opens a run as its configuration stands. @throws UserError when it is none. */
export async function openFinishedRun(
  run: string,
  { runs, threads }: { readonly runs: string; readonly threads?: number | undefined },
): Promise<FinishedRun> {
  const folder = await findRun(run, runs);
  await openRun(folder); // says in one sentence when the folder is no run
  const source = join(folder, "config.yaml");
  const resolved = await resolveConfig({ source, ...(threads !== undefined && { threads }) });
  const config = { ...resolved, device: await resolveDevice(resolved.device) };
  const world = await loadWorld(config.world);
  const engine = engineSource(config);
  const study = buildStudy(config, world, engine);
  return { folder, config, world, engine, study, models: trainedModels(study) };
}

/** Does what is asked for beside what is done already, and remembers it. @throws UserError when a checkpoint that it needs is not finished. */
export async function runRequest(
  run: string,
  { folder, config, world, engine, study, models }: FinishedRun,
  { request, needs }: { readonly request: StudyRequest; readonly needs: readonly string[] },
  io: Io,
  {
    json,
    workers,
    answer,
  }: { readonly json: boolean; readonly workers?: number | undefined; readonly answer: () => Promise<void> },
): Promise<void> {
  const before = await readRequests(folder);
  const own = [...study, ...requestedStages(config, world, study, before, engine)];
  const { stages } = await planStages(own, folder, nodeFileSystem);
  const done = stages.filter((stage) => stage.done).map(({ stage }) => stage);
  const source = join(folder, "config.yaml");
  for (const model of models)
    if (needs.includes(model.checkpoint) && !done.includes(model.stage))
      throw new UserError(
        `The run ${run} has no finished checkpoint ${model.checkpoint} of seed ${model.seed}; finish it with "nullscope study ${source}" first.`,
      );
  // config.yaml stays as it is: what was asked for lies in the run's requests.
  const requested = requestedStages(config, world, study, [request], engine);
  await runToEnd([...done, ...requested], folder, await readRunConfig(folder, nodeFileSystem), json, io, {
    workers: {
      count: workers ?? workersFor(config, requested),
      job: { config, requests: [...before, request], runFolder: folder },
    },
    finished: () => addRequest(folder, request),
    answer,
  });
}

/** One of `names`. @throws UserError that names the nearest. */
export function known<T extends string>(what: string, given: string, names: readonly T[]): T {
  const found = names.find((name) => name === given);
  if (found !== undefined) return found;
  throw new UserError(
    `There is no ${what} ${JSON.stringify(given)}; did you mean ${JSON.stringify(closest(given, names))}? There are: ${names.join(", ")}.`,
  );
}
