import type { MatrixName } from "../checkpoint/matrices.js";
import type { EngineSource } from "../study/engines.js";
import type { Stage } from "../study/stage.js";
import type { Judge } from "./judges/judge.js";
import type { AuditPair } from "./pair.js";
import type { PromptInput } from "./promptInput.js";

/** Kinds of measurement, by name. */
export type AuditPartName = "weights" | "activations" | "behaviour";

/** What an audit is asked for. */
export interface AuditPlan {
  readonly pair: AuditPair;
  /** Blocks to measure, from 1, ascending. */
  readonly blocks: readonly number[];
  readonly matrices: readonly MatrixName[];
  readonly engine: EngineSource;
  /** What is measured, in order. */
  readonly parts: readonly AuditPartName[];
  /** Where there is a prompt file. */
  readonly prompts?: PromptInput;
  /** What is measured of the activations on them. */
  readonly activations?: {
    /** Points of the path W + alpha dW. */
    readonly alphas: readonly number[];
    /** Gradients back through every block. */
    readonly sensitivity: boolean;
    /** The first generated token beside the last prompt token. */
    readonly firstGenerated: boolean;
  };
  /** How the answers to the prompts are made and judged. */
  readonly behaviour?: {
    readonly judges: readonly Judge[];
    /** Most tokens of an answer. */
    readonly tokens: number;
    readonly endIds: readonly number[];
  };
}

/** One kind of measurement of an audit: its stages, each of which is done once and never again. */
export interface AuditPart {
  readonly name: string;
  stages(plan: AuditPlan): Stage[];
  /** What the user reads before it starts, one line. */
  describe(plan: AuditPlan): string;
}
