import { freemem } from "node:os";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { closest } from "fastest-levenshtein";
import { stringify } from "yaml";
import { type AuditPair, openPair } from "../audit/pair.js";
import type { AuditPartName, AuditPlan } from "../audit/part.js";
import { AUDIT_PARTS } from "../audit/parts.js";
import { layerMatrices, MATRIX_NAMES, type MatrixName } from "../checkpoint/matrices.js";
import { UserError } from "../errors.js";
import { engineSource } from "../study/engines.js";
import { nodeFileSystem } from "../study/fileSystem.js";
import { planStages } from "../study/graph.js";
import type { Keep } from "../study/keep.js";
import { openRun } from "../study/openRun.js";
import { versions } from "../study/runConfig.js";
import { sealYaml } from "../study/seal.js";
import type { Stage } from "../study/stage.js";
import { addPromptOptions, type PromptFlags, promptsOf } from "./auditPrompts.js";
import { clean, formatCount, type Io } from "./io.js";
import { wholeNumber } from "./options.js";
import { formatPlan, planJson } from "./progress.js";
import { formatTable } from "./results.js";
import { runToEnd } from "./study.js";

interface AuditOptions extends PromptFlags {
  readonly weights?: true;
  readonly activations?: true;
  readonly behaviour?: true;
  readonly control?: string;
  readonly blocks?: string;
  readonly matrices?: string;
  readonly name?: string;
  readonly runs: string;
  readonly threads: number;
  readonly keep?: Exclude<Keep, "last">;
  readonly json?: true;
  readonly plan?: true;
}

/** Adds `nullscope audit`. */
export function registerAudit(program: Command, io: Io): void {
  const command = program
    .command("audit")
    .description(
      "Measure what tuning changed in a real model: two Hugging Face folders, before and after, one block at a time in bounded memory.",
    )
    .argument("<base>", "the model before tuning: a folder with config.json and safetensors")
    .argument("<tuned>", "the model after it, of the same architecture and shape")
    .option(
      "--weights",
      "measure the weights: spectra, sizes and column spaces of the change (by default, with all that --prompts adds)",
    )
    .option(
      "--activations",
      "measure activations on the prompts, streamed block by block: clusters, row space, refusal direction, sensitivity, the path W + alpha dW",
    )
    .option("--behaviour", "generate answers to the prompts with both models and judge whether they refuse")
    .option("--control <dir>", "a third model, the base tuned further without safety: its change is a null")
    .option("--blocks <list>", "only these blocks, as in 1,5-8; all by default")
    .option("--matrices <list>", `only these matrices, of ${MATRIX_NAMES.join(", ")}`)
    .option("--name <run>", "the run's name: its folder below --runs; the tuned model's folder by default")
    .option("--runs <dir>", "folder of the runs", "runs")
    .option(
      "--threads <n>",
      "threads of the engine; the results do not depend on it",
      wholeNumber("--threads", 1, 1024),
      2,
    )
    .addOption(
      new Option(
        "--keep <which>",
        "states between blocks and tokens that stay when the audit is done: all, none; what a later command needs is made again",
      ).choices(["all", "none"] satisfies Keep[]),
    )
    .option("--json", "print events for machines, one JSON object a line")
    .option("--plan", "print the plan and stop: no weight is read, nothing is written");
  addPromptOptions(command)
    .addHelpText(
      "after",
      `
With --weights and --activations, row spaces have their projections on dW's directions too.
A block is a stage: killed or stopped, the same command goes on at the block in hand.

Examples:
  nullscope audit Llama-2-7b-hf Llama-2-7b-chat-hf --weights --plan
  nullscope audit Llama-2-7b-hf Llama-2-7b-chat-hf --weights --name llama2
  nullscope audit Llama-2-7b-hf Llama-2-7b-chat-hf --activations --prompts prompts.jsonl --no-sensitivity
  nullscope audit base sft --control more-sft --blocks 1,16,30-32 --matrices mlp.gate,mlp.up,mlp.down`,
    )
    .action(async (base: string, tuned: string, options: AuditOptions) => {
      const pair = await openPair({ base, tuned, control: options.control });
      try {
        const asked = await promptsOf(pair, options);
        try {
          await audit(pair, options, asked, io);
        } finally {
          await asked?.prompts.close();
        }
      } finally {
        await pair.close();
      }
    });
}

async function audit(
  pair: AuditPair,
  options: AuditOptions,
  asked: Pick<AuditPlan, "prompts" | "activations" | "behaviour"> | undefined,
  io: Io,
): Promise<void> {
  const { config } = pair.base.checkpoint;
  // Those asked for; without a flag all that the pair, and the prompts where there are some, allow.
  const every = Object.keys(AUDIT_PARTS) as AuditPartName[];
  const named = every.filter((part) => options[part]);
  const parts: AuditPartName[] = named.length > 0 ? named : asked === undefined ? ["weights"] : every;
  const plan: AuditPlan = {
    pair,
    parts,
    blocks: parseBlocks(options.blocks, config.blocks),
    matrices: parseMatrices(options.matrices, [...layerMatrices(config, 1).keys()], config.family),
    engine: engineSource({ device: "cpu", threads: options.threads }),
    ...asked,
  };
  const stages = parts.flatMap((part): Stage[] => AUDIT_PARTS[part].stages(plan));
  const runFolder = join(options.runs, runName(options.name ?? pair.tuned.name));

  const found = await planStages(stages, runFolder, nodeFileSystem, 1, options.keep === "all");
  const described = parts.map((part) => AUDIT_PARTS[part].describe(plan));
  if (options.plan) {
    const json = { event: "plan", ...planJson(found), parts: described, notes: pair.notes };
    io.out(
      options.json ? `${JSON.stringify(json)}\n` : `${introduction(plan, described).join("\n")}\n${formatPlan(found)}`,
    );
    return;
  }
  if (!options.json) io.out(`${introduction(plan, described).join("\n")}\n`);
  if (found.estimateBytes > freemem())
    io.err(
      `nullscope: this audit takes about ${formatCount(found.estimateBytes / 2 ** 20)} MiB of memory at its peak and ${formatCount(freemem() / 2 ** 20)} MiB are free; it may become slow.\n`,
    );
  await runToEnd(stages, runFolder, configText(plan, options), options.json === true, io, {
    answer: printAnswer,
    ...(options.keep !== undefined && { keep: options.keep }),
  });
}

/** What is compared, in the words of the user, before anything is read. */
function introduction({ pair, prompts }: AuditPlan, described: readonly string[]): string[] {
  const { base, tuned, control } = pair;
  const { family, width, mlp, blocks } = base.checkpoint.config;
  const third = control === undefined ? "" : `, with ${control.checkpoint.dir} as the control`;
  return [
    `Audit of ${tuned.checkpoint.dir} against ${base.checkpoint.dir}${third}: ${family}, ${blocks} blocks, width ${width}, MLP ${mlp}`,
    ...described.map((line) => `  ${line}`),
    ...[...pair.notes, ...(prompts?.set.notes ?? [])].map((note) => `  note: ${note}`),
  ].map(clean);
}

/** `config.yaml` of an audit: what was compared, by fingerprint and by path, and what was asked. */
function configText(
  { pair, parts, blocks, matrices, prompts, activations, behaviour }: AuditPlan,
  { threads, prompts: promptFile, system }: AuditOptions,
): string {
  const member = ({ checkpoint, fingerprint, name }: AuditPair["base"]) => ({
    name,
    folder: checkpoint.dir,
    fingerprint,
  });
  const { family, width, mlp, heads, keyValueHeads, vocabulary, blocks: all } = pair.base.checkpoint.config;
  const config = {
    audit: { parts: [...parts], blocks: [...blocks], matrices: [...matrices] },
    base: member(pair.base),
    tuned: member(pair.tuned),
    ...(pair.control !== undefined && { control: member(pair.control) }),
    model: { family, blocks: all, width, mlp, heads, keyValueHeads, vocabulary },
    ...(prompts !== undefined && {
      prompts: {
        file: promptFile,
        identity: prompts.set.identity,
        sets: [...prompts.set.sets],
        tokenizer: prompts.tokenizer.identity,
        chat: prompts.chat,
        ...(system !== undefined && { system }),
      },
    }),
    ...(activations !== undefined && { activations: { ...activations, alphas: [...activations.alphas] } }),
    ...(behaviour !== undefined && {
      behaviour: {
        tokens: behaviour.tokens,
        judges: behaviour.judges.map(({ name, settings }) => ({ name, settings })),
      },
    }),
    ...(pair.notes.length > 0 && { notes: [...pair.notes] }),
    threads,
    versions: versions(),
  };
  return sealYaml(
    `# What this audit compared, and what it was asked. "nullscope audit" takes the folders again.\n${stringify(config, { aliasDuplicateObjects: false })}`,
  );
}

/** The first answer: how far each kind of matrix moved, and where to, over its blocks. */
async function printAnswer(runFolder: string, io: Io): Promise<void> {
  const run = await openRun(runFolder);
  if (run.measures.includes("behaviour")) {
    const rows = await run.results("behaviour").rows();
    io.out(
      `\nBehaviour, by judge and set; every answer is in stages/audit-behaviour-*/answers.jsonl:\n${formatTable(rows)}\n`,
    );
  }
  if (!run.measures.includes("column-space")) return;
  const rows = await run.results("column-space").rows();
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const summary = MATRIX_NAMES.flatMap((matrix) => {
    const of = (metric: string) => rows.filter((row) => row.matrix === matrix && row.metric === metric);
    return (["norm", "effective-rank", "sin-theta-all"] as const).flatMap((metric) => {
      const own = of(metric);
      if (own.length === 0) return [];
      const chance = own.flatMap((row) => row.chance ?? []);
      const value = mean(own.map((row) => row.value));
      const n = own.length;
      return [
        { measure: "column-space", metric, matrix, value, n, ...(chance.length > 0 && { chance: mean(chance) }) },
      ];
    });
  });
  io.out(`\nMeans over blocks (n); every block is in the report:\n${formatTable(summary)}\n`);
}

/** "1,5-8" as [1, 5, 6, 7, 8]. @throws UserError for what is no list, or names a block that the model does not have. */
export function parseBlocks(text: string | undefined, count: number): number[] {
  if (text === undefined) return Array.from({ length: count }, (_, i) => i + 1);
  const blocks = new Set<number>();
  for (const part of text.split(",")) {
    const range = /^\s*([0-9]{1,6})(?:\s*-\s*([0-9]{1,6}))?\s*$/.exec(part);
    const [from, to] = range === null ? [0, 0] : [Number(range[1]), Number(range[2] ?? range[1])];
    if (from < 1 || to < from || to > count)
      throw new UserError(
        `--blocks ${text}: ${JSON.stringify(part)} names no blocks of this model; it has 1 to ${count}, as in --blocks 1,5-8.`,
      );
    for (let block = from; block <= to; block++) blocks.add(block);
  }
  return [...blocks].sort((a, b) => a - b);
}

/** "mlp.up,attn.o" in our order. @throws UserError for a name that this family does not have, naming the nearest. */
export function parseMatrices(text: string | undefined, known: readonly MatrixName[], family: string): MatrixName[] {
  if (text === undefined) return [...known];
  const asked = text.split(",").map((name) => name.trim());
  for (const name of asked)
    if (!(known as readonly string[]).includes(name))
      throw new UserError(
        `--matrices ${text}: a ${family} model has no matrix ${JSON.stringify(name)}; did you mean ${JSON.stringify(closest(name, [...known]))}? It has ${known.join(", ")}.`,
      );
  return known.filter((name) => asked.includes(name));
}

/** @throws UserError when it is no name of a folder. */
function runName(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name))
    throw new UserError(
      `A run cannot be called ${JSON.stringify(name)}; give --name with letters, digits, dots, dashes and underscores.`,
    );
  return name;
}
