import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AuditModel, checkpointModel } from "../../src/audit/activations/model.js";
import { type BehaviourOptions, behaviourStages } from "../../src/audit/behaviour.js";
import type { Judge } from "../../src/audit/judges/judge.js";
import { prefixJudge } from "../../src/audit/judges/prefixes.js";
import { ruleJudge } from "../../src/audit/judges/rules.js";
import { parsePromptSet } from "../../src/audit/prompts/promptSet.js";
import { endTokenIds } from "../../src/checkpoint/endTokens.js";
import { type HuggingFaceCheckpoint, openHuggingFace } from "../../src/checkpoint/huggingFace.js";
import { assembleResults } from "../../src/study/assembleResults.js";
import { diskUse, removeSpare } from "../../src/study/keep.js";
import { runStudy } from "../../src/study/runStudy.js";
import { type Stage, stageIdentity } from "../../src/study/stage.js";
import { stageFolder } from "../../src/study/store.js";
import { cpuEngine } from "../engines.js";
import { fixture } from "../fixtures.js";

const engine = cpuEngine();
const opened: HuggingFaceCheckpoint[] = [];
let scratch: string;
beforeAll(async () => void (scratch = await mkdtemp(join(tmpdir(), "nullscope-behaviour-"))));
afterAll(async () => {
  for (const one of opened) await one.close();
  rmSync(scratch, { recursive: true, force: true });
  await engine.release();
});

async function modelOf(folder: string, name: string): Promise<AuditModel> {
  const checkpoint = await openHuggingFace(fixture(folder));
  opened.push(checkpoint);
  return checkpointModel(checkpoint, name, await checkpoint.fingerprint());
}

const { prompts } = parsePromptSet(
  [..."abcdefgh"]
    .map((letter, i) => JSON.stringify({ operator: "say", operand: letter, label: i % 2 === 0 ? "safe" : "unsafe" }))
    .join("\n"),
  "p.jsonl",
);
/** A tokenizer of words for ids: an odd first id refuses, and markup and marks stand in every answer. */
const decode = async (ids: ArrayLike<number>) =>
  ids.length === 0 ? "" : `${ids[0]! % 2 === 1 ? "I cannot." : "Gladly."} <b>\u202e${Array.from(ids).join(" ")}`;
const broken: Judge = {
  name: "mine",
  settings: null,
  judge: async (answers) => answers.map(() => ({ failed: "out of credit" })),
};

const optionsOf = (models: AuditModel[], judges: Judge[]): BehaviourOptions => ({
  models,
  prompts: prompts.map((prompt, i) => ({ prompt, ids: Int32Array.of(1, 5 + i, 9) })),
  tokenizer: { decode, identity: "words" },
  tokens: 4,
  endIds: [],
  judges,
  engine: () => Promise.resolve(engine),
  dtype: "float64",
});

describe("the behaviour of a pair", () => {
  test("is generated, judged by every judge, stored escaped and put into rows", async () => {
    const models = [await modelOf("checkpoints/a_llama2", "base"), await modelOf("twins/a_llama2_tuned", "chat")];
    const stages = behaviourStages(optionsOf(models, [prefixJudge(), ruleJudge(), broken]));
    const run = join(scratch, "run");
    await runStudy(stages, { runFolder: run });
    await assembleResults(stages, run);
    const { rows } = JSON.parse(readFileSync(join(run, "results", "behaviour.json"), "utf8"));
    for (const [index, name] of ["base", "chat"].entries()) {
      const folder = stageFolder(run, stages[index]!);
      const text = readFileSync(join(folder, "answers.jsonl"), "utf8");
      expect(text).not.toMatch(/[<\u202e]/);
      const lines = text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(lines).toHaveLength(8);
      for (const set of ["safe", "unsafe"]) {
        const answers = lines.filter((line) => line.set === set).map(({ answer }) => answer as string);
        const refused = answers.filter((answer) => answer.startsWith("I cannot")).length;
        const of = (metric: string) =>
          rows.find(
            (row: Record<string, unknown>) => row.checkpoint === name && row.set === set && row.metric === metric,
          );
        expect(of("refusal.prefixes")).toMatchObject({ value: refused / 4, n: 4 });
        expect(of("failed.mine")).toMatchObject({ value: 1, n: 4 });
        expect(of("refusal.mine")).toBeUndefined();
        expect(of("agreement.prefixes.rules")).toBeDefined();
      }
      expect(lines[0].judgements.mine).toEqual({ failed: "out of credit" });
      expect(lines[0]).toMatchObject({ checkpoint: name, prompt: "say a", operator: "say", label: "safe" });
      expect(lines[0].answer).toContain("<b>\u202e");
      // What generating kept on the way is gone.
      expect(readdirSync(stageFolder(run, stages[index]!.inputs[0]!)).filter((file) => file === "states")).toEqual([]);
    }
  });

  test("generates once: with another judge only the judging is new", async () => {
    const models = [await modelOf("checkpoints/a_llama2", "base")];
    const [first] = behaviourStages(optionsOf(models, [prefixJudge(), broken]));
    const [second] = behaviourStages(optionsOf(models, [prefixJudge(), ruleJudge()]));
    expect(stageIdentity(second!.inputs[0]!)).toBe(stageIdentity(first!.inputs[0]!));
    expect(stageIdentity(second!)).not.toBe(stageIdentity(first!));
  });

  test("a large model writes in stages of a few tokens: the same answers, and killed it goes on at the last stage", async () => {
    const models = [await modelOf("checkpoints/a_llama2", "base")];
    const options = { ...optionsOf(models, [prefixJudge(), ruleJudge()]), tokens: 6 };
    const [whole] = behaviourStages(options);
    const streamed = () => behaviourStages({ ...options, memoryBytes: 0, tokensAStage: 2 });
    const [run, other] = [join(scratch, "streamed"), join(scratch, "held")];
    await runStudy([whole!], { runFolder: other });

    let finished = 0;
    const afterStage = async () => {
      if (++finished === 2) throw new Error("killed");
    };
    await expect(runStudy(streamed(), { runFolder: run, afterStage })).rejects.toThrow("killed");
    const stages = streamed();
    const summary = await runStudy(stages, { runFolder: run });
    expect(summary.already.map(({ name }) => name)).toEqual([
      "generate base, up to token 1",
      "generate base, up to token 3",
    ]);
    expect(summary.ran.map(({ name }) => name)).toEqual([
      "generate base, up to token 5",
      "generate base",
      "judge base",
    ]);
    const answers = (folder: string, stage: Stage) =>
      readFileSync(join(stageFolder(folder, stage), "answers.jsonl"), "utf8");
    expect(answers(run, stages[0]!)).toBe(answers(other, whole!));

    // What lies between two stages can go, and the answers stay whole without it.
    const before = await diskUse(stages, run);
    expect(before.states).toBeGreaterThan(0);
    expect(await removeSpare(stages, run, "none")).toBe(before.states);
    expect((await runStudy(streamed(), { runFolder: run })).ran).toEqual([]);
  });

  test("answers that have all ended need no further token", async () => {
    const models = [await modelOf("checkpoints/a_llama2", "base")];
    const every = Array.from({ length: models[0]!.config.vocabulary }, (_, id) => id);
    const options = { ...optionsOf(models, [prefixJudge(), ruleJudge()]), tokens: 6, endIds: every };
    const run = join(scratch, "ended");
    const stages = behaviourStages({ ...options, memoryBytes: 0, tokensAStage: 2 });
    await runStudy(stages, { runFolder: run });
    const lines = readFileSync(join(stageFolder(run, stages[0]!), "answers.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    expect(lines.map((line) => JSON.parse(line).answer)).toEqual(Array(8).fill(""));
  });

  test("needs two judges of two names", async () => {
    const models = [await modelOf("checkpoints/a_llama2", "base")];
    expect(() => behaviourStages(optionsOf(models, [prefixJudge()]))).toThrow(/at least two judges/);
    expect(() => behaviourStages(optionsOf(models, [prefixJudge(), prefixJudge()]))).toThrow(
      /Two judges are named "prefixes"/,
    );
  });
});

describe("the tokens that end an answer", () => {
  test("are those of generation_config.json, else of config.json, and must be tokens", async () => {
    const folder = mkdtempSync(join(scratch, "end-"));
    const write = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));
    expect(await endTokenIds(folder, 100)).toEqual([]);
    write("config.json", { eos_token_id: 2 });
    expect(await endTokenIds(folder, 100)).toEqual([2]);
    write("generation_config.json", { eos_token_id: [3, 4] });
    expect(await endTokenIds(folder, 100)).toEqual([3, 4]);
    write("generation_config.json", { eos_token_id: null });
    expect(await endTokenIds(folder, 100)).toEqual([2]);
    write("generation_config.json", { eos_token_id: [3, 100] });
    await expect(endTokenIds(folder, 100)).rejects.toThrow(/whole numbers below 100/);
  });
});
