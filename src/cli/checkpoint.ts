import type { Command } from "commander";
import { type CheckpointTensor, type HuggingFaceCheckpoint, openHuggingFace } from "../checkpoint/huggingFace.js";
import { elementsOf, type TensorValues, tensorValues } from "../checkpoint/inspect.js";
import { clean, formatCount, type Io } from "./io.js";

interface InspectOptions {
  readonly headers?: true;
  readonly json?: true;
}

/** Adds `nullscope checkpoint inspect`. */
export function registerCheckpoint(program: Command, io: Io): void {
  const checkpoint = program
    .command("checkpoint")
    .helpCommand(false)
    .description("Look into a model's folder: Llama, Mistral, Qwen2 or GPT-2 in Hugging Face's format.");
  checkpoint
    .command("inspect")
    .description("Verify a folder (config.json, safetensors) and print its architecture, tensors, sizes and oddities.")
    .argument("<dir>", "the model's folder, with config.json and model.safetensors or its shards and their index")
    .option("--headers", "check formats, names and shapes only; read no values")
    .option("--json", "everything as JSON, each tensor by itself")
    .addHelpText(
      "after",
      `
Values are read 16 MiB at a time: a folder of any size is inspected in little memory. Nothing in it is run.

Examples:
  nullscope checkpoint inspect ~/models/Llama-2-7b-chat-hf
  nullscope checkpoint inspect ~/models/Llama-2-7b-chat-hf --headers`,
    )
    .action(async (dir: string, options: InspectOptions) => {
      const opened = await openHuggingFace(dir);
      try {
        const values = options.headers ? new Map() : await allValues(opened, io);
        const fingerprint = await opened.fingerprint();
        io.out(
          options.json
            ? `${JSON.stringify(asJson(opened, values, fingerprint), null, 2)}\n`
            : `${asText(opened, values, fingerprint).map(clean).join("\n")}\n`,
        );
      } finally {
        await opened.close();
      }
    });
}

type Values = ReadonlyMap<string, TensorValues>;

async function allValues(checkpoint: HuggingFaceCheckpoint, io: Io): Promise<Values> {
  const values = new Map<string, TensorValues>();
  for (const name of checkpoint.tensors.keys()) {
    if (io.terminal) io.err(`\r\u001b[Kreading values: tensor ${values.size + 1} of ${checkpoint.tensors.size}`);
    values.set(name, await tensorValues(checkpoint, name));
  }
  if (io.terminal) io.err("\r\u001b[K");
  return values;
}

/** Sums over tensors that both forms print. */
function totals({ tensors }: HuggingFaceCheckpoint) {
  const dtypes = new Map<string, { tensors: number; bytes: number }>();
  let parameters = 0;
  let bytes = 0;
  for (const tensor of tensors.values()) {
    const size = tensor.end - tensor.begin;
    const sum = dtypes.get(tensor.dtype) ?? { tensors: 0, bytes: 0 };
    dtypes.set(tensor.dtype, { tensors: sum.tensors + 1, bytes: sum.bytes + size });
    parameters += elementsOf(tensor);
    bytes += size;
  }
  const files = [...new Set([...tensors.values()].map(({ file }) => file))].sort();
  return { parameters, bytes, dtypes, files };
}

// JSON has no NaN and no infinity; as text they survive.
const jsonNumber = (value: number) => (Number.isFinite(value) ? value : String(value));

function asJson(checkpoint: HuggingFaceCheckpoint, values: Values, fingerprint: string) {
  const { architecture, config, tensors, unused, notes, dir } = checkpoint;
  const { parameters, bytes, dtypes, files } = totals(checkpoint);
  return {
    dir,
    architecture,
    config,
    fingerprint,
    parameters,
    bytes,
    dtypes: Object.fromEntries(dtypes),
    files,
    notes,
    valuesRead: values.size > 0,
    tensors: [...tensors].map(([name, { dtype, shape, file, begin, end }]) => {
      const found = values.get(name);
      return {
        name,
        dtype,
        shape,
        file,
        bytes: end - begin,
        ...(found !== undefined && {
          nan: found.nan,
          infinite: found.infinite,
          ...(found.constant !== undefined && { constant: jsonNumber(found.constant) }),
          largest: jsonNumber(found.largest),
        }),
      };
    }),
    unused: [...unused].map(([name, { dtype, shape, file, begin, end }]) => ({
      name,
      dtype,
      shape,
      file,
      bytes: end - begin,
    })),
  };
}

function asText(checkpoint: HuggingFaceCheckpoint, values: Values, fingerprint: string): string[] {
  const { architecture, config, unused, notes, dir } = checkpoint;
  const { parameters, bytes, dtypes, files } = totals(checkpoint);
  const heads =
    config.heads === config.keyValueHeads
      ? `${config.heads} heads`
      : `${config.heads} heads (${config.keyValueHeads} of keys and values)`;
  const windows = new Set(config.slidingWindows);
  return [
    `${dir}: a sound ${architecture} checkpoint, ${formatCount(parameters)} parameters, ${formatBytes(bytes)} in ${files.length} file${files.length > 1 ? "s" : ""}`,
    `${config.blocks} blocks, width ${config.width}, ${heads} of width ${config.headWidth}, MLP ${config.mlp}, vocabulary ${formatCount(config.vocabulary)}, context ${formatCount(config.context)}`,
    `positions: ${positionsText(checkpoint)}`,
    ...(windows.size === 1 && windows.has(null)
      ? []
      : [`attention windows: ${[...windows].map((window) => window ?? "none").join(", ")}`]),
    `head: ${config.tied ? "tied to the embedding" : "its own"}`,
    `dtypes: ${[...dtypes].map(([dtype, sum]) => `${dtype} in ${sum.tensors} tensors (${formatBytes(sum.bytes)})`).join(", ")}`,
    `fingerprint ${fingerprint}`,
    "",
    ...tensorLines(checkpoint.tensors),
    "",
    ...oddityLines(values, unused, notes),
  ];
}

function positionsText({ config: { rope } }: HuggingFaceCheckpoint): string {
  if (rope === null) return "a learned table";
  const { theta, scaling } = rope;
  const stretched = scaling === null ? "" : `, scaled (${scaling.type}, factor ${scaling.factor})`;
  return `rotary, theta ${formatCount(theta)}${stretched}`;
}

/** A line per tensor; those that all blocks have alike are one line. */
function tensorLines(tensors: ReadonlyMap<string, CheckpointTensor>): string[] {
  const groups = new Map<string, { name: string; blocks: number[]; tensor: CheckpointTensor }>();
  for (const [name, tensor] of tensors) {
    const block = /\.(\d+)\./.exec(name);
    const general = block === null ? name : name.replace(/\.\d+\./, ".*.");
    const key = JSON.stringify([general, tensor.dtype, tensor.shape]);
    const group = groups.get(key) ?? { name: general, blocks: [], tensor };
    if (block !== null) group.blocks.push(Number(block[1]));
    groups.set(key, group);
  }
  const rows = [...groups.values()].map(({ name, blocks, tensor }) => {
    const range = blocks.length > 1 ? `${Math.min(...blocks)}..${Math.max(...blocks)}` : String(blocks[0] ?? "");
    const count = Math.max(1, blocks.length);
    return [
      name.replace("*", range),
      tensor.dtype,
      `[${tensor.shape.join(", ")}]`,
      count > 1 ? `${count} x ${formatBytes(tensor.end - tensor.begin)}` : formatBytes(tensor.end - tensor.begin),
    ];
  });
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map(
    (row) => `  ${[0, 1, 2].map((column) => row[column]!.padEnd(widths[column]!)).join("  ")}  ${row[3]!}`,
  );
}

function oddityLines(
  values: Values,
  unused: ReadonlyMap<string, CheckpointTensor>,
  notes: readonly string[],
): string[] {
  const lines = notes.map((note) => `note: ${note}.`);
  if (unused.size > 0) lines.push(`not used: ${unused.size} tensors beyond the architecture's, buffers among them.`);
  if (values.size === 0) return [...lines, "values were not read (--headers)."];
  const odd = [...values].flatMap(([name, { nan, infinite, constant }]) => [
    ...(nan > 0 ? [`odd: ${name} holds ${formatCount(nan)} NaN.`] : []),
    ...(infinite > 0 ? [`odd: ${name} holds ${formatCount(infinite)} infinite values.`] : []),
    ...(constant !== undefined ? [`odd: ${name} is ${constant} everywhere.`] : []),
  ]);
  return [...lines, ...(odd.length === 0 ? ["no NaN, no infinity, no constant tensor."] : odd)];
}

/** "13.5 GB": bytes for people, in powers of ten. */
function formatBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return unit === 0 ? `${bytes} bytes` : `${value.toPrecision(3)} ${units[unit]}`;
}
