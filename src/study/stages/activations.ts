import { weightDelta } from "../../analysis/index.js";
import { UserError } from "../../errors.js";
import { randomKey } from "../../random/index.js";
import { availableTestSets, type World } from "../../world/index.js";
import { readRows, writeRows } from "../assembleResults.js";
import type { StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage } from "../stage.js";
import { activationSpaceRows, readSpaces, writeSpaces } from "./activationSpace.js";
import { behaviourStage, readOutputs, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { clusterRows, POSITIONS, readSets, writtenSet } from "./clusters.js";
import { rowSpaceRows } from "./rowSpace.js";
import { DIRECTIONS, readSvd, svdStage } from "./svd.js";
import type { StudyModel } from "./tunings.js";

/** Measures that read the same activations, so that one forward pass serves them all. */
const ACTIVATION_MEASURES = ["clusters", "row-space", "activation-space"] as const;

/** A model of a study and those of its seed that it is compared with. */
export interface ComparedModel {
  readonly model: StudyModel;
  /** W_IT. */
  readonly instruct: StudyModel;
  /** Plain instruction tuning, where the study has it. */
  readonly control?: StudyModel | undefined;
}

/** The measures of activations that are to be taken of a model: W_IT has no dW. */
export function activationMeasures(config: StudyConfig, { tuning }: StudyModel) {
  return ACTIVATION_MEASURES.filter(
    (measure) => config.measures.includes(measure) && (measure !== "row-space" || tuning !== undefined),
  );
}

/**
 * All measures of one checkpoint's activations, in one forward pass over every test set: clusters, the row space of dW, the activations' space.
 * @throws UserError when there are fewer than four samples a branch.
 */
export function activationsStage(
  config: StudyConfig,
  world: World,
  { model: compared, instruct, control }: ComparedModel,
  engine: EngineSource,
): Stage {
  const { stage, checkpoint, seed, pretrained, tuning } = compared;
  const { samples: count, batch } = config.evaluate;
  const branches = world.branches.length;
  const fewest = 4 * branches;
  if (count < fewest)
    throw new UserError(
      `evaluate.samples is ${count}, too few for the ${branches} branches of the world ${world.file.name}: both halves of a set must hold two samples of each; set it to at least ${fewest}.`,
    );
  const sets = availableTestSets(world);
  const measures = activationMeasures(config, compared);
  const { blocks } = config.model;
  const behaviour = behaviourStage(config, world, compared, engine);
  const rowSpace = measures.includes("row-space");
  const svd = rowSpace ? svdStage(config, compared) : undefined;
  const spaces =
    measures.includes("activation-space") && tuning !== undefined
      ? activationsStage(config, world, { model: instruct, instruct }, engine)
      : undefined;
  const controlled =
    rowSpace && control !== undefined && control.checkpoint !== checkpoint
      ? activationsStage(config, world, { model: control, instruct, control }, engine)
      : undefined;
  const others = [svd && pretrained, svd, spaces, controlled].filter((input) => input !== undefined);
  return {
    kind: "activations",
    name: `activations ${checkpoint} seed ${seed}`,
    version: 1,
    config: {
      evaluate: { samples: count, batch },
      checkpoint,
      seed,
      positions: [...POSITIONS],
      measures,
      directions: DIRECTIONS,
    },
    inputs: [stage, behaviour, ...others],
    steps: sets.length + blocks,
    ...estimateEvaluation(gptOf(config.model, world), { samples: count * sets.length, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const outputs = await readOutputs(context.input(behaviour));
      const progress = (done: number, note: string) => {
        context.progress(done, sets.length + blocks, note);
        context.signal.throwIfAborted();
      };
      const read = await readSets(await engine(), model, {
        world,
        sets: sets.map((set) => writtenSet(world, set, testSamples(world, set, seed, count), outputs.get(set)!)),
        batch,
        inputs: rowSpace,
        onProgress: progress,
      });
      const from = { checkpoint, seed };
      const rows: ResultRow[] = [];
      if (measures.includes("clusters")) {
        const key = randomKey(seed, `bootstrap clusters ${checkpoint}`);
        for (let block = 0; block < blocks; block++) {
          rows.push(...clusterRows(read, { block, branches, key, spectra: true }, from));
          const separation = rows.findLast((row) => row.metric === "separation")!.value;
          progress(sets.length + block + 1, `block ${block + 1}: separation ${separation.toFixed(2)}`);
        }
      }
      if (measures.includes("activation-space")) {
        if (spaces === undefined) await writeSpaces(context.folder, read, { blocks, branches });
        const folder = spaces === undefined ? context.folder : context.input(spaces);
        const before = spaces && (await readRows(folder)).filter((row) => row.measure === "activation-space");
        const spaceOf = await readSpaces(folder);
        rows.push(...activationSpaceRows(read, { blocks, branches, spaceOf, before }, from));
      }
      if (svd !== undefined) {
        context.signal.throwIfAborted();
        const before = await loadCheckpoint(context.input(pretrained));
        const svdOf = await readSvd(context.input(svd));
        rows.push(
          ...rowSpaceRows(
            {
              sets: read,
              blocks,
              deltaOf: (block, matrix) => ({
                matrix: weightDelta(before, model, block, matrix),
                svd: svdOf(block, matrix),
              }),
              key: randomKey(seed, `bootstrap row space ${checkpoint}`),
              control: controlled === undefined ? [] : await readRows(context.input(controlled)),
            },
            from,
          ),
        );
      }
      await writeRows(context, rows);
    },
  };
}
