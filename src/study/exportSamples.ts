import { dirname, join, resolve } from "node:path";
import { parquetWriteBuffer, type SchemaElement } from "hyparquet-writer";
import { UserError } from "../errors.js";
import {
  availableTestSets,
  decode,
  pretrainSamples,
  type Samples,
  type TestSet,
  testSet,
  tuningSamples,
  type World,
} from "../world/index.js";
import { errorCode, type FileSystem, nodeFileSystem } from "./fileSystem.js";

/** What can be generated in a world: the two training streams, and the test sets that it has. */
export type SampleKind = "pretrain" | "tuning" | TestSet;

/** The kinds of a world, in the order they are told. */
export function sampleKinds(world: World): readonly SampleKind[] {
  return ["pretrain", "tuning", ...availableTestSets(world)];
}

/** Batch `step` of `count` samples of a kind, as training and tests draw them. */
export function samplesOf(
  world: World,
  kind: SampleKind,
  address: { seed: number; step?: number; count: number },
): Samples {
  if (kind === "pretrain") return pretrainSamples(world, address);
  if (kind === "tuning") return tuningSamples(world, address);
  return testSet(world, kind, address);
}

/** One exported sample; `docs/world.md` describes the fields. */
export interface ExportedSample {
  readonly index: number;
  readonly operator_1: string;
  readonly operator_2: string;
  /** Tokens separated by spaces. */
  readonly text: string;
  /** f_j(f_i(text)), tokens separated by spaces. */
  readonly output: string;
  readonly grammar: string;
  readonly branch: string;
  readonly label: string;
  readonly why: string;
  /** The row as the model sees it, padding included. */
  readonly input_ids: readonly number[];
}

export interface ExportOptions {
  readonly kind: SampleKind;
  readonly count: number;
  readonly seed: number;
  readonly format: "jsonl" | "parquet" | "both";
  /** A folder that does not exist yet, or is empty. */
  readonly out: string;
}

/** The first `count` samples of a kind, as rows. */
export function exportedSamples(
  world: World,
  { kind, count, seed }: Omit<ExportOptions, "out" | "format">,
): ExportedSample[] {
  const samples = samplesOf(world, kind, { seed, count });
  return Array.from({ length: count }, (_, row) => {
    const { operators, text, answer, grammar, branch, label, why } = decode(world, samples, row);
    const tokens = samples.tokens.subarray(row * samples.time, (row + 1) * samples.time);
    return {
      index: row,
      operator_1: operators[0],
      operator_2: operators[1],
      text: text.join(" "),
      output: answer.join(" "),
      grammar,
      branch,
      label,
      why,
      input_ids: Array.from(tokens),
    };
  });
}

/**
 * Writes a Hugging Face dataset folder: `data/KIND.jsonl`, `data/KIND.parquet`, the world's file and a dataset card. The
 * folder appears whole or not at all.
 * @returns the files written, relative to `out`.
 * @throws UserError when the folder is not empty or cannot be written.
 */
export async function exportSamples(
  world: World,
  options: ExportOptions,
  files: FileSystem = nodeFileSystem,
): Promise<string[]> {
  const out = resolve(options.out);
  const found = await files.kind(out);
  if (found !== "absent" && (found !== "folder" || (await files.list(out)).length > 0))
    throw new UserError(
      `${options.out} is ${found === "folder" ? "not an empty folder" : "not a folder"}; choose another with --out.`,
    );
  const rows = exportedSamples(world, options);
  const contents = new Map<string, Uint8Array>();
  const encode = (text: string) => new TextEncoder().encode(text);
  if (options.format !== "parquet")
    contents.set(`data/${options.kind}.jsonl`, encode(rows.map((row) => `${JSON.stringify(row)}\n`).join("")));
  if (options.format !== "jsonl") contents.set(`data/${options.kind}.parquet`, samplesParquet(rows));
  contents.set("world.json", encode(`${JSON.stringify(world.file, null, 2)}\n`));
  contents.set("README.md", encode(datasetCard(world, options)));
  const partial = join(dirname(out), `.${process.pid}-${Date.now()}.partial`);
  try {
    await files.ensureFolder(join(partial, "data"));
    for (const [name, bytes] of contents) await files.write(join(partial, name), bytes);
    await files.rename(partial, out);
  } catch (error) {
    await files.remove(partial).catch(() => {});
    const code = errorCode(error);
    if (code === undefined) throw error;
    throw new UserError(`Cannot write ${options.out} (${code}); choose a folder that can be written with --out.`);
  }
  return [...contents.keys()];
}

/** The rows as a Parquet file; `input_ids` is a list of int32, the other columns text and int32. */
export function samplesParquet(rows: readonly ExportedSample[]): Uint8Array {
  const text = ["operator_1", "operator_2", "text", "output", "grammar", "branch", "label", "why"] as const;
  const columnData = [
    { name: "index", data: rows.map((row) => row.index) },
    ...text.map((name) => ({ name, data: rows.map((row) => row[name]) })),
    { name: "input_ids", data: rows.map((row) => [...row.input_ids]) },
  ];
  const required = { repetition_type: "REQUIRED" } as const;
  const schema: SchemaElement[] = [
    { name: "root", num_children: columnData.length },
    { name: "index", type: "INT32", ...required },
    ...text.map((name) => ({ name, type: "BYTE_ARRAY", converted_type: "UTF8", ...required }) as const),
    // A list has two inner levels in Parquet.
    { name: "input_ids", num_children: 1, converted_type: "LIST", ...required },
    { name: "list", num_children: 1, repetition_type: "REPEATED" },
    { name: "element", type: "INT32", ...required },
  ];
  return new Uint8Array(parquetWriteBuffer({ columnData, schema, createdBy: "nullscope" }));
}

/** README.md of the dataset: what the Hub and `datasets` read (the header), and what people read. */
function datasetCard(world: World, { kind, count, seed, format }: ExportOptions): string {
  const extension = format === "jsonl" ? "jsonl" : "parquet";
  const split = kind === "pretrain" || kind === "tuning" ? "train" : "test";
  return `---
pretty_name: Nullscope ${world.file.name} ${kind}
license: apache-2.0
tags:
- synthetic
- safety
configs:
- config_name: ${kind}
  data_files:
  - split: ${split}
    path: data/${kind}.${extension}
---

# Nullscope: ${kind} samples of the ${world.file.name} world

${count} samples, seed ${seed}, of the synthetic world in \`world.json\` (sha256 ${world.hash}).
A sample applies two operators to a text: output = operator_2(operator_1(text)), token by token. Some pairs are unsafe on
some texts, and the right answer is always known. The same command makes the same bytes:

\`\`\`
nullscope data export --world world.json --kind ${kind} --count ${count} --seed ${seed} --format ${format} --out DIR
\`\`\`

| field | what it is |
| --- | --- |
| index | place in the stream; row i is the same in an export of any size |
| operator_1, operator_2 | the task tokens, the first applied first |
| text, output | tokens separated by spaces |
| grammar | which grammar the text was expanded from |
| branch | the text is of a dominant node of ${world.branches.join(", ")}; mixed: of nodes of two branches; root: of the whole grammar |
| label | safe, unsafe, or none where the safety rule is silent |
| why | the rule's reason in words |
| input_ids | the row as a model sees it: BOS, two task tokens, SOT, text, EOT, output, EOS, and padding (${world.vocabulary.pad}) |
${format === "both" ? `\n\`data/${kind}.jsonl\` holds the same rows as \`data/${kind}.parquet\`.\n` : ""}`;
}
