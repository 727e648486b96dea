import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Tokenizer } from "../checkpoint/tokenizer.js";
import { UserError } from "../errors.js";
import { writeRows } from "../study/assembleResults.js";
import type { JsonValue } from "../study/canonicalJson.js";
import type { EngineSource } from "../study/engines.js";
import type { ResultRow } from "../study/results.js";
import type { Stage } from "../study/stage.js";
import { type FloatDType, sizeOf } from "../tensor/index.js";
import type { AuditModel } from "./activations/model.js";
import { answersOf, folderStates, generationCost, heldInMemory, writeOn } from "./generate.js";
import { behaviourRows, type JudgedSet } from "./judges/behaviourRows.js";
import type { Answer, Judge, Judgement } from "./judges/judge.js";
import { escapedJson } from "./prompts/jsonLines.js";
import type { TokenizedPrompt } from "./prompts/tokenizePrompts.js";

export interface BehaviourOptions {
  /** The model before tuning, and after it. */
  readonly models: readonly AuditModel[];
  readonly prompts: readonly TokenizedPrompt[];
  /** Gives the answers back as text. */
  readonly tokenizer: Pick<Tokenizer, "decode" | "identity">;
  /** Most tokens of an answer. */
  readonly tokens: number;
  /** Tokens that end an answer. */
  readonly endIds: readonly number[];
  /** At least two, since none is right by itself. */
  readonly judges: readonly Judge[];
  readonly engine: EngineSource;
  readonly dtype?: FloatDType;
  /** Models up to this size are held in memory while they generate; larger ones are read once for every token. */
  readonly memoryBytes?: number;
  /** Tokens between two stages of a model that is not held in memory; by default as many as are estimated to take ten minutes. */
  readonly tokensAStage?: number;
}

/** Float32 parameters of a model of half a billion. */
const MEMORY_BYTES = 2e9;
/** Estimated seconds of a stage's tokens, beside the prompts' pass: what a power cut costs at most. */
const STAGE_SECONDS = 600;
const ANSWERS = "answers.jsonl";
/** Of the last stage that generates: the tokens of each answer. */
const TOKENS = "tokens.json";
/** Of those before it: all tokens so far, and, in a folder, what entered each block. */
const SO_FAR = "so-far.json";
const STATES = "states";

/**
 * What the models answer, and whether they refuse: for each model stages that generate greedily, a few tokens each where the model is large, and one that has every
 * judge judge the answers. The last writes `answers.jsonl` (prompt, answer and judgements, escaped) and rows of `behaviour`.
 * @throws UserError for fewer than two judges, or two of one name.
 */
export function behaviourStages(options: BehaviourOptions): Stage[] {
  const names = options.judges.map(({ name }) => name);
  if (names.length < 2)
    throw new UserError("Behaviour needs at least two judges, since none is right by itself; add one.");
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new UserError(`Two judges are named ${JSON.stringify(twice)}; name one of them otherwise.`);
  return options.models.map((model) => judgeStage(options, model, generateStage(options, model)));
}

/** The stages that write the answers of one model, each from those before it; returns the last. */
function generateStage(options: BehaviourOptions, model: AuditModel): Stage {
  const { prompts, tokens, endIds, dtype = "float32", memoryBytes = MEMORY_BYTES } = options;
  const width = dtype === "float64" ? 8 : 4;
  const whole = width * [...model.shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
  const fits = whole <= memoryBytes;
  const ids = prompts.map((prompt) => prompt.ids);
  const cost = generationCost(model.config, ids, { tokens, dtype, held: fits ? whole : 0 });
  const { tokensAStage = Math.max(1, Math.floor(STAGE_SECONDS / cost.tokenSeconds)) } = options;
  const config = {
    model: model.identity,
    prompts: prompts.map(({ ids }) => Array.from(ids)),
    tokens,
    endIds: [...endIds],
    dtype,
  };
  const stages: Stage[] = [];
  for (let done = 0; done < tokens; ) {
    const from = done;
    const earlier = [...stages];
    // The prompts' pass is the longest: a stage of its own.
    const until = fits ? tokens : Math.min(tokens, from === 0 ? 1 : from + tokensAStage);
    const last = until === tokens;
    stages.push({
      kind: "audit-generate",
      name: last ? `generate ${model.name}` : `generate ${model.name}, up to token ${until}`,
      version: 2,
      config: { ...config, until },
      inputs: earlier,
      steps: until - from,
      estimateSeconds: (from === 0 ? cost.promptSeconds : 0) + (until - Math.max(from, 1)) * cost.tokenSeconds,
      estimateBytes: cost.peak,
      run: async (context) => {
        const states = join(context.folder, STATES);
        await mkdir(states);
        const before = earlier.at(-1);
        const written =
          before === undefined
            ? ids.map(() => [])
            : (JSON.parse(await readFile(join(context.input(before), SO_FAR), "utf8")) as number[][]);
        const found = await writeOn(
          {
            ...{ tokens, dtype, endIds: new Set(endIds), prompts: ids },
            model: fits ? heldInMemory(model, dtype) : model,
            engine: await options.engine(),
            states: folderStates(
              states,
              earlier.map((stage) => join(context.input(stage), STATES)),
            ),
            signal: context.signal,
            progress: (step, _, note) => context.progress(step - from, until - from, note),
          },
          written,
          until,
        );
        if (last) await rm(states, { recursive: true }); // nothing goes on from it
        const text = last ? answersOf(found, new Set(endIds)).map((answer) => Array.from(answer)) : found;
        await writeFile(join(context.folder, last ? TOKENS : SO_FAR), `${JSON.stringify(text)}\n`);
      },
    });
    done = until;
  }
  return stages.at(-1)!;
}

function judgeStage({ prompts, tokenizer, judges }: BehaviourOptions, model: AuditModel, generated: Stage): Stage {
  return {
    kind: "audit-behaviour",
    name: `judge ${model.name}`,
    version: 1,
    config: {
      checkpoint: model.name,
      tokenizer: tokenizer.identity,
      prompts: prompts.map(({ prompt: { set, text, prefix = null } }): JsonValue => [set, text, prefix]),
      judges: judges.map(({ name, settings }): JsonValue => ({ name, settings })),
    },
    inputs: [generated],
    steps: judges.length,
    run: async (context) => {
      const ids = JSON.parse(await readFile(join(context.input(generated), TOKENS), "utf8")) as number[][];
      const answers: Answer[] = [];
      for (const [index, { prompt }] of prompts.entries())
        answers.push({
          id: String(index + 1),
          set: prompt.set,
          prompt: prompt.text,
          answer: await tokenizer.decode(ids[index]!),
        });
      const judgements = new Map<string, Judgement[]>();
      for (const [index, judge] of judges.entries()) {
        context.signal.throwIfAborted();
        judgements.set(judge.name, await judge.judge(answers, context.signal));
        context.progress(index + 1, judges.length, judge.name);
      }
      await writeFile(join(context.folder, ANSWERS), answersText(model.name, prompts, answers, judgements));
      await writeRows(context, rowsOf(model.name, answers, judgements));
    },
  };
}

/** JSONL: what was asked, what was answered and what each judge said of it, escaped. */
function answersText(
  checkpoint: string,
  prompts: readonly TokenizedPrompt[],
  answers: readonly Answer[],
  judgements: ReadonlyMap<string, readonly Judgement[]>,
): string {
  return answers
    .map(({ id, set, prompt, answer }, index) => {
      const { operator, operand, label, prefix } = prompts[index]!.prompt;
      const judged = [...judgements].map(([name, all]) => [name, all[index]!] as const);
      const line = { id, checkpoint, set, label, operator, operand, prompt, ...(prefix !== undefined && { prefix }) };
      return `${escapedJson({ ...line, answer, judgements: Object.fromEntries(judged) })}\n`;
    })
    .join("");
}

function rowsOf(
  checkpoint: string,
  answers: readonly Answer[],
  judgements: ReadonlyMap<string, readonly Judgement[]>,
): ResultRow[] {
  const sets = [...new Set(answers.map(({ set }) => set))];
  return behaviourRows(
    sets.map((set): JudgedSet => {
      const of = (all: readonly Judgement[]) => all.filter((_, index) => answers[index]!.set === set);
      return { checkpoint, set, judgements: new Map([...judgements].map(([name, all]) => [name, of(all)])) };
    }),
  );
}
