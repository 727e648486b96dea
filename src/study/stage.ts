import { createHash } from "node:crypto";
import { canonicalJson, type JsonValue } from "./canonicalJson.js";

/**
 * One step of a study: a pure function of its configuration and its inputs. That pair is its identity; done once, it is
 * never done again, on this machine or another.
 */
export interface Stage {
  /** `world`, `pretrain`, `tune`, `measure`: the first word of its folder. Lower case letters, digits and dashes. */
  readonly kind: string;
  /** For people, unique in a study: "tune ssft-medium seed 0". Not part of the identity. */
  readonly name: string;
  /** All that the result depends on, beside `inputs` and `version`. Threads, folders and names do not belong here. */
  readonly config: JsonValue;
  /** Raise it when the stage's code changes what it writes. */
  readonly version: number;
  readonly inputs: readonly Stage[];
  /** How many steps it counts in `progress`, for the plan. */
  readonly steps?: number;
  /** Rough duration on two cores, for the plan. */
  readonly estimateSeconds?: number;
  /** Rough peak memory, for the plan. */
  readonly estimateBytes?: number;
  /** Writes its outputs into `context.folder`. Throws DivergedError when the numbers go wrong, `signal.reason` when stopped. */
  run(context: StageContext): Promise<void>;
}

/** What a running stage is given. */
export interface StageContext {
  /** An empty folder of its own; what lies in it when `run` returns is committed as the stage's outputs. */
  readonly folder: string;
  /** The folder of a finished input, verified. */
  input(stage: Stage): string;
  /** Appends one line to `metrics.jsonl`. Rows hold no times: the same seed gives the same bytes. */
  metrics(row: MetricsRow): void;
  /** Tells people how far it is: `step` of `total` done, and the latest news ("loss 1.234"). */
  progress(step: number, total: number, note?: string): void;
  /** Aborted when the user wants to stop: check it between steps with `signal.throwIfAborted()`. */
  readonly signal: AbortSignal;
  /** What a long stage saves on its way, so that a killed one goes on from there. */
  readonly state: StageState;
}

/** What a stage saved in the middle: its own files by their names, and a note of its own. */
export interface StateContent {
  /** Steps done, at least 1. */
  readonly step: number;
  readonly note: JsonValue;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** A row of `metrics.jsonl`. */
export type MetricsRow = Readonly<Record<string, number | string>>;

/** The states of a running stage. They are no outputs: a finished stage has none. */
export interface StageState {
  /**
   * The newest whole state that an earlier attempt left, every byte verified, or undefined. What the stage had written by then, its metrics
   * among it, is in its folder again: call it before anything is written. States that are damaged are named to the user and passed over.
   * @param refuse a reason not to go on from a state that is whole, as a clause: it is passed over too.
   */
  load(
    refuse?: (content: StateContent) => string | undefined,
  ): Promise<(StateContent & { readonly metrics: readonly MetricsRow[] }) | undefined>;
  /** Makes a state durable, with all that the stage has written so far. Returns once no crash can take it back. */
  save(content: StateContent): Promise<void>;
}

/** sha256, in hex, of the canonical JSON of kind, version, configuration and the inputs' identities (in their order). */
export function stageIdentity(stage: Stage): string {
  const known = identities.get(stage);
  if (known !== undefined) return known;
  const text = canonicalJson({
    kind: stage.kind,
    version: stage.version,
    config: stage.config,
    inputs: stage.inputs.map(stageIdentity),
  });
  const identity = createHash("sha256").update(text).digest("hex");
  identities.set(stage, identity);
  return identity;
}

// Inputs are shared by many stages; without this a deep graph would hash its root once per path to it.
const identities = new WeakMap<Stage, string>();

/** Name of the stage's folder under `stages/`: KIND and the first 12 hex digits of its identity. */
export function stageFolderName(stage: Stage): string {
  return `${stage.kind}-${stageIdentity(stage).slice(0, 12)}`;
}
