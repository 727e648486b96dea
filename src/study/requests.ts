import { join } from "node:path";
import { z } from "zod";
import { type Intervention, interventionSchema } from "../analysis/index.js";
import { UserError } from "../errors.js";
import type { World } from "../world/index.js";
import { canonicalJson, type JsonValue } from "./canonicalJson.js";
import { ATTACKS, type AttackName, attackSchemas, type StudyConfig } from "./config.js";
import type { EngineSource } from "./engines.js";
import { asUserError, errorCode, type FileSystem, nodeFileSystem, writeAtomically } from "./fileSystem.js";
import { sha256 } from "./manifest.js";
import { writeIfChanged } from "./runStudy.js";
import { readSealedJson, sealJson } from "./seal.js";
import type { Stage } from "./stage.js";
import type { AttackSettings } from "./stages/attack.js";
import { stagesOfAttack } from "./stages/attacks.js";
import type { TrainedModel } from "./stages/behaviour.js";
import { stagesOfInterventions } from "./stages/interventions.js";
import { INSTRUCT } from "./stages/pretrain.js";

/** Folder of a run in which what was asked for after the study is remembered, one file a request: `0001.json`, ... */
const REQUESTS = "requests";

/** An attack that was asked for by itself, with all its settings: every later study of the run counts it among its stages. */
export interface AttackRequest {
  readonly attack: AttackName;
  readonly checkpoint: string;
  readonly settings: AttackSettings;
}

/** Interventions that were asked for by themselves: of one kind, between the same models, on the same matrices. */
export interface InterventionRequest {
  readonly interventions: readonly Intervention[];
  /** Test samples of each set. */
  readonly samples: number;
}

/** Whatever was asked for after the study. */
export type StudyRequest = AttackRequest | InterventionRequest;

const ATTACK_SCHEMA = "nullscope/attack-request@1";
const INTERVENTION_SCHEMA = "nullscope/intervention-request@1";

const interventionRequest = z
  .strictObject({
    schema: z.literal(INTERVENTION_SCHEMA),
    interventions: z.array(interventionSchema).min(1).max(10_000),
    samples: z.int().min(8).max(1_000_000),
  })
  .transform(({ interventions, samples }): InterventionRequest => ({ interventions, samples }));

const attackRequest = z
  .strictObject({
    schema: z.literal(ATTACK_SCHEMA),
    attack: z.enum(ATTACKS),
    checkpoint: z.string().min(1).max(100),
    settings: z.unknown(),
  })
  .transform(({ attack, checkpoint, settings }, context): AttackRequest => {
    const parsed = attackSchemas[attack].safeParse(settings);
    if (parsed.success) return { attack, checkpoint, settings: parsed.data };
    context.addIssue({ code: "custom", message: "settings that the attack does not have" });
    return z.NEVER;
  });

const schemaOf = (request: StudyRequest) => ("attack" in request ? ATTACK_SCHEMA : INTERVENTION_SCHEMA);

/** The models of a study, from its stages. */
export function trainedModels(stages: readonly Stage[]): TrainedModel[] {
  return stages
    .filter(({ kind }) => kind === "pretrain" || kind === "tune")
    .map((stage) => {
      const { checkpoint = INSTRUCT, seed } = stage.config as { readonly checkpoint?: string; readonly seed: number };
      return { stage, checkpoint, seed };
    });
}

/** The stages of the requests, on every seed of their checkpoints. A checkpoint that the study no longer has gives none. */
export function requestedStages(
  config: StudyConfig,
  world: World,
  stages: readonly Stage[],
  requests: readonly StudyRequest[],
  engine: EngineSource,
): Stage[] {
  const models = trainedModels(stages);
  return requests.flatMap((request) => {
    if (!("attack" in request)) return interventionStages(config, world, models, request, engine);
    const { attack, checkpoint, settings } = request;
    return models
      .filter((model) => model.checkpoint === checkpoint)
      .flatMap((model) => {
        const suffix = ` (request ${sha256(canonicalJson(settings as JsonValue)).slice(0, 8)})`;
        return stagesOfAttack(config, world, model, { attack, settings }, engine, suffix);
      });
  });
}

function interventionStages(
  config: StudyConfig,
  world: World,
  models: readonly TrainedModel[],
  { interventions, samples }: InterventionRequest,
  engine: EngineSource,
): Stage[] {
  const suffix = ` (request ${sha256(canonicalJson({ interventions, samples } as unknown as JsonValue)).slice(0, 8)})`;
  const curves = { curves: [interventions], samples };
  return config.seeds.flatMap((seed) => {
    const ofSeed = models.filter((model) => model.seed === seed);
    return stagesOfInterventions(config, world, ofSeed, curves, engine, suffix);
  });
}

/** The run's requests, oldest first. @throws UserError for one of which both copies are damaged, and for a file that is none. */
export async function readRequests(runFolder: string, files: FileSystem = nodeFileSystem): Promise<StudyRequest[]> {
  return Promise.all((await requestFiles(runFolder, files)).map((name) => readRequest(runFolder, name, files)));
}

/** Writes a damaged copy of a request anew from the other one. The run's lock must be held. */
export async function mendRequests(runFolder: string, files: FileSystem = nodeFileSystem): Promise<void> {
  for (const name of await requestFiles(runFolder, files)) {
    const request = await readRequest(runFolder, name, files);
    for (const path of copiesOf(runFolder, name)) await writeIfChanged(files, path, requestText(request));
  }
}

/** What a person asked for cannot be computed again, so it is kept twice. */
const copiesOf = (runFolder: string, name: string) => ["", COPY].map((end) => join(runFolder, REQUESTS, name + end));
const COPY = ".copy";

const requestText = (request: StudyRequest) =>
  sealJson(`${canonicalJson({ schema: schemaOf(request), ...request } as unknown as JsonValue)}\n`);

/** Remembers a request, as the newest; asked for again, an older one becomes the newest. The run's lock must be held. */
export async function addRequest(
  runFolder: string,
  request: StudyRequest,
  files: FileSystem = nodeFileSystem,
): Promise<void> {
  const names = await requestFiles(runFolder, files);
  const text = requestText(request);
  const newest = names.at(-1);
  const same: string[] = [];
  for (const name of names)
    if (new TextDecoder().decode(await files.read(join(runFolder, REQUESTS, name))) === text) same.push(name);
  if (newest !== undefined && same.includes(newest)) return;
  const next = String(Number.parseInt(newest ?? "0", 10) + 1).padStart(4, "0");
  await files.ensureFolder(join(runFolder, REQUESTS));
  for (const path of copiesOf(runFolder, `${next}.json`))
    await writeAtomically(files, path, new TextEncoder().encode(text));
  for (const name of same) for (const path of copiesOf(runFolder, name)) await files.remove(path);
}

async function requestFiles(runFolder: string, files: FileSystem): Promise<string[]> {
  const names = await files.list(join(runFolder, REQUESTS)).catch((error: unknown) => {
    // What is wrong with the run's folder itself is told when it is used.
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    throw asUserError(error, "read the requests of", runFolder);
  });
  return names
    .filter((name) => /^[0-9]{4,}\.json(\.copy)?$/.test(name))
    .map((name) => name.replace(COPY, ""))
    .filter((name, at, all) => all.indexOf(name) === at)
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
}

/** The first copy that is there and whole. @throws UserError of the first copy where none is. */
async function readEither(files: FileSystem, copies: readonly string[], remedy: string) {
  let first: unknown;
  for (const path of copies) {
    try {
      const json = await readSealedJson(files, path, remedy);
      if (json !== undefined) return json;
    } catch (error) {
      first ??= error;
    }
  }
  throw first ?? new UserError(`${copies[0]} was removed while it was read; run the same command again.`);
}

async function readRequest(runFolder: string, name: string, files: FileSystem): Promise<StudyRequest> {
  const path = join(runFolder, REQUESTS, name);
  const remedy = 'delete it, and ask again with "nullscope attack" or "nullscope intervene"';
  const json = await readEither(files, copiesOf(runFolder, name), remedy);
  const parsed = (json.schema === INTERVENTION_SCHEMA ? interventionRequest : attackRequest).safeParse(json);
  if (!parsed.success)
    throw new UserError(
      `${path} is no request for an attack or for interventions (${parsed.error.issues[0]?.message ?? "its form is wrong"}); ${remedy}.`,
    );
  return parsed.data;
}
