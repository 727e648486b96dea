import { behaviourPart } from "./behaviourPart.js";
import type { AuditPart } from "./part.js";
import { weightsPart } from "./weights.js";

/** All that an audit can do, in the order in which it does it. A new kind of measurement is a file and a line here. */
export const AUDIT_PARTS = { weights: weightsPart, behaviour: behaviourPart } as const satisfies Record<
  string,
  AuditPart
>;

export type AuditPartName = keyof typeof AUDIT_PARTS;
