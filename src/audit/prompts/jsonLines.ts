import { parseStrictJson, type StrictJson } from "../../checkpoint/strictJson.js";
import { UserError } from "../../errors.js";

/** One line of a JSONL file: a JSON object, and its place for messages. */
export interface JsonLine {
  /** "prompts.jsonl, line 7". */
  readonly place: string;
  /** 1-based. */
  readonly line: number;
  readonly fields: ReadonlyMap<string, StrictJson>;
}

const MAX_LINE_CHARACTERS = 100_000;

/**
 * The objects of a JSONL text, strictly read; blank lines are passed over.
 * @throws UserError naming the line: no object, a key twice, too long, too many.
 */
export function jsonLines(text: string, where: string, maxLines: number): JsonLine[] {
  const found: JsonLine[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const content = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (content.trim() === "") continue;
    const place = `${where}, line ${index + 1}`;
    if (content.length > MAX_LINE_CHARACTERS)
      throw new UserError(`${place} has ${content.length} characters, more than the ${MAX_LINE_CHARACTERS} of a line.`);
    if (found.length === maxLines) throw new UserError(`${where} has more than ${maxLines} lines; split the file.`);
    const fields = parseStrictJson(content, place);
    if (!(fields instanceof Map))
      throw new UserError(`${place} is not a JSON object; write one object in braces per line.`);
    found.push({ place, line: index + 1, fields });
  }
  return found;
}

/**
 * A value as JSON that is safe wherever it is shown: control characters, marks that turn the direction of writing, invisible format characters and the
 * characters of markup are written as \u escapes. Any JSON reader gives the same value back.
 */
export function escapedJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}
