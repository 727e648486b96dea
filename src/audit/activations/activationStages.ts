import type { MatrixName } from "../../checkpoint/matrices.js";
import type { EngineSource } from "../../study/engines.js";
import type { Stage } from "../../study/stage.js";
import type { FloatDType } from "../../tensor/index.js";
import { activationSpaceStage } from "./activationSpaceStage.js";
import { alphaPathStage, clustersStage } from "./clusterStages.js";
import type { Kept } from "./keptSets.js";
import { type AuditModel, blockBuffers, pathModel } from "./model.js";
import type { PromptChunks } from "./promptChunks.js";
import { refusalDirectionStage } from "./refusalDirectionStage.js";
import { rowSpaceStage } from "./rowSpaceStage.js";
import { backwardStage, headStage, sensitivityStage } from "./sensitivityStages.js";
import { embedStage, forwardStage, nextTokenStage, type Streams } from "./streamStages.js";

export interface ActivationOptions {
  readonly base: AuditModel;
  readonly tuned: AuditModel;
  readonly prompts: PromptChunks;
  readonly engine: EngineSource;
  /** Blocks to measure, from 1, ascending. */
  readonly blocks: readonly number[];
  /** Of which the row space is measured. */
  readonly matrices: readonly MatrixName[];
  /** Points of the path W + alpha dW; empty for none. */
  readonly alphas: readonly number[];
  /** Whether gradients go back through every block. */
  readonly sensitivity: boolean;
  /** Whether the first generated token is measured beside the last prompt token. */
  readonly firstGenerated: boolean;
  /** The stage that kept the directions of a block's dW, where the weights are measured too. */
  readonly directions?: (layer: number) => Stage | undefined;
  /** Of the numbers on their way; float32 unless a test asks for more. */
  readonly dtype?: FloatDType;
}

/** One model's stages on the way through its blocks. */
interface ModelStream {
  readonly model: AuditModel;
  /** What enters block L (from 1) is `entering(L)`'s. */
  entering(layer: number): Stage;
  /** Activations at the last prompt token. */
  forward(layer: number): Stage;
  head(): Stage;
  /** Activations at the first generated token. */
  next(layer: number): Stage;
  /** The way back to block `layer`'s input. */
  backward(layer: number): Stage;
}

/** The stages are made when first asked for, so that what nothing depends on never runs. */
function modelStream(streams: Streams, model: AuditModel): ModelStream {
  const made = new Map<string, Stage>();
  const once = (key: string, make: () => Stage): Stage => {
    const found = made.get(key) ?? make();
    made.set(key, found);
    return found;
  };
  const { blocks } = model.config;
  const self: ModelStream = {
    model,
    entering: (layer) => (layer === 1 ? once("embed", () => embedStage(streams, model)) : self.forward(layer - 1)),
    forward: (layer) => once(`forward ${layer}`, () => forwardStage(streams, model, layer, self.entering(layer))),
    head: () => once("head", () => headStage(streams, model, self.forward(blocks))),
    next: (layer) =>
      once(`next ${layer}`, () =>
        nextTokenStage(streams, model, layer, {
          entering: self.entering(layer),
          head: self.head(),
          before: layer === 1 ? undefined : self.next(layer - 1),
        }),
      ),
    backward: (layer) =>
      once(`backward ${layer}`, () =>
        backwardStage(streams, model, layer, {
          entering: self.entering(layer),
          after: layer === blocks ? self.head() : self.backward(layer + 1),
        }),
      ),
  };
  return self;
}

/**
 * All stages of the activations of a pair: every prompt passes through one block before the next is read, forward, for the first generated token, and back again.
 * One stage a block and model, each with its chunks on disk: killed, an audit goes on at its block. Memory: `auditMemory`.
 * @throws UserError when W + alpha dW is asked for of two vocabularies.
 */
export function activationStages(options: ActivationOptions): Stage[] {
  const { base, tuned, prompts, engine, blocks, alphas, sensitivity, firstGenerated, dtype = "float32" } = options;
  const between = alphas.filter((alpha) => alpha !== 0 && alpha !== 1);
  const streams: Streams = {
    ...{ prompts, dtype, engine, sensitivity, models: 2 + between.length },
    buffers: blockBuffers(tuned.config, dtype),
  };
  const [before, after] = [modelStream(streams, base), modelStream(streams, tuned)];
  const pair = { base, tuned };
  const stages: Stage[] = [];
  const keptOf = (stream: ModelStream, layer: number): Kept =>
    firstGenerated ? [stream.forward(layer), stream.next(layer)] : [stream.forward(layer)];
  for (const layer of blocks) {
    const kept = { base: keptOf(before, layer), tuned: keptOf(after, layer) };
    stages.push(
      activationSpaceStage(streams, { ...pair, layer, kept }),
      refusalDirectionStage(streams, { ...pair, layer, kept }),
      rowSpaceStage(streams, pair, layer, {
        ...{ kept: kept.tuned, matrices: options.matrices, directions: options.directions?.(layer) },
      }),
    );
  }
  for (const stream of [before, after])
    for (const layer of blocks) stages.push(clustersStage(streams, stream.model, layer, keptOf(stream, layer)));
  if (sensitivity)
    stages.push(
      sensitivityStage(streams, base, { own: before.backward(1) }),
      sensitivityStage(streams, tuned, { own: after.backward(1), base: before.backward(1) }),
    );
  for (const alpha of alphas) {
    const model = pathModel(base, tuned, alpha);
    const own = alpha === 0 ? before : alpha === 1 ? after : modelStream(streams, model);
    for (const layer of blocks)
      stages.push(
        alphaPathStage(streams, { ...model, alpha }, layer, {
          ...{ kept: own.forward(layer), last: layer === blocks.at(-1) },
        }),
      );
  }
  return stages;
}
