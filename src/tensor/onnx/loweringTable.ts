import type { OperationKind, OperationOf, Tensor } from "../tensor.js";
import type { GraphBuilder } from "./builder.js";

/** What a lowering may ask besides its node's operation. */
export interface LoweringContext {
  readonly graph: GraphBuilder;
  /** ONNX name of a tensor of the program. */
  name(value: Tensor): string;
  /** How many tensors of the program read this one. */
  uses(value: Tensor): number;
}

/** Adds `node` to the graph and returns the ONNX name of its value. */
export type Lowering<K extends OperationKind> = (
  context: LoweringContext,
  node: Tensor,
  operation: OperationOf<K>,
) => string;

export type LoweringTable = { readonly [K in OperationKind]: Lowering<K> };
