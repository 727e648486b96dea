import { activationsPart } from "./activations/part.js";
import { behaviourPart } from "./behaviourPart.js";
import type { AuditPart, AuditPartName } from "./part.js";
import { weightsPart } from "./weights.js";

/** All that an audit can do, in the order in which it does it. A new kind of measurement is a file, its name in part.ts and a line here. */
export const AUDIT_PARTS: Readonly<Record<AuditPartName, AuditPart>> = {
  weights: weightsPart,
  activations: activationsPart,
  behaviour: behaviourPart,
};
