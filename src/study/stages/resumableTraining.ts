import { createHash } from "node:crypto";
import { encodeSafetensors } from "../../checkpoint/encodeSafetensors.js";
import { parseSafetensors } from "../../checkpoint/safetensors.js";
import type { Engine } from "../../tensor/index.js";
import { type Batch, type TrainOptions, type TrainState, train } from "../../train/loop.js";
import type { StudyConfig } from "../config.js";
import type { Estimate } from "../estimate.js";
import type { StageContext, StateContent } from "../stage.js";
import type { TrainingLog } from "./trainingLog.js";

const FILE = "trainer.safetensors";
const VECTORS = ["parameters", "firstMoment", "secondMoment"] as const;

/**
 * Trains as `train` does, from the newest state that an earlier attempt at this stage saved, if any, else from `fresh`; saves its own every
 * `saveSteps` steps and when stopped. The weights, the log and the files come out the same, byte for byte, however often it is cut off.
 *
 * A state is the weights, AdamW's moments and the number of steps done. Learning rate, curriculum, the batch and its random key are functions
 * of the step and the seed, so the step holds them too; that the next batch is the one it would have been is checked by its hash.
 */
export async function trainResumably(
  context: Pick<StageContext, "state" | "signal">,
  engine: Engine,
  fresh: TrainState,
  options: Omit<TrainOptions, "onState" | "onStep" | "signal">,
  log: TrainingLog,
): Promise<TrainState> {
  const { batchAt } = options;
  const nextBatch = (step: number) => hashOfBatch(batchAt(step));
  const size = fresh.parameters.length;
  const saved = await context.state.load((content) => whyNot(content, size, nextBatch));
  if (saved !== undefined) log.restore(saved.metrics);
  return train(engine, saved === undefined ? fresh : decodeState(saved, size)!, {
    ...options,
    onStep: log.onStep,
    onState: (state) =>
      context.state.save({
        step: state.step,
        note: { nextBatch: nextBatch(state.step) },
        files: new Map([[FILE, encodeState(state)]]),
      }),
    signal: context.signal,
  });
}

/** Why training cannot go on from a state, as a clause. */
function whyNot(content: StateContent, size: number, nextBatch: (step: number) => string): string | undefined {
  if (decodeState(content, size) === undefined) return `it holds no state of ${size} parameters`;
  if ((content.note as { nextBatch?: unknown } | null)?.nextBatch !== nextBatch(content.step))
    return "the batch of the next step is not the one that it would have been";
  return undefined;
}

function encodeState(state: TrainState): Uint8Array {
  return encodeSafetensors(
    VECTORS.map((name) => [name, { dtype: "F32", shape: [state[name].length], data: state[name] }] as const),
    { step: String(state.step) },
  );
}

/** Undefined for a file that holds other things than three vectors of `size`. */
function decodeState({ step, files }: StateContent, size: number): TrainState | undefined {
  const file = files.get(FILE);
  if (file === undefined) return undefined;
  const { tensors } = parseSafetensors(file, FILE); // verified by its hash: our own writing
  const vectors = VECTORS.map((name) => tensors.get(name)?.data);
  if (!vectors.every((data): data is Float32Array => data instanceof Float32Array && data.length === size))
    return undefined;
  const [parameters, firstMoment, secondMoment] = vectors as [Float32Array, Float32Array, Float32Array];
  return { parameters, firstMoment, secondMoment, step };
}

function hashOfBatch({ tokens, positions, targets, weights }: Batch): string {
  const hash = createHash("sha256");
  for (const part of [tokens, positions ?? new Int32Array(), targets, weights])
    hash.update(`${part.length};`).update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  return hash.digest("hex");
}

/** A state takes about this long, and its bytes at this rate: measured on a busy machine with a disk that syncs in earnest. */
const STATE_SECONDS = 0.15;
const STATE_BYTES_PER_SECOND = 100e6;
/** One second in so many goes into states. */
const SHARE = 100;
/** A graphics card is about so many times faster than what estimates are made for. */
const ACCELERATED = 100;

/**
 * Steps between two states: as the configuration says or, where it says `auto`, so many that they are estimated to take a hundred times as long
 * as saving. A function of the configuration alone, no clock; no result depends on it.
 */
export function saveStepsOf(
  { saveSteps, device }: Pick<StudyConfig, "saveSteps" | "device">,
  {
    steps,
    parameters,
    estimateSeconds,
  }: { readonly steps: number; readonly parameters: number } & Pick<Estimate, "estimateSeconds">,
): number {
  if (saveSteps !== "auto") return saveSteps;
  const stepSeconds = estimateSeconds / steps / (device === "cpu" ? 1 : ACCELERATED);
  const saveSeconds = STATE_SECONDS + (4 * VECTORS.length * parameters) / STATE_BYTES_PER_SECOND;
  return Math.ceil((SHARE * saveSeconds) / stepSeconds);
}
