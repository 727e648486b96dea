import { fullRank, INTERVENTION_KINDS, type Intervention } from "../../analysis/index.js";
import { gptLayout } from "../../train/index.js";
import type { World } from "../../world/index.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import type { Stage } from "../stage.js";
import type { TrainedModel } from "./behaviour.js";
import { gptOf } from "./checkpoints.js";
import { interventionStage } from "./intervention.js";
import { FURTHER_MEASURES } from "./interventionMeasures.js";
import { INSTRUCT } from "./pretrain.js";

/** What a study intervenes by itself, one list a curve: of `interventions.run`, on the tuned checkpoints of `interventions.rates`. */
export function studyInterventions(config: StudyConfig, world: World): Intervention[][] {
  const { run, rates, path, transfer, line, rank } = config.interventions;
  const tuned = rates
    .filter((rate) => Object.hasOwn(config.tune.rates, rate))
    .map((rate) => config.tune.methods.map((method) => `${method}-${rate}`));
  const pairs = tuned.flatMap((names) =>
    names.flatMap((from) => names.filter((other) => other !== from).map((other) => [from, other] as const)),
  );
  const curves: Record<(typeof INTERVENTION_KINDS)[number], () => Intervention[][]> = {
    path: () =>
      tuned
        .flat()
        .map((delta) => path.alphas.map((alpha) => ({ kind: "path", from: INSTRUCT, delta, matrices: "all", alpha }))),
    transfer: () =>
      pairs.map(([from, delta]) =>
        transfer.alphas.map((alpha) => ({ kind: "transfer", from, delta, matrices: "all", alpha })),
      ),
    // A line has no direction: each pair once.
    line: () =>
      pairs
        .filter(([from, to], i) => pairs.findIndex(([a, b]) => a === to && b === from) > i)
        .map(([from, to]) => line.alphas.map((alpha) => ({ kind: "line", from, to, matrices: "all", alpha }))),
    rank: () =>
      tuned
        .flat()
        .map((delta) =>
          (["top", "random"] as const).flatMap((directions) =>
            rankInterventions(config, world, { ...rank, delta, from: INSTRUCT, directions }),
          ),
        ),
  };
  return INTERVENTION_KINDS.filter((kind) => run.includes(kind))
    .flatMap((kind) => curves[kind]())
    .filter((curve) => curve.length > 0);
}

/** Low-rank interventions at each rank and, of random directions, each draw. Of all directions there is one choice: the full rank has one draw. */
export function rankInterventions(
  config: StudyConfig,
  world: World,
  {
    ranks,
    draws,
    alpha = 1,
    matrices = "all",
    ...more
  }: { readonly ranks: readonly number[]; readonly draws: number } & Pick<
    Extract<Intervention, { kind: "rank" }>,
    "delta" | "from" | "directions"
  > &
    Partial<Pick<Intervention, "alpha" | "matrices">>,
): Intervention[] {
  const most = fullRank({ kind: "rank", matrices }, gptLayout(gptOf(config.model, world)));
  return ranks
    .filter((rank) => rank <= most)
    .flatMap((rank) =>
      Array.from(
        { length: more.directions === "top" || rank === most ? 1 : draws },
        (_, draw): Intervention => ({
          ...{ kind: "rank", alpha, matrices, ...more },
          ...{ rank, draw },
        }),
      ),
    );
}

/** The stages of some curves on one seed; a curve whose checkpoints the study does not have gives none. */
export function stagesOfInterventions(
  config: StudyConfig,
  world: World,
  models: readonly TrainedModel[],
  { curves, samples }: { readonly curves: readonly (readonly Intervention[])[]; readonly samples: number },
  engine: EngineSource,
  suffix = "",
): Stage[] {
  return curves.flatMap((interventions) => {
    const [first] = interventions;
    if (first === undefined) return [];
    const named = (name: string) => models.find((model) => model.checkpoint === name);
    const [from, other, base] = [
      named(first.from),
      named(first.kind === "line" ? first.to : first.delta),
      named(INSTRUCT),
    ];
    if (from === undefined || other === undefined || base === undefined) return [];
    const options = { suffix, measures: FURTHER_MEASURES };
    return [interventionStage(config, world, { from, other, base }, { interventions, samples }, engine, options)];
  });
}
