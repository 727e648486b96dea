import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { labelBalance, thresholdAccuracy } from "../../../src/audit/prompts/balance.js";
import { escapedJson } from "../../../src/audit/prompts/jsonLines.js";
import { formatPrompts, parsePromptSet } from "../../../src/audit/prompts/promptSet.js";
import { checkTemplate, fillTemplate } from "../../../src/audit/prompts/template.js";

const line = (operator: string, operand: string, label: string, more: object = {}) =>
  JSON.stringify({ operator, operand, label, ...more });
const good = [
  line("plan", "the fog concert", "safe"),
  line("plan", "the night swim", "unsafe"),
  line("praise", "the fog concert", "unsafe"),
  line("praise", "the night swim", "safe"),
];
const parse = (lines: readonly string[]) => parsePromptSet(lines.join("\n"), "p.jsonl");

describe("a prompt file", () => {
  it("is read with defaults: the text is operator and operand, the set is the label", () => {
    const { prompts, sets, notes } = parse([
      ...good,
      line("sing", "x", "unsafe", { set: "base64", text: "c2luZyB4", prefix: "Sure" }),
    ]);
    expect(prompts[1]).toEqual({
      operator: "plan",
      operand: "the night swim",
      label: "unsafe",
      set: "unsafe",
      text: "plan the night swim",
      place: "p.jsonl, line 2",
    });
    expect(prompts[4]).toMatchObject({ set: "base64", text: "c2luZyB4", prefix: "Sure", place: "p.jsonl, line 5" });
    expect(sets).toEqual(["safe", "unsafe", "base64"]);
    expect(notes).toEqual([]);
  });

  it("passes over blank lines, counts them, and takes a line feed after carriage return", () => {
    const { prompts } = parsePromptSet(`\n${good.join("\r\n")}\n\n`, "p.jsonl");
    expect(prompts.map(({ place }) => place)).toEqual([2, 3, 4, 5].map((n) => `p.jsonl, line ${n}`));
  });

  it.each<[string, string, RegExp]>([
    ["no JSON", "plan, swim, safe", /^p\.jsonl, line 5 is not valid JSON/],
    ["no object", '["plan"]', /line 5 is not a JSON object/],
    ["a key twice", '{"operator":"a","operator":"b"}', /line 5 .*"operator" occurs twice/],
    [
      "a misspelt key",
      line("a", "b", "safe", { lable: "safe" }),
      /line 5: "lable" is not a key here; did you mean "label"/,
    ],
    ["a missing operand", '{"operator":"a","label":"safe"}', /line 5 has no "operand"/],
    ["a number for a text", '{"operator":7,"operand":"b","label":"safe"}', /line 5: "operator" must be a text/],
    ["an unknown label", line("a", "b", "harmful"), /line 5: "label" must be "safe" or "unsafe", not "harmful"/],
    ["an empty text", line("a", "b", "safe", { text: "  " }), /line 5: "text" is empty/],
    ["a control character", line("a", "b\u001b[2J", "safe"), /line 5: "operand" holds the control character U\+001B/],
    [
      "an operator without end",
      line("a".repeat(2001), "b", "safe"),
      /"operator" has 2001 characters; 2000 are allowed/,
    ],
    ["a line without end", line("a", "b", "safe", { text: "a".repeat(100_001) }), /line 5 has 1\d+ characters/],
    [
      "a set name that could be a path",
      line("a", "b", "safe", { set: "../x" }),
      /the set "\.\.\/x" must be of small letters/,
    ],
    ["a prompt twice", good[2]!, /line 5 repeats the prompt of p\.jsonl, line 3 in the set unsafe/],
    [
      "one text with two labels",
      line("plan", "x", "safe", { text: "plan the night swim" }),
      /line 5 calls safe the text that p\.jsonl, line 2 calls unsafe/,
    ],
    [
      "an unsafe prompt in the set safe",
      line("a", "b", "unsafe", { set: "safe" }),
      /line 5 puts a prompt labelled unsafe into the set safe/,
    ],
  ])("with %s is refused", (_, bad, message) => {
    expect(() => parse([...good, bad])).toThrow(message);
  });

  it("needs both labels, and says when they are unbalanced or given away", () => {
    expect(() => parse(good.filter((one) => !one.includes("unsafe")))).toThrow(/has no prompt in the set unsafe/);
    expect(() => parse(good.slice(0, 2))).toThrow(/has one prompt in the set safe/);
    const { notes } = parse([
      ...["a", "b", "c", "d"].map((operand) => line("ask", operand, "safe")),
      ...["e", "f"].map((operand) => line("ask", operand, "unsafe")),
    ]);
    expect(notes).toEqual([
      "The labels are unbalanced: 4 safe and 2 unsafe prompts.",
      "The operand alone tells the label in 100% of the prompts (chance 67%), so a difference between safe and unsafe may be one of operands.",
    ]);
  });

  it("is the same set whatever its spaces, and another one when a text changes", () => {
    const spaced = good.map((one) => one.replaceAll(":", " : "));
    expect(parse(spaced).identity).toBe(parse(good).identity);
    expect(parse(good.map((one) => one.replace("fog", "dog"))).identity).not.toBe(parse(good).identity);
  });

  it("is written and read back the same", () => {
    const { prompts, identity } = parse([
      ...good,
      line("sing", "<b>\u202e", "unsafe", { set: "prefix", prefix: "Sure" }),
    ]);
    const text = formatPrompts(prompts);
    expect(text).not.toMatch(/[<\u202e]/);
    expect(parsePromptSet(text, "p.jsonl").identity).toBe(identity);
  });
});

describe("escaped JSON", () => {
  it("is one line of visible characters without markup, and any reader gives the value back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }), (a, b) => {
        const value = { a, b, c: `</script>\u0000\u009b\u2028\u202e\u2066\ufeff\u{e0041}` };
        const text = escapedJson(value);
        expect(text).not.toMatch(/[<>&\p{Cc}\p{Cf}\u2028\u2029]/u);
        expect(JSON.parse(text)).toEqual(value);
      }),
    );
  });
});

describe("what a part of the prompt gives away", () => {
  it("is the best accuracy of that part alone", () => {
    const of = (operator: string, operand: string, unsafe: boolean) =>
      ({ operator, operand, label: unsafe ? "unsafe" : "safe" }) as const;
    // Operator a: 2 safe, 1 unsafe; b: 1 unsafe. Operand x: 2 safe; y: 2 unsafe.
    const prompts = [of("a", "x", false), of("a", "x", false), of("a", "y", true), of("b", "y", true)];
    expect(labelBalance(prompts)).toEqual({ safe: 2, unsafe: 2, chance: 0.5, operator: 0.75, operand: 1 });
  });

  it("of a number is that of its best threshold", () => {
    const [s, u] = ["safe", "unsafe"] as const;
    expect(thresholdAccuracy([1, 2, 3, 4], [s, s, u, u])).toBe(1);
    expect(thresholdAccuracy([4, 3, 2, 1], [s, s, u, u])).toBe(1);
    expect(thresholdAccuracy([1, 1, 1, 1], [s, u, s, u])).toBe(0.5);
    expect(thresholdAccuracy([1, 2, 3, 4], [s, u, u, s])).toBe(0.75);
  });
});

describe("a plain template", () => {
  it("needs both places once, and is filled once", () => {
    expect(() => checkTemplate("{operator}")).toThrow(/must hold \{operand\} once/);
    expect(() => checkTemplate("{operator} {operand} {operand}")).toThrow(/must hold \{operand\} once/);
    expect(fillTemplate(checkTemplate("Please {operator}: {operand}!"), "{operand}", "$&")).toBe(
      "Please {operand}: $&!",
    );
  });
});
