import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect } from "vitest";
import { stringify } from "yaml";
import { formatPrompts, parsePromptSet } from "../../src/audit/prompts/promptSet.js";
import { decodeUtf8 } from "../../src/checkpoint/foreignText.js";
import { decoderConfigOf } from "../../src/checkpoint/huggingFaceConfig.js";
import { headerLength, parseHeader, type SafetensorsHeader } from "../../src/checkpoint/safetensorsHeader.js";
import { checkIndex, weightMapOf } from "../../src/checkpoint/shardedIndex.js";
import { parseStrictJson } from "../../src/checkpoint/strictJson.js";
import { loadClaims } from "../../src/study/claims/index.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import { PRESETS } from "../../src/study/presets.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";
import { tinyWorld } from "../cli/tinyWorld.js";
import { AWKWARD, mutated, mutatedTree } from "./mutations.js";
import { holding, type Limits, snapshotOfPrototypes, survives } from "./survives.js";

/** A reader of foreign files, with hostile inputs for it and what must hold of whatever it accepts. */
export interface Fuzzed {
  readonly what: string;
  readonly cases: fc.Arbitrary<Uint8Array>;
  readonly check: (bytes: Uint8Array, limits: Limits) => Promise<boolean>;
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const text = (arbitrary: fc.Arbitrary<string>) => arbitrary.map(utf8);

// -- safetensors

const DTYPES = ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"] as const;
const WIDTHS: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};
const tensorName = fc.oneof(
  fc.constantFrom("w", "transformer.wte.weight", "__proto__", "constructor", "", "toString", "a\u202eb", "\u0000"),
  fc.string({ maxLength: 12 }),
);

/** Valid headers, tensors end to end, in any order of names. */
const validHeader = fc
  .tuple(
    fc.uniqueArray(
      fc.tuple(tensorName, fc.constantFrom(...DTYPES), fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 })),
      { maxLength: 5, selector: ([name]) => name },
    ),
    fc.option(fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), { maxKeys: 3 }), {
      nil: undefined,
    }),
    fc.integer({ min: 0, max: 9 }),
  )
  .map(([tensors, metadata, padding]) => {
    let at = 0;
    const members = tensors
      .filter(([name]) => name !== "__metadata__")
      .map(([name, dtype, shape]) => {
        const begin = at;
        at += shape.reduce((product, size) => product * size, WIDTHS[dtype]!);
        return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, at] })}`;
      });
    if (metadata !== undefined) members.push(`"__metadata__":${JSON.stringify(metadata)}`);
    return { header: utf8(`{${members.join(",")}}${" ".repeat(padding)}`), data: at };
  });

/** A file: its length in 8 bytes, its header, its data as zeros. */
function fileOf(header: Uint8Array, data: number, length = BigInt(header.length)): Uint8Array {
  const bytes = new Uint8Array(8 + header.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, length), true);
  bytes.set(header, 8);
  return bytes;
}

/** Tensors of the right sizes at any place: with holes, on top of each other, now and then end to end. */
const placedAnywhere = fc
  .array(fc.tuple(fc.constantFrom(0, 1, 2, 4), fc.integer({ min: 0, max: 4 })), { minLength: 2, maxLength: 4 })
  .map((tensors) => {
    const members = tensors.map(([size, begin], i) => {
      const entry = { dtype: "U8", shape: [size], data_offsets: [begin, begin + size] };
      return `"t${i}":${JSON.stringify(entry)}`;
    });
    return fileOf(utf8(`{${members.join(",")}}`), Math.max(...tensors.map(([size, begin]) => begin + size)));
  });

const safetensorsCases = fc.oneof(
  { weight: 1, arbitrary: placedAnywhere },
  // A header with faults, its length told rightly, so that the fault is met.
  {
    weight: 6,
    arbitrary: validHeader.chain(({ header, data }) =>
      mutated(fc.constant(header)).map((bytes) => fileOf(bytes, data)),
    ),
  },
  // A whole file with faults anywhere, its length among them.
  { weight: 3, arbitrary: mutated(validHeader.map(({ header, data }) => fileOf(header, data))) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(validHeader, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
      .map(([{ header, data }, length]) => fileOf(header, data, length)),
  },
  { weight: 1, arbitrary: fc.json().map((json) => fileOf(utf8(`{"a":${json}}`), 8)) },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.constantFrom(...AWKWARD), { maxLength: 6 })
      .map((parts) => fileOf(utf8(`{${parts.join("")}`), 4)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }) },
);

/** Reads the header as `openSafetensors` does, from memory. */
function readHeader(bytes: Uint8Array): SafetensorsHeader {
  const length = headerLength(bytes.subarray(0, 8), bytes.length, "m.safetensors");
  return parseHeader(bytes.subarray(8, 8 + length), bytes.length, "m.safetensors");
}

/** Of an accepted header: every data byte belongs to exactly one tensor, and sizes are those of shape and dtype. */
function checkHeader(bytes: Uint8Array, { tensors }: SafetensorsHeader): void {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  let at = 8 + length;
  const json = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<
    string,
    { dtype: string; shape: number[] }
  >;
  for (const [name, { dtype, shape, begin, end }] of [...tensors].sort(
    ([, a], [, b]) => a.begin - b.begin || a.end - b.end,
  )) {
    if (begin !== at || !Object.hasOwn(json, name)) expect.fail(`${name} begins at ${begin}, not ${at}`);
    expect({ dtype, shape }).toEqual({ dtype: json[name]!.dtype, shape: json[name]!.shape });
    at = end;
  }
  expect(at).toBe(bytes.length);
}

const safetensors: Fuzzed = {
  what: "the safetensors header",
  cases: safetensorsCases,
  check: async (bytes, limits) => {
    const header = await survives(() => readHeader(bytes), limits);
    if (header !== undefined) checkHeader(bytes, header);
    return header !== undefined;
  },
};

// -- world files

const folderOf = (path: string) => new URL(`../../${path}/`, import.meta.url);
const filesIn = (path: string) =>
  readdirSync(folderOf(path)).map((name) => readFileSync(new URL(name, folderOf(path))));
const worlds: readonly unknown[] = [
  tinyWorld,
  ...filesIn("worlds").map((bytes) => JSON.parse(bytes.toString()) as unknown),
];
const anyWorld = fc.constantFrom(tinyWorld, tinyWorld, tinyWorld, ...worlds);

const worldFiles: Fuzzed = {
  what: "a world file",
  cases: fc.oneof(
    { weight: 3, arbitrary: mutated(anyWorld.map((world) => utf8(JSON.stringify(world)))) },
    {
      weight: 4,
      arbitrary: anyWorld.chain((world) => mutatedTree(world)).map((tree) => utf8(JSON.stringify(tree) ?? "")),
    },
    { weight: 1, arbitrary: text(fc.json()) },
    {
      weight: 1,
      arbitrary: text(fc.array(fc.constantFrom(...AWKWARD), { maxLength: 6 }).map((parts) => parts.join(""))),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }) },
  ),
  check: async (bytes, limits) => {
    const world = await survives(() => loadWorld("./w.json", holding(bytes)), limits);
    if (world === undefined) return false;
    expect(world.vocabulary.names).toHaveLength(world.vocabulary.size);
    expect(world.minText).toBeLessThanOrEqual(world.maxText);
    return true;
  },
};

// -- configurations and claims

const presets: readonly unknown[] = Object.values(PRESETS);
const anyPreset = fc.constantFrom(...presets);
/** YAML that grows by its aliases, and YAML that is deep. */
const bombs = fc.oneof(
  fc.integer({ min: 2, max: 40 }).map((levels) => {
    const lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < levels; i++)
      lines.push(
        `l${i}: &l${i} [${Array(9)
          .fill(`*l${i - 1}`)
          .join(", ")}]`,
      );
    return `${lines.join("\n")}\n`;
  }),
  fc.integer({ min: 1, max: 3_000 }).map((depth) => `a: ${"[".repeat(depth)}`),
  fc.integer({ min: 1, max: 3_000 }).map((depth) => `a: ${"[".repeat(depth)}${"]".repeat(depth)}`),
  fc
    .integer({ min: 1, max: 400 })
    .map((depth) => Array.from({ length: depth }, (_, i) => `${" ".repeat(i)}a:`).join("\n")),
  fc.integer({ min: 1, max: 1_500 }).map((depth) => "- ".repeat(depth)),
  fc.integer({ min: 1, max: 1_000 }).map((depth) => "? ".repeat(depth)),
  fc.integer({ min: 1, max: 1_000 }).map((count) => `a: &a\n${"  - *a\n".repeat(count)}`),
  fc.integer({ min: 1, max: 600 }).map((count) => Array.from({ length: count }, (_, i) => `k${i}: ${i}`).join("\n")),
);

const configurations: Fuzzed = {
  what: "a configuration",
  cases: fc.oneof(
    { weight: 3, arbitrary: mutated(anyPreset.map((preset) => utf8(stringify(preset)))) },
    { weight: 4, arbitrary: anyPreset.chain((preset) => mutatedTree(preset)).map((tree) => utf8(stringify(tree))) },
    { weight: 2, arbitrary: text(bombs) },
    {
      weight: 1,
      arbitrary: text(fc.array(fc.constantFrom(...AWKWARD), { maxLength: 6 }).map((parts) => parts.join(""))),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }) },
  ),
  check: async (bytes, limits) => {
    const config = await survives(() => resolveConfig({ source: "./c.yaml" }, holding(bytes)), limits);
    if (config !== undefined) expect(Object.getPrototypeOf(config)).toBe(Object.prototype);
    return config !== undefined;
  },
};

/** The paper's first claims: a whole file that is short enough for many cases. */
const someClaims = utf8(
  filesIn("claims")[0]!
    .toString()
    .split(/\n(?= {2}- id:)/)
    .slice(0, 4)
    .join("\n"),
);

const claims: Fuzzed = {
  what: "a claims file",
  cases: fc.oneof(
    {
      weight: 4,
      arbitrary: mutated(fc.constant(someClaims)),
    },
    { weight: 2, arbitrary: text(bombs) },
    {
      weight: 1,
      arbitrary: text(fc.array(fc.constantFrom(...AWKWARD), { maxLength: 6 }).map((parts) => parts.join(""))),
    },
  ),
  check: async (bytes, limits) =>
    (await survives(() => loadClaims(["./c.yaml"], holding(bytes)), limits)) !== undefined,
};

// -- prompts

const prompt = fc.record(
  {
    operator: fc.string({ minLength: 1, maxLength: 12 }),
    operand: fc.oneof(
      fc.string({ minLength: 1, maxLength: 12 }),
      fc.constantFrom(...AWKWARD.map((one) => one.slice(0, 40))),
    ),
    label: fc.constantFrom("safe", "unsafe"),
    set: fc.constantFrom("safe", "unsafe", "jb-one", "__proto__"),
    text: fc.string({ minLength: 1, maxLength: 30 }),
    prefix: fc.string({ minLength: 1, maxLength: 10 }),
  },
  { requiredKeys: ["operator", "operand", "label"] },
);
const plainPrompts = [0, 1, 2, 3].map((i) => ({
  operator: `o${i}`,
  operand: `x${i}`,
  label: i % 2 ? "safe" : "unsafe",
}));
const jsonl = (lines: readonly object[]) => utf8(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));

const prompts: Fuzzed = {
  what: "prompts",
  cases: fc.oneof(
    { weight: 3, arbitrary: mutated(fc.constant(jsonl(plainPrompts))) },
    {
      weight: 3,
      arbitrary: mutated(fc.array(prompt, { maxLength: 6 }).map((more) => jsonl([...plainPrompts, ...more]))),
    },
    {
      weight: 1,
      arbitrary: text(fc.array(fc.constantFrom(...AWKWARD), { maxLength: 6 }).map((parts) => parts.join("\n"))),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }) },
  ),
  check: async (bytes, limits) => {
    const set = await survives(() => parsePromptSet(decodeUtf8(bytes, "p.jsonl"), "p.jsonl"), limits);
    if (set === undefined) return false;
    // What was accepted is the same set when it is written and read again.
    expect(parsePromptSet(formatPrompts(set.prompts), "again").identity).toBe(set.identity);
    return true;
  },
};

// -- what is beside the weights of a checkpoint

const indexJson = fc.dictionary(tensorName, fc.constantFrom("model-1.safetensors", "model-2.safetensors"), {
  minKeys: 1,
  maxKeys: 5,
});

const shardedIndex: Fuzzed = {
  what: "a sharded index",
  cases: fc.oneof(
    {
      weight: 4,
      arbitrary: mutated(
        indexJson.map((map) => utf8(JSON.stringify({ metadata: { total_size: 8 }, weight_map: map }))),
      ),
    },
    {
      weight: 2,
      arbitrary: indexJson
        .chain((map) => mutatedTree({ weight_map: map }))
        .map((tree) => utf8(JSON.stringify(tree) ?? "")),
    },
    {
      weight: 2,
      arbitrary: fc
        .oneof(
          fc.string(),
          fc.constantFrom(
            "../x.safetensors",
            "/etc/passwd",
            "a/b.safetensors",
            "C:x.safetensors",
            "..",
            "x.safetensors\u0000",
            "%2e%2e/x.safetensors",
          ),
        )
        .map((shard) => utf8(JSON.stringify({ weight_map: { w: shard } }))),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }) },
  ),
  check: async (bytes, limits) => {
    const read = () => weightMapOf(parseStrictJson(decodeUtf8(bytes, "index.json"), "index.json"), "index.json");
    const map = await survives(read, limits);
    if (map === undefined) return false;
    for (const shard of map.values()) expect(shard).toMatch(/^[A-Za-z0-9._-]+\.safetensors$/);
    // Shards that hold nothing, and one that holds everything twice: refused in a sentence too.
    const none = new Map([...map.values()].map((shard) => [shard, { tensors: new Map() }]));
    await survives(() => checkIndex(map, none, "index.json"), limits);
    return true;
  },
};

const LLAMA = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 96,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: "silu",
  tie_word_embeddings: false,
};

const modelConfigs: Fuzzed = {
  what: "a model's config.json",
  cases: fc.oneof(
    { weight: 3, arbitrary: mutated(fc.constant(utf8(JSON.stringify(LLAMA)))) },
    { weight: 4, arbitrary: mutatedTree(LLAMA).map((tree) => utf8(JSON.stringify(tree) ?? "")) },
    { weight: 1, arbitrary: text(fc.json()) },
  ),
  check: async (bytes, limits) => {
    const read = () => decoderConfigOf(parseStrictJson(decodeUtf8(bytes, "config.json"), "config.json"), "config.json");
    return (await survives(read, limits)) !== undefined;
  },
};

export const FUZZED: readonly Fuzzed[] = [
  safetensors,
  worldFiles,
  configurations,
  claims,
  prompts,
  shardedIndex,
  modelConfigs,
];

/** Runs `runs` cases of one reader, the same ones for the same seed. Returns how many of them were accepted. */
export async function fuzz(
  { cases, check }: Fuzzed,
  { runs, seed, ...limits }: Limits & { readonly runs: number; readonly seed: number },
): Promise<number> {
  const before = snapshotOfPrototypes();
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(cases, async (bytes) => {
      if (await check(bytes, limits)) accepted++;
    }),
    { numRuns: runs, seed, endOnFailure: true },
  );
  expect(snapshotOfPrototypes()).toBe(before);
  return accepted;
}
