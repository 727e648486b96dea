import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ChatMessage, chatTemplate, openChatTemplate } from "../../src/checkpoint/chatTemplate.js";
import { llama2ChatTemplate, llama3ChatTemplate } from "./tinyTokenizers.js";

const user: ChatMessage[] = [{ role: "user", content: " Who won? " }];

async function render(template: string, messages: readonly ChatMessage[] = user, limits = {}) {
  const chat = chatTemplate(template, { bos_token: "<s>", eos_token: "</s>" }, "T", limits);
  try {
    return await chat.render(messages);
  } finally {
    await chat.close();
  }
}

describe("a chat template", () => {
  it("renders Llama 2's form", async () => {
    expect(await render(llama2ChatTemplate)).toBe("<s>[INST] Who won? [/INST]");
    const turns: ChatMessage[] = [
      { role: "system", content: "Be brief." },
      ...user,
      { role: "assistant", content: "We." },
      { role: "user", content: "Why?" },
    ];
    expect(await render(llama2ChatTemplate, turns)).toBe(
      "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Who won? [/INST] We. </s><s>[INST] Why? [/INST]",
    );
  });

  it("renders Llama 3's form, up to where the answer begins", async () => {
    expect(await render(llama3ChatTemplate)).toBe(
      "<s><|start_header_id|>user<|end_header_id|>\n\nWho won?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    );
  });

  it("is cut after a begun answer, for the model to go on with", async () => {
    const begun: ChatMessage[] = [...user, { role: "assistant", content: "Sure:" }];
    expect(await render(llama2ChatTemplate, begun)).toBe("<s>[INST] Who won? [/INST] Sure:");
    expect(await render(llama3ChatTemplate, begun)).toBe(
      "<s><|start_header_id|>user<|end_header_id|>\n\nWho won?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nSure:",
    );
    await expect(render("{{ messages[1].content | upper }}", begun)).rejects.toThrow(
      /does not repeat the beginning of the answer/,
    );
  });

  it("may refuse a conversation, in its own words", async () => {
    const turns: ChatMessage[] = [{ role: "assistant", content: "x" }];
    await expect(render(llama2ChatTemplate, turns)).rejects.toThrow(
      /T cannot be rendered: it refuses the conversation with "Conversation roles must alternate/,
    );
  });

  it("knows no clock: a template that asks for today gets its own fixed date", async () => {
    const dated = "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}26 Jul 2024{% endif %}";
    expect(await render(dated)).toBe("26 Jul 2024");
  });

  it("says what is wrong with its syntax", async () => {
    await expect(render("{% for %}")).rejects.toThrow(/^T cannot be rendered: /);
  });
});

describe("a hostile chat template", () => {
  const grow = (step: string) =>
    `{% set ns = namespace(v='aaaaaaaa', l=['a']) %}{% for i in range(60) %}{% set ${step} %}{% endfor %}{{ ns.v }}{{ ns.l }}`;
  it.each([
    ["a range of a billion", "{% for i in range(1000000000) %}{% endfor %}", /a range of 1000000000 numbers/],
    [
      "loops in loops",
      "{% for i in range(10000) %}{% for j in range(10000) %}{{ '' }}{% endfor %}{% endfor %}",
      /more than 100000 steps/,
    ],
    ["a text that doubles", grow("ns.v = ns.v + ns.v"), /a text of more than 1000000 characters/],
    ["a list that doubles", grow("ns.l = ns.l + ns.l"), /a list of more than 10000 items/],
    ["an indent of 400 million", "{{ {'a': [1]} | tojson(indent=400000000) }}", /cannot be rendered/],
    [
      "a replacement of each letter by the text",
      "{% set ns = namespace(v='aaaaaaaa') %}{% for i in range(16) %}{% set ns.v = ns.v + ns.v %}{% endfor %}{{ ns.v | replace('a', ns.v) }}",
      /cannot be rendered|is stopped/,
    ],
  ])("%s is stopped", async (_, template, message) => {
    await expect(render(template)).rejects.toThrow(message);
  });

  it("whose single step never ends is stopped from outside, while the process goes on", async () => {
    // 2^60 leaves in one value, made in 60 steps and written out in one.
    const nested = grow("ns.l = [ns.l, ns.l]");
    let beats = 0;
    const heart = setInterval(() => beats++, 20);
    await expect(render(nested, user, { seconds: 1 })).rejects.toThrow(
      /T is stopped: it (takes longer than 1 s|needs more than)/,
    );
    clearInterval(heart);
    expect(beats).toBeGreaterThan(5);
  });

  it("that is too long is refused unread", () => {
    expect(() => chatTemplate("x".repeat(200_001), {}, "T")).toThrow(/T has 200001 characters/);
  });
});

describe("a folder's chat template", () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "nullscope-chat-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, value: unknown) =>
    writeFileSync(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
  const opened = async () => {
    const chat = await openChatTemplate(folder);
    if (chat === undefined) return undefined;
    try {
      return await chat.render(user);
    } finally {
      await chat.close();
    }
  };

  it("is absent, in the configuration, one of several there, or a file of its own", async () => {
    expect(await opened()).toBeUndefined();
    write("tokenizer_config.json", { bos_token: { content: "<s>" } });
    expect(await opened()).toBeUndefined();
    write("tokenizer_config.json", { bos_token: { content: "<s>" }, chat_template: "{{ bos_token }}A" });
    expect(await opened()).toBe("<s>A");
    const named = [
      { name: "tool_use", template: "B" },
      { name: "default", template: "C" },
    ];
    write("tokenizer_config.json", { chat_template: named });
    expect(await opened()).toBe("C");
    write("chat_template.jinja", "D{{ messages[0].content }}");
    expect(await opened()).toBe("D Who won? ");
  });

  it("is refused when damaged", async () => {
    write("tokenizer_config.json", { chat_template: [{ name: "tool_use", template: "B" }] });
    await expect(opened()).rejects.toThrow(/no template named "default", only "tool_use"/);
    write("tokenizer_config.json", { chat_template: 5 });
    await expect(opened()).rejects.toThrow(/must be a text or a list/);
    write("tokenizer_config.json", "[]");
    await expect(opened()).rejects.toThrow(/is not a JSON object/);
    write("tokenizer_config.json", '{"chat_template": "A", "chat_template": "B"}');
    await expect(opened()).rejects.toThrow(/"chat_template" occurs twice/);
  });
});
