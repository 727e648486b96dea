import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseRules } from "../../../src/audit/judges/rules.js";
import { parseList, parseUnsafePairs } from "../../../src/audit/prompts/crossedDesign.js";
import { parsePromptSet } from "../../../src/audit/prompts/promptSet.js";
import { UserError } from "../../../src/errors.js";

/** Good lines, with pieces cut out, repeated and overwritten. */
function damaged(good: string) {
  const place = fc.nat(good.length);
  const piece = fc.oneof(
    fc.string({ maxLength: 6 }),
    fc.constantFrom('"', "{", "}", "[", "\n", "\u0000", ":", ",", "1e999", "\\u"),
  );
  return fc
    .array(fc.tuple(place, fc.nat(12), piece), { minLength: 1, maxLength: 4 })
    .map((cuts) => cuts.reduce((text, [at, length, put]) => text.slice(0, at) + put + text.slice(at + length), good));
}

const prompts = ["safe", "unsafe", "safe", "unsafe"]
  .map((label, i) => `${JSON.stringify({ operator: `op${i}`, operand: "x", label, set: label, prefix: "Sure" })}\n`)
  .join("");
const lists = { operators: ["a", "b"], operands: ["c", "d"] };

describe.each<[string, string, (text: string) => unknown]>([
  ["a prompt file", prompts, (text) => parsePromptSet(text, "f")],
  [
    "unsafe pairs",
    '{"operator": "a", "operand": ["c", "d"]}\n{"operator": ["b"], "operand": "c"}\n',
    (text) => parseUnsafePairs(text, "f", lists),
  ],
  ["a list", "one\n# two\nthree\n", (text) => parseList(text, "f")],
  [
    "a rule file",
    "rules:\n  - contains: no\n  - regex: '(a|b)+'\n  - starts-with: sorry\n",
    (text) => parseRules(text, "f"),
  ],
])("%s, damaged anywhere", (_, good, read) => {
  it("is read, or refused in one sentence that begins with its name", () => {
    expect(() => read(good)).not.toThrow();
    fc.assert(
      fc.property(damaged(good), (text) => {
        try {
          read(text);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          expect(error.message).toMatch(/^f[ ,:][^\n]*[.?]$/);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
