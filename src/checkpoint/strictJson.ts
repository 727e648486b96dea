import { UserError } from "../errors.js";

/**
 * JSON of a foreign file, without JavaScript's traps: objects are Maps (so `__proto__` is a name like any other), whole
 * numbers are exact bigints, and a number written with a fraction or exponent stays apart as a plain number.
 */
export type StrictJson = null | boolean | string | bigint | number | StrictJson[] | Map<string, StrictJson>;

/** Nested deeper than this, a header is an attack on the stack, not a description of tensors. */
const MAX_DEPTH = 32;

/** Reading a longer number exactly would take time without bound; no offset has more than 20 digits. */
const MAX_DIGITS = 64;

const WHITESPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
// A run of characters that need no thought: neither quote, backslash nor control character.
const PLAIN = /[ !#-[\]-\uffff]*/y;
const ESCAPES = new Map([
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

/**
 * Parses `text` as one JSON value with nothing but spaces after it. Stricter than JSON.parse: a duplicate key, a lone
 * surrogate and deep nesting are errors.
 * @param where begins every message: "model.safetensors: the header".
 * @throws UserError with the character's position.
 */
export function parseStrictJson(text: string, where: string): StrictJson {
  let at = 0;

  const fail = (what: string): never => {
    throw new UserError(`${where} is not valid JSON: ${what} at character ${at}.`);
  };
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found !== null) at += found[0].length;
    return found;
  };
  const skip = () => void match(WHITESPACE);
  const expected = (what: string): never =>
    fail(at >= text.length ? `it ends where ${what} should stand` : `${what} expected`);
  const take = (character: string) => {
    if (text[at] !== character) expected(`'${character}'`);
    at++;
  };

  function value(depth: number): StrictJson {
    if (depth > MAX_DEPTH) fail(`more than ${MAX_DEPTH} levels of nesting`);
    const first = text[at];
    if (first === "{") return object(depth);
    if (first === "[") return array(depth);
    if (first === '"') return string();
    for (const [word, meaning] of LITERALS)
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    const number = match(NUMBER);
    if (number === null) return expected("a value");
    if (number[0].length > MAX_DIGITS) fail(`a number of more than ${MAX_DIGITS} digits`);
    return number[1] === undefined && number[2] === undefined ? BigInt(number[0]) : Number(number[0]);
  }

  function object(depth: number): Map<string, StrictJson> {
    const members = new Map<string, StrictJson>();
    take("{");
    skip();
    if (text[at] === "}") {
      at++;
      return members;
    }
    for (;;) {
      if (text[at] !== '"') expected("a key in quotes");
      const key = string();
      if (members.has(key)) fail(`the key ${quoteName(key)} occurs twice, the second time`);
      skip();
      take(":");
      skip();
      members.set(key, value(depth + 1));
      skip();
      if (text[at] === "}") break;
      take(",");
      skip();
    }
    at++;
    return members;
  }

  function array(depth: number): StrictJson[] {
    const items: StrictJson[] = [];
    take("[");
    skip();
    if (text[at] === "]") {
      at++;
      return items;
    }
    for (;;) {
      items.push(value(depth + 1));
      skip();
      if (text[at] === "]") break;
      take(",");
      skip();
    }
    at++;
    return items;
  }

  function string(): string {
    take('"');
    let result = "";
    for (;;) {
      result += match(PLAIN)![0];
      const stop = text[at];
      if (stop === '"') break;
      if (stop === undefined) fail("a string without end");
      if (stop !== "\\") fail("a control character inside a string");
      at++;
      result += escaped();
    }
    at++;
    if (/\p{Surrogate}/u.test(result)) fail("half of a surrogate pair in a string that ends");
    return result;
  }

  function escaped(): string {
    const letter = text[at] ?? "";
    const simple = ESCAPES.get(letter);
    if (simple !== undefined) {
      at++;
      return simple;
    }
    const hex = text.slice(at + 1, at + 5);
    if (letter !== "u" || !/^[0-9a-fA-F]{4}$/.test(hex)) fail("an unknown escape");
    at += 5;
    return String.fromCharCode(Number.parseInt(hex, 16));
  }

  skip();
  const result = value(0);
  skip();
  if (at < text.length) fail("something after the value");
  return result;
}

const LITERALS: readonly (readonly [string, null | boolean])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
];

/** A foreign name for a message: in quotes, escaped, and cut when it is long. */
export function quoteName(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)} ...` : name);
}
