import { distance } from "fastest-levenshtein";

/** Ends the check with a sentence about what is wrong. */
export type Fail = (message: string) => never;

/** Refuses a list that names something twice. */
export function refuseDuplicates(where: string, list: readonly string[], fail: Fail): void {
  const seen = new Set<string>();
  for (const item of list) {
    if (seen.has(item)) fail(`${where} has ${quoted(item)} twice; remove one.`);
    seen.add(item);
  }
}

/** The end of a sentence: the member of `known` nearest to `word`, as "; did you mean ...?"; `otherwise` where nothing is near. */
export function didYouMean(word: string, known: readonly string[], otherwise = "."): string {
  let best: string | undefined;
  let least = Math.max(2, Math.ceil(word.length / 2)) + 1;
  for (const candidate of known) {
    const d = distance(word.slice(0, 100), candidate);
    if (d < least) [best, least] = [candidate, d];
  }
  return best === undefined ? otherwise : `; did you mean "${best}"?`;
}

/** Foreign text in a message: short, quoted, without control characters. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}
