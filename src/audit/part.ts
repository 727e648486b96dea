import type { MatrixName } from "../checkpoint/matrices.js";
import type { EngineSource } from "../study/engines.js";
import type { Stage } from "../study/stage.js";
import type { AuditPrompts } from "./auditPrompts.js";
import type { Judge } from "./judges/judge.js";
import type { AuditPair } from "./pair.js";

/** Kinds of measurement, by name. */
export type AuditPartName = "weights" | "activations" | "behaviour";

/** What is measured with the prompts. */
export interface ActivationsAsked {
  /** Points of the path W + alpha dW. */
  readonly alphas: readonly number[];
  /** Gradients back through every block. */
  readonly sensitivity: boolean;
  /** The first generated token beside the last prompt token. */
  readonly firstGenerated: boolean;
}

/** How the answers to the prompts are made and judged. */
export interface BehaviourAsked {
  readonly judges: readonly Judge[];
  /** Most tokens of an answer. */
  readonly tokens: number;
  /** Tokens that end an answer. */
  readonly endIds: readonly number[];
}

/** What an audit is asked for. */
export interface AuditPlan {
  readonly pair: AuditPair;
  /** Blocks to measure, from 1, ascending. */
  readonly blocks: readonly number[];
  readonly matrices: readonly MatrixName[];
  readonly engine: EngineSource;
  /** What is measured, in order. */
  readonly parts: readonly AuditPartName[];
  readonly prompts?: AuditPrompts;
  readonly activations?: ActivationsAsked;
  readonly behaviour?: BehaviourAsked;
}

/** One kind of measurement of an audit: its stages, each of which is done once and never again. */
export interface AuditPart {
  readonly name: string;
  stages(plan: AuditPlan): Stage[];
  /** What the user reads before it starts, one line. */
  describe(plan: AuditPlan): string;
}
