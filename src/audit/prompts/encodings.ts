/** UTF-8 text in Base64 (RFC 4648, with padding). */
export const toBase64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");

/** The text of `toBase64`. */
export const fromBase64 = (encoded: string): string => Buffer.from(encoded, "base64").toString("utf8");

/** Letters and the digits they are written as. */
const LEET: ReadonlyMap<string, string> = new Map([
  ["a", "4"],
  ["e", "3"],
  ["i", "1"],
  ["o", "0"],
  ["s", "5"],
  ["t", "7"],
]);
const LETTERS = new Map([...LEET].map(([letter, digit]) => [digit, letter]));

/** Leetspeak: a, e, i, o, s, t of either case as the digits 4, 3, 1, 0, 5, 7. */
export const toLeetspeak = (text: string): string =>
  text.replace(/[aeiost]/gi, (letter) => LEET.get(letter.toLowerCase())!);

/** Digits as small letters again: the text, if it had none of those digits, with the six letters in lower case. */
export const fromLeetspeak = (text: string): string => text.replace(/[431057]/g, (digit) => LETTERS.get(digit)!);
