/** Markup that is safe to print as it stands: our own words, and foreign text that was escaped once. */
export interface Html {
  readonly markup: string;
}

/** What a template may hold: text (escaped here), numbers, markup, lists of these; `false`, `null`, `undefined` print nothing. */
export type Fragment = string | number | Html | false | null | undefined | readonly Fragment[];

/** Markup from a template literal. Every value that is not markup already is escaped, so foreign text cannot become a tag. */
export function html(strings: TemplateStringsArray, ...values: readonly Fragment[]): Html {
  let markup = strings[0]!;
  for (let i = 0; i < values.length; i++) markup += print(values[i]) + strings[i + 1]!;
  return { markup };
}

/** Text as markup. `&`, `<`, `>` and quotes become entities; what no reader can see becomes a visible escape. */
export function escapeHtml(text: string): string {
  return visible(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** Text without surprises: control characters, bidirectional marks, lone surrogates and other invisibles written as \u{...}. */
export function visible(text: string): string {
  return text.replace(INVISIBLE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** Markup that this project wrote itself (a figure's SVG, a style sheet). Never call it on text from a file. */
export function trusted(markup: string): Html {
  return { markup };
}

function print(value: Fragment): string {
  if (value === false || value === null || value === undefined) return "";
  if (typeof value === "string") return escapeHtml(value);
  if (typeof value === "number") return String(value);
  if (isList(value)) return value.map(print).join("");
  return value.markup;
}

function isList(value: Html | readonly Fragment[]): value is readonly Fragment[] {
  return Array.isArray(value);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

// Cc: controls; Cf: format characters, among them all bidirectional marks and joiners; Cs: lone surrogates; Zl, Zp: separators.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
