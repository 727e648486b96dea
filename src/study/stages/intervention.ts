import {
  alphaStar,
  applyIntervention,
  type Directions,
  type Intervention,
  interventionName,
  OUTCOMES,
} from "../../analysis/index.js";
import { UserError } from "../../errors.js";
import { createStream, randomKey } from "../../random/index.js";
import { gptLayout } from "../../train/index.js";
import { availableTestSets, type World } from "../../world/index.js";
import { writeApplied, writeRows } from "../assembleResults.js";
import type { JsonValue } from "../canonicalJson.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { type TrainedModel, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { type InterventionMeasure, measureIntervened, overDraws } from "./interventionMeasures.js";

/** The models of one curve of interventions. */
export interface InterventionModels {
  readonly from: TrainedModel;
  /** Of `delta`, or the other end of a line. */
  readonly other: TrainedModel;
  /** What the tunings began with. */
  readonly base: TrainedModel;
}

/** Interventions that differ in alpha, rank and draw only, and how they are measured. */
export interface InterventionCurve {
  readonly interventions: readonly Intervention[];
  /** Test samples of each set. */
  readonly samples: number;
}

/**
 * One curve of interventions on one seed: each is applied and measured on every test set; along a path also alpha*. The measured model is never kept: its
 * weights are a function of the intervention.
 * @throws UserError when there are fewer than four samples a branch.
 */
export function interventionStage(
  config: StudyConfig,
  world: World,
  { from, other, base }: InterventionModels,
  { interventions, samples: count }: InterventionCurve,
  engine: EngineSource,
  { suffix = "", measures = [] }: { readonly suffix?: string; readonly measures?: readonly InterventionMeasure[] } = {},
): Stage {
  const fewest = 4 * world.branches.length;
  if (count < fewest)
    throw new UserError(
      `interventions.samples is ${count}, too few for the ${world.branches.length} branches of the world ${world.file.name}: both halves of a set must hold two samples of each; set it to at least ${fewest}.`,
    );
  const { seed } = from;
  const [first] = interventions as [Intervention, ...Intervention[]];
  const name = interventionName(first);
  const sets = availableTestSets(world);
  const { batch } = config.interventions;
  return {
    kind: "intervention",
    // A rank's curve holds top and random directions.
    name: `${first.kind} ${first.kind === "rank" ? first.delta : name}${first.matrices === "all" ? "" : ` ${first.matrices.join("+")}`} seed ${seed}${suffix}`,
    version: 1,
    config: {
      interventions: interventions as unknown as JsonValue,
      ...{ samples: count, batch, seed },
      ...(measures.length > 0 && { measures: measures.map((measure) => measure.name) }),
    },
    inputs: [from.stage, other.stage, base.stage],
    steps: interventions.length,
    ...estimateEvaluation(gptOf(config.model, world), {
      samples: count * sets.length * interventions.length,
      batch,
      time: world.time,
    }),
    run: async (context) => {
      const { model, parameters } = await loadCheckpoint(context.input(from.stage));
      const load = async (of: TrainedModel) =>
        of.stage === from.stage ? parameters : (await loadCheckpoint(context.input(of.stage))).parameters;
      const weights = { from: parameters, other: await load(other), base: await load(base) };
      const options = { layout: gptLayout(model), seed, factors: new Map<string, Directions>() };
      const tested = sets.map((set) => ({ set, samples: testSamples(world, set, seed, count) }));
      const key = randomKey(seed, `bootstrap intervention ${first.kind} ${name}`);
      const rows: ResultRow[] = [];
      const refused: { readonly alpha: number; readonly outcomes: Uint8Array }[] = [];
      for (const [index, intervention] of interventions.entries()) {
        context.signal.throwIfAborted();
        const changed = { model, parameters: applyIntervention(intervention, weights, options) };
        const random = createStream(key, index).uniform;
        const input = { world, tested, batch, random };
        const measured = await measureIntervened(await engine(), changed, input, measures);
        rows.push(...measured.rows.map((row) => ({ ...columnsOf(intervention, seed), ...row })));
        refused.push({
          alpha: intervention.alpha,
          outcomes: measured.unsafe.map((outcome) => Number(OUTCOMES[outcome] === "null")),
        });
        const share = measured.rows.find((row) => row.metric === "null" && row.set === "unsafe")!.value;
        context.progress(
          index + 1,
          interventions.length,
          `${wordsOf(intervention)}: unsafe refused ${share.toFixed(3)}`,
        );
      }
      if (first.kind === "path") rows.push(...alphaStarRow(first, refused, seed));
      await writeRows(context, overDraws(rows));
      await writeApplied(
        context,
        interventions.map((one) => ({ checkpoint: interventionName(one), ...one })),
      );
    },
  };
}

/** The columns of rows by which an intervention is found again. */
export function columnsOf(intervention: Intervention, seed: number) {
  const { matrices, alpha } = intervention;
  return {
    measure: "interventions",
    checkpoint: interventionName(intervention),
    seed,
    ...(matrices !== "all" && { matrix: matrices.join("+") }),
    // Of a rank, alpha 1 goes without saying.
    ...(intervention.kind === "rank" ? { index: intervention.rank, ...(alpha !== 1 && { alpha }) } : { alpha }),
  };
}

/** An intervention within its curve, for people. */
function wordsOf(intervention: Intervention): string {
  if (intervention.kind !== "rank") return `alpha ${intervention.alpha}`;
  return `${intervention.directions} ${intervention.rank}${intervention.directions === "random" ? `, draw ${intervention.draw + 1}` : ""}`;
}

function alphaStarRow(
  path: Intervention,
  refused: readonly { readonly alpha: number; readonly outcomes: Uint8Array }[],
  seed: number,
): ResultRow[] {
  const ordered = [...refused].sort((a, b) => a.alpha - b.alpha);
  const random = createStream(randomKey(seed, `bootstrap alpha-star ${interventionName(path)}`), 0).uniform;
  const found = alphaStar(
    ordered.map(({ alpha }) => alpha),
    ordered.map(({ outcomes }) => outcomes),
    { random },
  );
  if (found === undefined) return [];
  const { alpha: _, ...columns } = { alpha: 0, ...columnsOf(path, seed) };
  return [{ ...columns, metric: "alpha-star", set: "unsafe", ...found }];
}
