import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { type Tokenizer, tokenizerFrom } from "../../src/checkpoint/tokenizer.js";
import { checkTokenizerJson } from "../../src/checkpoint/tokenizerJson.js";
import { UserError } from "../../src/errors.js";
import { asciiTokenizer, llama2Tokenizer, llama3Tokenizer } from "./tinyTokenizers.js";

/** The value with the node at a random place replaced; `turns` chooses the way down. */
function mutated(value: unknown, turns: readonly number[], replacement: unknown): unknown {
  const [turn, ...rest] = turns;
  if (turn === undefined || typeof value !== "object" || value === null) return replacement;
  const entries = Object.entries(value);
  if (entries.length === 0) return replacement;
  const [chosen, child] = entries[turn % entries.length]!;
  const next = mutated(child, rest, replacement);
  if (Array.isArray(value)) return value.map((item, i) => (String(i) === chosen ? next : item));
  return { ...value, [chosen]: next };
}

const file = fc.constantFrom(llama2Tokenizer, llama3Tokenizer, asciiTokenizer);
const turns = fc.array(fc.nat(300), { minLength: 1, maxLength: 6 });
const replacement = fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 1e300, 2 ** 53, "", "(", "__proto__", null, [], {}));

describe("a tokenizer.json with any node replaced", () => {
  it("is read, or refused in one sentence", () => {
    fc.assert(
      fc.property(file, turns, replacement, (make, way, value) => {
        const json = JSON.stringify(mutated(make(), way, value)) ?? "null";
        try {
          expect(checkTokenizerJson(json, "t").vocabularySize).toBeGreaterThan(0);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          expect(error.message).toMatch(/^t.*\.$/s);
        }
      }),
      { numRuns: 1500 },
    );
  });

  const opened: Tokenizer[] = [];
  afterAll(async () => void (await Promise.all(opened.map((one) => one.close()))));

  it("that is read encodes, or says in one sentence that it cannot", async () => {
    await fc.assert(
      fc.asyncProperty(file, turns, replacement, async (make, way, value) => {
        const json = JSON.stringify(mutated(make(), way, value)) ?? "null";
        try {
          const tokenizer = await tokenizerFrom(json, { where: "t", seconds: 5 });
          opened.push(tokenizer);
          const ids = await tokenizer.encodeChecked("hello <s>wörld 123", "p");
          expect(ids.every((id) => id >= 0 && id < tokenizer.vocabularySize)).toBe(true);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
        }
      }),
      { numRuns: 40 },
    );
  });
});
