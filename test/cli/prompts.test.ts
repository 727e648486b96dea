import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readPromptSet } from "../../src/audit/prompts/promptSet.js";
import { main } from "../../src/cli/main.js";
import { llama3ChatTemplate, llama3Tokenizer } from "../checkpoint/tinyTokenizers.js";
import { memoryIo } from "./memoryIo.js";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "nullscope-prompts-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function nullscope(...argv: string[]) {
  const { io, written } = memoryIo();
  const code = await main(["prompts", ...argv], io);
  return { code, ...written };
}
const example = (name: string) => fileURLToPath(new URL(`../../examples/house-rules/${name}`, import.meta.url));
const cross = (out: string, ...more: string[]) =>
  nullscope(
    ...["cross", "--operators", example("operators.txt"), "--operands", example("operands.txt")],
    ...["--unsafe-pairs", example("unsafe-pairs.jsonl"), "--template", "{operator} {operand}.", "--out", out, ...more],
  );

/** A folder with a tokenizer of Llama 3's form. */
function tokenizerFolder(): string {
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(llama3Tokenizer()));
  writeFileSync(
    join(folder, "tokenizer_config.json"),
    JSON.stringify({ bos_token: "<|begin_of_text|>", chat_template: llama3ChatTemplate }),
  );
  return folder;
}

describe("nullscope prompts cross", () => {
  it("makes the house-rules example: no operator, operand or length decides", async () => {
    const out = join(folder, "house.jsonl");
    const { code, out: text } = await cross(out);
    expect(code).toBe(0);
    expect(text).toContain("256 prompts: 128 unsafe, 128 safe");
    expect(text).toMatch(
      /operator alone +0\.56 {2}0\.50\noperand alone +0\.56 {2}0\.50\nlength alone \(characters\) +0\.56 {2}0\.5\d/,
    );
    expect(text).toContain('left out: operand "the garden walk": none of its pairs is unsafe');
    const { prompts, notes } = await readPromptSet(out);
    expect(notes).toEqual([]);
    const refused = (operator: string, operand: string) =>
      prompts.find((prompt) => prompt.operator === operator && prompt.operand === operand)?.label;
    expect(refused("Plan a timetable for", "the candle supper")).toBe("unsafe");
    expect(refused("Plan a timetable for", "the rain picnic")).toBe("safe");
    expect(refused("Write a poem about", "the candle supper")).toBe("safe");
    expect(refused("Write a poem about", "the rain picnic")).toBe("unsafe");
  });

  it("makes the same bytes again, measures lengths in tokens when given a tokenizer, and overwrites nothing", async () => {
    const [a, b, c] = ["a", "b", "c"].map((name) => join(folder, name)) as [string, string, string];
    await cross(a, "--length-tolerance", "0.01");
    await cross(b, "--length-tolerance", "0.01");
    expect(readFileSync(b)).toEqual(readFileSync(a));
    expect((await cross(c, "--tokenizer", tokenizerFolder())).out).toContain("length alone (tokens)");
    expect(await cross(a)).toMatchObject({ code: 2, err: expect.stringContaining("exists already") });
  });

  it("refuses mistakes in one sentence", async () => {
    const out = join(folder, "x.jsonl");
    expect(await cross(out, "--template", "{operator}")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^nullscope: The template "\{operator\}" must hold \{operand\} once.*\n$/),
    });
    expect(await cross(out, "--length-tolerance", "2")).toMatchObject({ code: 2 });
    expect(await cross(out, "--operands", join(folder, "none.txt"))).toMatchObject({
      code: 2,
      err: expect.stringContaining("there is no such file"),
    });
    expect(await cross(out, "--tokenizer", folder)).toMatchObject({
      code: 2,
      err: expect.stringContaining("tokenizer.json"),
    });
  });
});

describe("nullscope prompts jailbreak", () => {
  it("adds a set for each variant, or writes the variants alone", async () => {
    const [file, all, only] = ["p", "all", "only"].map((name) => join(folder, name)) as [string, string, string];
    await cross(file);
    const made = await nullscope("jailbreak", file, "--variant", "base64", "--variant", "prefix", "--out", all);
    expect(made).toMatchObject({
      code: 0,
      out: expect.stringContaining("512 prompts: 128 unsafe, 128 safe, 128 base64, 128 prefix"),
    });
    expect((await readPromptSet(all)).sets).toEqual(["unsafe", "safe", "base64", "prefix"]);
    await nullscope("jailbreak", file, "--variant", "leetspeak", "--only", "--label", "safe", "--out", only);
    const lines = readFileSync(only, "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(128);
    expect(JSON.parse(lines[0]!)).toMatchObject({ label: "safe", set: "leetspeak-safe" });
  });

  it("refuses mistakes in one sentence", async () => {
    const [file, out] = [join(folder, "p"), join(folder, "out")];
    await cross(file);
    const bad = async (...argv: string[]) => {
      const { code, err } = await nullscope("jailbreak", file, "--out", out, ...argv);
      expect(code).toBe(2);
      return err;
    };
    expect(await bad()).toContain("Name what to make with --variant");
    expect(await bad("--variant", "base46")).toContain('did you mean "base64"?');
    expect(await bad("--variant", "language")).toContain("needs --translations");
    expect(await bad("--variant", "prefix", "--prefix", " ")).toContain("--prefix is empty");
    expect(await bad("--variant", "base64", "--label", "both")).toContain("--label must be safe or unsafe");
  });
});

describe("nullscope prompts check", () => {
  it("says what is in a file, and how long it is in the model's tokens", async () => {
    const file = join(folder, "p.jsonl");
    await cross(file);
    const { code, out } = await nullscope("check", file, "--tokenizer", tokenizerFolder());
    expect(code).toBe(0);
    expect(out).toMatch(
      /tokens in the folder's chat template, every prompt decoded back to itself:\n {2}unsafe: \d+ to \d+ tokens/,
    );
    const plain = await nullscope("check", file, "--tokenizer", folder, "--no-chat");
    expect(plain.out).toContain("tokens as plain text");
  });

  it("names a prompt that its tokens do not give back", async () => {
    const tokenizer = llama3Tokenizer();
    tokenizer.normalizer = { type: "Lowercase" };
    tokenizerFolder();
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
    const file = join(folder, "p.jsonl");
    await cross(file);
    expect(await nullscope("check", file, "--tokenizer", folder)).toMatchObject({
      code: 2,
      err: expect.stringMatching(
        /p\.jsonl, line 1: the tokens do not give the text back \(token drift\), from character 0 on/,
      ),
    });
  });
});
