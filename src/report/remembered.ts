import { createHash } from "node:crypto";
import type { ResultRow } from "../study/results.js";
import type { Figure } from "./figure.js";
import type { Html } from "./html.js";

/** A section's figures and how each stands in the page. */
export interface Drawn {
  readonly figures: readonly Figure[];
  readonly markup: readonly Html[];
}

/**
 * What was drawn last for each section, with the digest of what it was drawn from. A study writes its report after every stage, and a stage changes the
 * rows of one or two measures; drawing costs more than all the rest. The same input gives the same figures, so that remembering cannot be noticed.
 */
const drawings = new Map<string, { readonly digest: string; readonly drawn: Drawn }>();

/** A digest of rows and of what else a figure depends on. */
export function digestOf(parts: readonly string[], rows: readonly ResultRow[]): string {
  const hash = createHash("sha256").update(JSON.stringify(parts));
  for (const row of rows) hash.update(JSON.stringify(row));
  return hash.digest("base64");
}

/** The section's figures as drawn last, where they were drawn from the same; else drawn now. */
export function remembered(section: string, digest: string, draw: () => Drawn): Drawn {
  const last = drawings.get(section);
  if (last?.digest === digest) return last.drawn;
  const drawn = draw();
  drawings.set(section, { digest, drawn });
  return drawn;
}
