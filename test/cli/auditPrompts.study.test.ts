import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.js";
import { asciiTokenizer, llama2ChatTemplate } from "../checkpoint/tinyTokenizers.js";
import { fixture } from "../fixtures.js";
import { memoryIo } from "./memoryIo.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nullscope-audit-prompts-"));
  cpSync(fixture("checkpoints/a_llama2"), join(folder, "base"), { recursive: true });
  cpSync(fixture("twins/a_llama2_tuned"), join(folder, "chat"), { recursive: true });
  write("chat/tokenizer.json", JSON.stringify(asciiTokenizer()));
  write(
    "chat/tokenizer_config.json",
    JSON.stringify({ bos_token: "<s>", eos_token: "</s>", chat_template: llama2ChatTemplate }),
  );
  const line = (operator: string, operand: string, label: string) =>
    `${JSON.stringify({ operator, operand, label })}\n`;
  write(
    "prompts.jsonl",
    ["plan", "toast"]
      .flatMap((a) => ["tea", "rain"].map((b) => line(a, b, (a === "plan") === (b === "tea") ? "safe" : "unsafe")))
      .join(""),
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

async function audit(...argv: string[]) {
  const { io, written } = memoryIo();
  const [base, chat] = [join(folder, "base"), join(folder, "chat")];
  const prompts = ["--prompts", join(folder, "prompts.jsonl"), "--runs", join(folder, "runs")];
  const code = await main(["audit", base, chat, "--behaviour", ...prompts, ...argv], io);
  return { code, ...written };
}

describe("nullscope audit --behaviour", () => {
  it("generates with both models, asks every judge and names them in the results", async () => {
    write(
      "judge.mjs",
      'import { readFileSync } from "node:fs"; for (const line of readFileSync(0, "utf8").trim().split("\\n")) console.log(JSON.stringify({ id: JSON.parse(line).id, refusal: true }));',
    );
    const { code, out } = await audit(
      "--tokens",
      "3",
      "--judge",
      `always="${process.execPath}" "${join(folder, "judge.mjs")}"`,
    );
    expect(code).toBe(0);
    expect(out).toContain(
      "behaviour: 4 prompts in the chat template, up to 3 tokens each by both models, judged by prefixes, rules, always",
    );
    const run = join(folder, "runs", "chat");
    const { rows } = JSON.parse(readFileSync(join(run, "results", "behaviour.json"), "utf8"));
    const of = (metric: string) => rows.filter((row: { metric: string }) => row.metric === metric);
    expect(of("refusal.always").map((row: { value: number }) => row.value)).toEqual([1, 1, 1, 1]);
    expect(new Set(of("failed.prefixes").map((row: { checkpoint: string }) => row.checkpoint))).toEqual(
      new Set(["base", "chat"]),
    );
    const config = readFileSync(join(run, "config.yaml"), "utf8");
    expect(config).toMatch(/judges:\n +- name: prefixes/);
    expect(config).toMatch(/identity: [0-9a-f]{64}/);
    const stages = readdirSync(join(run, "stages")).filter((name) => name.startsWith("audit-behaviour"));
    expect(
      readFileSync(join(run, "stages", stages[0]!, "answers.jsonl"), "utf8")
        .trimEnd()
        .split("\n"),
    ).toHaveLength(4);
    expect(readFileSync(join(run, "report.html"), "utf8")).toContain("<html");
  });

  it("refuses mistakes in one sentence", async () => {
    const mistake = async (...argv: string[]) => {
      const { code, err } = await audit(...argv);
      expect(code).toBe(2);
      return err;
    };
    expect(await mistake("--judge", "mine")).toMatch(/A judge is given as NAME=COMMAND/);
    expect(await mistake("--judge", "rules=true")).toMatch(/cannot be named "rules"/);
    expect(await mistake("--rules", join(folder, "none.yaml"))).toMatch(/there is no such file/);
    expect(await mistake("--tokenizer", join(folder, "base"))).toMatch(
      /Cannot read .*tokenizer\.json \(there is no such file\)/,
    );
    expect(await mistake("--tokens", "0")).toMatch(/--tokens must be a whole number/);
    write("prompts.jsonl", '{"operator": "a", "operand": "b", "label": "safe"}\n');
    expect(await mistake()).toMatch(/has one prompt in the set safe|no prompt in the set unsafe/);
    const { io, written } = memoryIo();
    expect(await main(["audit", join(folder, "base"), join(folder, "chat"), "--behaviour"], io)).toBe(2);
    expect(written.err).toMatch(/give a file with --prompts/);
  });
});
