import { UserError } from "../../errors.js";
import type { TestSet, World } from "../../world/index.js";
import type { StudyConfig } from "../config.js";
import { testSamples } from "./behaviour.js";
import { type WrittenSet, writtenSet } from "./clusters.js";

/**
 * How many samples a set has for the measures of how a model decides: the first ones of those whose behaviour is known.
 * @throws UserError when both halves of a set would not hold two samples of each branch.
 */
export function mechanismSamples(config: StudyConfig, world: World): number {
  const { samples, mechanismSamples: most } = config.evaluate;
  const count = Math.min(samples, most);
  const fewest = 4 * world.branches.length;
  if (count < fewest)
    throw new UserError(
      `evaluate.mechanismSamples gives ${count} samples a set, too few for the ${world.branches.length} branches of the world ${world.file.name}; set it and evaluate.samples to at least ${fewest}.`,
    );
  return count;
}

/** The first `count` samples of a set with what the behaviour stage says that the model wrote on them. */
export function firstWritten(
  world: World,
  set: TestSet,
  outputs: ReadonlyMap<string, Int32Array>,
  { count, seed }: { readonly count: number; readonly seed: number },
): WrittenSet {
  const written = outputs.get(set)!.subarray(0, count * world.maxText);
  return writtenSet(world, set, testSamples(world, set, seed, count), written);
}
