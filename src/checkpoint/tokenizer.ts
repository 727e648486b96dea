import { createHash } from "node:crypto";
import { join } from "node:path";
import { UserError } from "../errors.js";
import { readTokenizerConfig, specialTokens } from "./chatTemplate.js";
import { exists, readTextInside } from "./foreignText.js";
import { openSandbox, packagePath, SandboxError, type SandboxTasks } from "./sandbox.js";
import { quoteName, type StrictJson } from "./strictJson.js";
import { checkTokenizerJson } from "./tokenizerJson.js";

/** A tokenizer of a Hugging Face folder, in a thread of its own; close it. */
export interface Tokenizer {
  /** sha256 of `tokenizer.json`. */
  readonly identity: string;
  /** Ids are below this. */
  readonly vocabularySize: number;
  /** Id of a special token by its role (`bos_token`, `eos_token`, ...) where the folder names it. */
  readonly specialIds: Readonly<Record<string, number>>;
  /**
   * Token ids of a text. Special tokens that stand in the text as text become themselves; with `addSpecialTokens`, those that the model begins
   * a text with are put before it.
   * @throws UserError when it runs past its limits.
   */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): Promise<Int32Array>;
  /** The text of token ids, special tokens as text. */
  decode(ids: ArrayLike<number>): Promise<string>;
  /**
   * Encodes and checks that nothing was lost: decoding gives the text back, piece by piece between special tokens.
   * @param what names the text in the error: "prompts.jsonl, line 7".
   * @throws UserError for a token drift; with `plain`, also for a special token inside the text, which could forge a turn of a conversation.
   */
  encodeChecked(
    text: string,
    what: string,
    options?: { readonly addSpecialTokens?: boolean; readonly plain?: boolean },
  ): Promise<Int32Array>;
  close(): Promise<void>;
}

/** The largest known tokenizer.json (256,000 tokens) has 35 MB. */
const MAX_BYTES = 80_000_000;
/** A prompt, not a book: quadratic work inside a pre-tokenizer stays small. */
const MAX_TEXT = 100_000;
const MEMORY_MIB = 1536;
const START_SECONDS = 120;
const SECONDS = 10;

/**
 * Opens `tokenizer.json` (byte-pair encoding, as Llama, Mistral, Qwen2 and GPT-2 have it) and `tokenizer_config.json` of a Hugging Face folder.
 * The patterns in it are foreign regular expressions: they run in a sandbox with a deadline.
 * @throws UserError for a file that is missing, damaged, or of another kind.
 */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  const path = join(folder, "tokenizer.json");
  const configPath = join(folder, "tokenizer_config.json");
  const text = await readTextInside(folder, "tokenizer.json", MAX_BYTES);
  const config = (await exists(configPath)) ? await readTokenizerConfig(folder) : new Map<string, StrictJson>();
  return await tokenizerFrom(text, { where: path, tokens: specialTokens(config, configPath) });
}

export interface TokenizerOptions {
  /** Begins every message. */
  readonly where?: string;
  /** Special tokens by their role. */
  readonly tokens?: Readonly<Record<string, string>>;
  /** Deadline for one text; a real tokenizer takes milliseconds. */
  readonly seconds?: number;
}

/** A tokenizer from the text of its `tokenizer.json`. */
export async function tokenizerFrom(
  json: string,
  { where = "tokenizer.json", tokens = {}, seconds = SECONDS }: TokenizerOptions = {},
): Promise<Tokenizer> {
  const { vocabularySize, added } = checkTokenizerJson(json, where);
  const identity = createHash("sha256").update(json).digest("hex");
  const sandbox = openSandbox(
    tasks,
    { tokenizers: packagePath("@huggingface/tokenizers"), json },
    { memoryMiB: MEMORY_MIB, startSeconds: START_SECONDS },
  );
  const call = async (task: string, payload: unknown) => {
    try {
      return await sandbox.call(task, payload, seconds);
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error;
      throw new UserError(
        error.reason === "failed"
          ? `${where} cannot be used: ${error.message.replace(/\.$/, "")}.`
          : `${where} is stopped: ${error.message} for one text; take the tokenizer from where the model came from.`,
      );
    }
  };
  const encode: Tokenizer["encode"] = async (text, { addSpecialTokens = false } = {}) => {
    if (text.length > MAX_TEXT)
      throw new UserError(`A text of ${text.length} characters is longer than the ${MAX_TEXT} that a prompt may have.`);
    const ids = (await call("encode", { text, addSpecialTokens })) as (number | null)[];
    const bad = ids.findIndex((id) => id === null || !(id >= 0 && id < vocabularySize));
    if (bad >= 0)
      throw new UserError(
        `${where} has no token for a part of ${quoteName(text)}, and no token for the unknown; take the complete tokenizer.`,
      );
    return Int32Array.from(ids as number[]);
  };
  const decode = async (ids: ArrayLike<number>) =>
    ids.length === 0 ? "" : ((await call("decode", Array.from(ids))) as string);
  const specialIds: Record<string, number> = {};
  for (const [role, content] of Object.entries(tokens)) {
    const id = added.find((one) => one.content === content)?.id;
    if (id !== undefined) specialIds[role] = id;
  }
  const addedById = new Map(added.map((token) => [token.id, token]));

  /** The text that the ids stand for: each run between added tokens decoded alone, as it was encoded alone. */
  const pieces = async (ids: Int32Array) => {
    const parts: { readonly text: string; readonly id?: number }[] = [];
    let from = 0;
    for (let i = 0; i <= ids.length; i++) {
      const token = i < ids.length ? addedById.get(ids[i]!) : undefined;
      if (i < ids.length && token === undefined) continue;
      if (i > from) parts.push({ text: await decode(ids.subarray(from, i)) });
      if (token !== undefined) parts.push({ text: token.content, id: token.id });
      from = i + 1;
    }
    return parts;
  };

  const encodeChecked: Tokenizer["encodeChecked"] = async (
    text,
    what,
    { addSpecialTokens = false, plain = false } = {},
  ) => {
    const bare = await encode(text);
    const parts = await pieces(bare);
    const special = parts.find(({ id }) => id !== undefined && addedById.get(id)!.special);
    if (plain && special !== undefined)
      throw new UserError(
        `${what} holds the special token ${quoteName(special.text)} as text, which the model would take for a mark of its own; remove it.`,
      );
    const stripped = addedById.size > 0 && added.some(({ lstrip, rstrip }) => lstrip || rstrip);
    // Some special tokens swallow the white space beside them; then only that may differ.
    const comparable = (value: string) => (stripped ? value.replace(/\s+/g, "") : value);
    const back = parts.map((part) => part.text).join("");
    if (comparable(back) !== comparable(text)) {
      const [given, got] = [[...text], [...back]];
      const differs = given.findIndex((character, i) => got[i] !== character);
      const at = differs < 0 ? given.length : differs;
      throw new UserError(
        `${what}: the tokens do not give the text back (token drift), from character ${at} on: ` +
          `${quoteName(given.slice(at).join(""))} became ${quoteName(got.slice(at).join(""))}; change the prompt, or take the model's own tokenizer.`,
      );
    }
    return addSpecialTokens ? await encode(text, { addSpecialTokens }) : bare;
  };

  try {
    await call("ready", null);
  } catch (error) {
    await sandbox.close();
    throw error;
  }
  return { identity, vocabularySize, specialIds, encode, decode, encodeChecked, close: () => sandbox.close() };
}

/** Runs inside the sandbox. */
const tasks: SandboxTasks = (load, data) => {
  const { Tokenizer } = load(data.tokenizers);
  const tokenizer = new Tokenizer(JSON.parse(data.json), { clean_up_tokenization_spaces: false });
  return {
    ready: () => true,
    encode: ({ text, addSpecialTokens }: { text: string; addSpecialTokens: boolean }) =>
      tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids.map((id: unknown) => id ?? null),
    decode: (ids: number[]) =>
      tokenizer.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
  };
};
