import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parsePromptSet } from "../../../src/audit/prompts/promptSet.js";
import { tokenizePrompts } from "../../../src/audit/prompts/tokenizePrompts.js";
import { type ChatTemplate, chatTemplate } from "../../../src/checkpoint/chatTemplate.js";
import { type Tokenizer, tokenizerFrom } from "../../../src/checkpoint/tokenizer.js";
import {
  llama2ChatTemplate,
  llama2Tokenizer,
  llama3ChatTemplate,
  llama3Tokenizer,
} from "../../checkpoint/tinyTokenizers.js";

let llama2: Tokenizer;
let llama3: Tokenizer;
let chat: ChatTemplate;
let upper: ChatTemplate;
beforeAll(async () => {
  llama2 = await tokenizerFrom(JSON.stringify(llama2Tokenizer()));
  llama3 = await tokenizerFrom(JSON.stringify(llama3Tokenizer()));
  chat = chatTemplate(llama3ChatTemplate, { bos_token: "<|begin_of_text|>" });
  upper = chatTemplate("{{ messages[0].content | upper }}", {});
});
afterAll(async () => void (await Promise.all([llama2, llama3, chat, upper].map((one) => one.close()))));

function prompts(text: string, more = "") {
  const line = (operator: string, label: string, rest: string) =>
    `{"operator": "${operator}", "operand": "x", "label": "${label}"${rest}}\n`;
  const others = line("a", "safe", "") + line("b", "safe", "") + line("c", "unsafe", "") + line("d", "unsafe", "");
  return parsePromptSet(others + line("e", "safe", `, "text": "${text}"${more}`), "p.jsonl").prompts.slice(4);
}

describe("prompts as tokens", () => {
  it("begin as the model's texts begin, without a chat template", async () => {
    const [one] = await tokenizePrompts(prompts("hello"), { tokenizer: llama2 });
    expect([...one!.ids]).toEqual([1, 271]);
    expect(one!.prompt.place).toBe("p.jsonl, line 5");
  });

  it("stand in the chat template, and the forced beginning of the answer after it", async () => {
    // <|begin_of_text|> <|start_header_id|> u s e r <|end_header_id|> "\n\n" hello <|eot_id|> <|start_header_id|> assistant <|end_header_id|> "\n\n" hello
    const [one] = await tokenizePrompts(prompts("hello", ', "prefix": "hello"'), { tokenizer: llama3, chat });
    const newline = [198, 198];
    const letters = (text: string) => [...text].map((letter) => letter.charCodeAt(0) - 33);
    expect([...one!.ids]).toEqual(
      [300, 302, letters("user"), 303, newline, 259, 304, 302, letters("assistant"), 303, newline, 259].flat(),
    );
  });

  it("begin the answer as the template writes answers: after a space in Llama 2", async () => {
    const template = chatTemplate(llama2ChatTemplate, { bos_token: "<s>", eos_token: "</s>" });
    const [one] = await tokenizePrompts(prompts("hello", ', "prefix": "hello"'), { tokenizer: llama2, chat: template });
    await template.close();
    expect(one!.ids).toEqual(await llama2.encode("<s>[INST] hello [/INST] hello"));
  });

  it.each<[string, string, object, RegExp]>([
    ["a special token", "hello <|eot_id|>", {}, /^p\.jsonl, line 5 holds the special token "<\|eot_id\|>"/],
    ["too many tokens", "hello hello hello", { maxTokens: 2 }, /line 5 has \d+ tokens, more than 2/],
    [
      "tokens of another model",
      "hello",
      { vocabularySize: 259 },
      /line 5 has the token id 300, and the model has only 259/,
    ],
  ])("with %s are refused by name", async (_, text, more, message) => {
    await expect(tokenizePrompts(prompts(text), { tokenizer: llama3, chat, ...more })).rejects.toThrow(message);
  });

  it("are refused when the template changes them, or a system turn has no template", async () => {
    await expect(tokenizePrompts(prompts("hello"), { tokenizer: llama3, chat: upper })).rejects.toThrow(
      /line 5: the chat template does not repeat the prompt as it is/,
    );
    await expect(tokenizePrompts(prompts("hello"), { tokenizer: llama3, system: "x" })).rejects.toThrow(
      /A system turn needs a chat template/,
    );
  });
});
