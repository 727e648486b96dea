import {
  decodeSteered,
  half,
  halfRows,
  judge,
  lengthOf,
  OUTCOMES,
  randomDirection,
  refusalDirection,
  residualStream,
  type Steering,
} from "../../analysis/index.js";
import { selectRows } from "../../attack/index.js";
import { wilsonInterval } from "../../stats/intervals.js";
import type { Samples, World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { type TrainedModel, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { mechanismSamples } from "./mechanismSamples.js";

const SETS = ["safe", "unsafe"] as const;
/** `plain`: none, on the same samples. */
type Intervention = "plain" | "ablation" | "addition";

/** What is done to the measured samples of one set, all in the same way: its place in the results, and each sample's steering. */
interface Variant {
  readonly set: (typeof SETS)[number];
  readonly intervention: Intervention;
  /** From 0; absent of `plain`, and of a random direction's ablation, which is every block's null, for a projection has no length. */
  readonly block?: number;
  readonly random: boolean;
  readonly steering: (row: number) => Steering;
}

/**
 * The difference-of-means direction of every block of one checkpoint, taken out of the residual stream or added to it, and what the model then does
 * (Arditi et al. 2024). One half of the samples gives the direction, on the other it is tried, beside random directions of its length.
 */
export function refusalDirectionStage(
  config: StudyConfig,
  world: World,
  { stage, checkpoint, seed }: TrainedModel,
  engine: EngineSource,
): Stage {
  const count = mechanismSamples(config, world);
  const { batch } = config.evaluate;
  const { blocks } = config.model;
  const branches = world.branches.length;
  const measured = halfRows(count, 1, branches);
  // Per set: each block's ablation, addition and random addition, one random ablation, and the plain model.
  const decoded = SETS.length * (3 * blocks + 2) * measured.length;
  return {
    kind: "refusal-direction",
    name: `refusal-direction ${checkpoint} seed ${seed}`,
    version: 1,
    config: { samples: count, batch, checkpoint, seed },
    inputs: [stage],
    steps: 3,
    ...estimateEvaluation(gptOf(config.model, world), { samples: decoded, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const samples = new Map(SETS.map((set) => [set, testSamples(world, set, seed, count)]));
      const streamOf = async (set: (typeof SETS)[number]) =>
        residualStream(await engine(), model, samples.get(set)!, { world, batch: Math.min(batch, count) });
      const [safe, unsafe] = [await streamOf("safe"), await streamOf("unsafe")];
      context.progress(1, 3, "directions found");
      context.signal.throwIfAborted();
      const directions = safe.map((vectors, block) =>
        refusalDirection(half(vectors, 0, branches), half(unsafe[block]!, 0, branches)),
      );
      const heldOut = new Map(SETS.map((set) => [set, selectRows(samples.get(set)!, measured)]));
      const variants = variantsOf(directions, heldOut, seed);
      const outcomes = await decodeVariants(variants, heldOut, async (all, steering) => {
        const outputs = await decodeSteered(await engine(), model, all, steering, { world, batch });
        return judge(all, outputs, world.vocabulary.nullToken).outcome;
      });
      context.progress(2, 3, "steered outputs written");
      const n = measured.length;
      const rows: ResultRow[] = [];
      for (const [index, { set, intervention, block, random }] of variants.entries()) {
        if (random) continue;
        const chanceAt = variants.findIndex(
          (one) => one.random && one.set === set && one.intervention === intervention && (one.block ?? block) === block,
        );
        for (const metric of ["null", "instruct"] as const) {
          const hits = (at: number) => outcomes[at]!.filter((one) => OUTCOMES[one] === metric).length;
          rows.push({
            ...{ measure: "refusal-direction", metric: `${intervention}-${metric}`, checkpoint, set, seed },
            ...{ value: hits(index) / n, n, ...wilsonInterval(hits(index), n) },
            ...(block !== undefined && { block: block + 1, chance: hits(chanceAt) / n }),
          });
        }
      }
      for (const [block, direction] of directions.entries())
        rows.push({
          ...{ measure: "refusal-direction", metric: "norm", checkpoint, seed, block: block + 1 },
          ...{ value: lengthOf(direction), n: SETS.length * (count - n) },
        });
      context.progress(3, 3);
      await writeRows(context, rows);
    },
  };
}

function variantsOf(
  directions: readonly Float64Array[],
  heldOut: ReadonlyMap<(typeof SETS)[number], Samples>,
  seed: number,
): Variant[] {
  return SETS.flatMap((set) => {
    const samples = heldOut.get(set)!;
    const width = directions[0]!.length;
    const randomAblation: Variant = {
      ...{ set, intervention: "ablation", random: true },
      steering: (row) => ({ ablate: randomDirection(seed, samples, row, 1, width) }),
    };
    return [
      { set, intervention: "plain", random: false, steering: () => ({}) },
      randomAblation,
      ...directions.flatMap((direction, block): Variant[] => [
        { set, intervention: "ablation", block, random: false, steering: () => ({ ablate: direction }) },
        { set, intervention: "addition", block, random: false, steering: () => ({ add: { block, direction } }) },
        {
          ...{ set, intervention: "addition", block, random: true },
          steering: (row) => ({
            add: { block, direction: randomDirection(seed, samples, row, lengthOf(direction), width) },
          }),
        },
      ]),
    ];
  });
}

/** Decodes every variant's samples in one go, so that batches are full, and hands their outcomes back variant by variant. */
async function decodeVariants(
  variants: readonly Variant[],
  heldOut: ReadonlyMap<(typeof SETS)[number], Samples>,
  run: (all: Samples, steering: readonly Steering[]) => Promise<Uint8Array>,
): Promise<readonly Uint8Array[]> {
  const outcomes: Uint8Array[] = variants.map(() => new Uint8Array(0));
  for (const set of SETS) {
    const samples = heldOut.get(set)!;
    const own = [...variants.keys()].filter((index) => variants[index]!.set === set);
    const rows = own.flatMap(() => [...Array(samples.count).keys()]);
    const steering = own.flatMap((index) =>
      Array.from({ length: samples.count }, (_, row) => variants[index]!.steering(row)),
    );
    const outcome = await run(selectRows(samples, rows), steering);
    for (const [i, index] of own.entries())
      outcomes[index] = outcome.subarray(i * samples.count, (i + 1) * samples.count);
  }
  return outcomes;
}
