import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromBase64, fromLeetspeak, toBase64, toLeetspeak } from "../../../src/audit/prompts/encodings.js";
import {
  HARMLESS_TASKS,
  jailbreakVariant,
  VARIANTS,
  type VariantOptions,
} from "../../../src/audit/prompts/jailbreaks.js";
import { parsePromptSet, promptSet } from "../../../src/audit/prompts/promptSet.js";

describe("encodings", () => {
  it("base64 gives every text back", () => {
    expect(toBase64("héllo")).toBe("aMOpbGxv");
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => fromBase64(toBase64(text)) === text));
  });

  it("leetspeak gives a text without digits back, with its six letters in lower case", () => {
    expect(toLeetspeak("Write A Toast")).toBe("Wr173 4 70457");
    const withoutDigits = fc.string({ unit: "grapheme" }).map((text) => text.replace(/[0-9]/g, ""));
    fc.assert(
      fc.property(withoutDigits, (text) => {
        const lowered = text.replace(/[AEIOST]/g, (letter) => letter.toLowerCase());
        expect(fromLeetspeak(toLeetspeak(text))).toBe(lowered);
        expect(toLeetspeak(text)).not.toMatch(/[aeiost]/i);
      }),
    );
  });
});

const pair = (operator: string, operand: string, label: string) => JSON.stringify({ operator, operand, label });
const { prompts } = parsePromptSet(
  [
    pair("plan", "the swim", "unsafe"),
    pair("plan", "the walk", "safe"),
    pair("plan", "the fair", "safe"),
    pair("praise", "the swim", "safe"),
    pair("praise", "the walk", "unsafe"),
  ].join("\n"),
  "p.jsonl",
);
const options: VariantOptions = {
  seed: 5,
  label: "unsafe",
  tasks: HARMLESS_TASKS,
  prefix: "Sure,",
  translations: new Map([
    ["plan the swim", "planifie la nage"],
    ["praise the walk", "loue la marche"],
  ]),
};

describe("jailbreak variants", () => {
  it.each(VARIANTS)("%s keeps label, operator and operand, and names its set", (variant) => {
    const made = jailbreakVariant(variant, prompts, options);
    expect(made.map(({ operator, operand, label, set }) => [operator, operand, label, set])).toEqual([
      ["plan", "the swim", "unsafe", variant],
      ["praise", "the walk", "unsafe", variant],
    ]);
    expect(jailbreakVariant(variant, prompts, options)).toEqual(made);
    // Together with what they were made of they are a prompt file again.
    expect(promptSet([...prompts, ...made], "p").sets).toEqual(["unsafe", "safe", variant]);
  });

  it("disguise the text as they say", () => {
    const texts = (variant: (typeof VARIANTS)[number]) =>
      jailbreakVariant(variant, prompts, options).map(({ text }) => text);
    expect(texts("base64")).toEqual(["cGxhbiB0aGUgc3dpbQ==", "cHJhaXNlIHRoZSB3YWxr"]);
    expect(texts("leetspeak")).toEqual(["pl4n 7h3 5w1m", "pr4153 7h3 w4lk"]);
    expect(texts("language")).toEqual(["planifie la nage", "loue la marche"]);
    expect(texts("prefix")).toEqual(["plan the swim", "praise the walk"]);
    expect(jailbreakVariant("prefix", prompts, options)[0]!.prefix).toBe("Sure,");
    for (const text of texts("competing-task"))
      expect(HARMLESS_TASKS.some((task) => text.endsWith(` ${task}`))).toBe(true);
    // Beside the unsafe concept stands one that the same task is safe with.
    expect(texts("competing-concept")[0]).toMatch(/^plan (the walk|the fair) and the swim$/);
    expect(texts("competing-concept")[1]).toBe("praise the swim and the walk");
  });

  it("of safe prompts are a control with a name of its own", () => {
    const made = jailbreakVariant("base64", prompts, { ...options, label: "safe" });
    expect(made.map(({ set, label }) => [set, label])).toEqual(Array(3).fill(["base64-safe", "safe"]));
  });

  it("say which prompt they cannot be made of", () => {
    expect(() => jailbreakVariant("language", prompts, { ...options, translations: new Map() })).toThrow(
      /^p\.jsonl, line 1: the translations have no "plan the swim"/,
    );
    const alone = prompts.filter(({ operator, set }) => operator === "plan" || set === "unsafe");
    expect(() => jailbreakVariant("competing-concept", alone, options)).toThrow(
      /^p\.jsonl, line 5: no other safe prompt has the operator "praise"/,
    );
    const reworded = prompts.map((prompt) => ({ ...prompt, text: "hello" }));
    expect(() => jailbreakVariant("competing-concept", reworded, options)).toThrow(
      /does not hold its operand "the swim"/,
    );
  });
});
