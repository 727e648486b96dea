import { UserError } from "../errors.js";
import { parseStrictJson, quoteName, type StrictJson } from "./strictJson.js";

/** A token that is split off the text before anything else: `<s>`, `<|eot_id|>`. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Swallow the white space before and after. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

export interface TokenizerSummary {
  /** Largest id + 1. */
  readonly vocabularySize: number;
  readonly added: readonly AddedToken[];
}

const MAX_TOKENS = 2_000_000;
const MAX_PATTERN = 4096;
/** The four parts around the model, and the kinds of each that the library follows faithfully. */
const KINDS: Readonly<Record<string, ReadonlySet<string>>> = {
  normalizer: new Set([
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Lowercase",
    "Strip",
    "StripAccents",
    "Replace",
    "Prepend",
    "Sequence",
  ]),
  pre_tokenizer: new Set([
    "ByteLevel",
    "Split",
    "Digits",
    "Metaspace",
    "Whitespace",
    "WhitespaceSplit",
    "Punctuation",
    "Sequence",
  ]),
  post_processor: new Set(["ByteLevel", "TemplateProcessing", "RobertaProcessing", "BertProcessing", "Sequence"]),
  decoder: new Set(["ByteLevel", "Metaspace", "BPEDecoder", "ByteFallback", "Fuse", "Strip", "Replace", "Sequence"]),
};
const BEHAVIORS = new Set(["Isolated", "Removed"]);

type Json = ReadonlyMap<string, StrictJson>;

/**
 * Checks a `tokenizer.json` before a library sees it: strict JSON, a BPE model whose ids are distinct and whose merges are made of its own tokens,
 * added tokens that contradict nothing, parts of known kinds.
 * @throws UserError naming the place.
 */
export function checkTokenizerJson(json: string, where: string): TokenizerSummary {
  const file = object(parseStrictJson(json, where), where);
  const model = object(file.get("model"), `${where}: model`);
  const type = model.get("type");
  if (type !== undefined ? type !== "BPE" : !model.has("merges"))
    throw new UserError(
      `${where}: the model is of type ${named(type)}; only BPE is read, which Llama, Mistral, Qwen2 and GPT-2 use.`,
    );
  const byId = checkVocabulary(object(model.get("vocab"), `${where}: model.vocab`), where);
  checkMerges(model, where);
  const added = checkAdded(file.get("added_tokens"), byId, where);
  for (const part of Object.keys(KINDS)) {
    if (!file.has(part)) throw new UserError(`${where} has no ${JSON.stringify(part)}; it may be null, not absent.`);
    checkPart(part, file.get(part)!, `${where}: ${part}`);
  }
  let largest = -1;
  for (const id of byId.keys()) largest = Math.max(largest, id);
  return { vocabularySize: largest + 1, added };
}

function checkVocabulary(vocabulary: Json, where: string): Map<number, string> {
  if (vocabulary.size === 0 || vocabulary.size > MAX_TOKENS)
    throw new UserError(`${where}: model.vocab has ${vocabulary.size} tokens; 1 to ${MAX_TOKENS} are read.`);
  const byId = new Map<number, string>();
  for (const [token, value] of vocabulary) {
    const id = wholeNumber(value, `${where}: the id of ${quoteName(token)}`);
    const before = byId.get(id);
    if (before !== undefined)
      throw new UserError(`${where}: ${quoteName(before)} and ${quoteName(token)} both have the id ${id}.`);
    byId.set(id, token);
  }
  return byId;
}

function checkMerges(model: Json, where: string): void {
  const vocabulary = model.get("vocab") as Json;
  const merges = model.get("merges");
  if (!Array.isArray(merges)) throw new UserError(`${where}: model.merges must be a list.`);
  if (merges.length > MAX_TOKENS) throw new UserError(`${where}: model.merges has ${merges.length} entries, too many.`);
  // One file has one form: the library looks at the first entry only.
  const asTexts = typeof merges[0] === "string";
  for (const [index, merge] of merges.entries()) {
    const parts = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(parts) || parts.length !== 2 || (typeof merge === "string") !== asTexts)
      throw new UserError(`${where}: model.merges[${index}] is not two tokens, written like the first entry.`);
    const [left, right] = parts;
    if (typeof left !== "string" || typeof right !== "string")
      throw new UserError(`${where}: model.merges[${index}] is not two texts.`);
    for (const token of [left, right, left + right])
      if (!vocabulary.has(token))
        throw new UserError(`${where}: model.merges[${index}] needs ${quoteName(token)}, which is not in model.vocab.`);
  }
}

function checkAdded(given: StrictJson | undefined, byId: Map<number, string>, where: string): AddedToken[] {
  if (!Array.isArray(given)) throw new UserError(`${where}: added_tokens must be a list.`);
  const contents = new Set<string>();
  return given.map((entry, index) => {
    const place = `${where}: added_tokens[${index}]`;
    const token = object(entry, place);
    const content = token.get("content");
    if (typeof content !== "string" || content === "") throw new UserError(`${place}.content must be a text.`);
    if (contents.has(content)) throw new UserError(`${place}: ${quoteName(content)} is added twice.`);
    contents.add(content);
    const id = wholeNumber(token.get("id"), `${place}.id`);
    const before = byId.get(id);
    if (before !== undefined && before !== content)
      throw new UserError(`${place}: ${quoteName(content)} takes the id ${id} of ${quoteName(before)}.`);
    byId.set(id, content);
    const flag = (name: string) => token.get(name) === true;
    return { id, content, special: flag("special"), lstrip: flag("lstrip"), rstrip: flag("rstrip") };
  });
}

/** One part, or the parts of a sequence. */
function checkPart(part: string, given: StrictJson, place: string, depth = 0): void {
  if (given === null) return;
  const settings = object(given, place);
  const type = settings.get("type");
  if (typeof type !== "string" || !KINDS[part]!.has(type))
    throw new UserError(`${place} is of the kind ${named(type)}, which is not read here.`);
  checkPattern(settings, place);
  const inner = ["normalizers", "pretokenizers", "processors", "decoders"].flatMap((name) => {
    const list = settings.get(name);
    return Array.isArray(list) ? list : [];
  });
  if (inner.length > 64 || depth > 3) throw new UserError(`${place} has too many parts inside.`);
  for (const [index, one] of inner.entries()) checkPart(part, one, `${place}[${index}]`, depth + 1);
}

function checkPattern(settings: Json, place: string): void {
  const pattern = settings.get("pattern");
  if (pattern !== undefined) {
    const text = pattern instanceof Map ? (pattern.get("Regex") ?? pattern.get("String")) : undefined;
    if (typeof text !== "string" || text.length > MAX_PATTERN)
      throw new UserError(`${place}.pattern must be a Regex or a String of at most ${MAX_PATTERN} characters.`);
  }
  const behavior = settings.get("behavior");
  if (typeof behavior === "string" && settings.get("type") === "Split" && !BEHAVIORS.has(behavior))
    throw new UserError(
      `${place} splits with the behavior ${quoteName(behavior)}; Isolated and Removed are read here.`,
    );
}

/** A value that should have been a name, for a message. */
function named(value: StrictJson | undefined): string {
  if (typeof value === "string") return quoteName(value);
  return value === undefined || value === null ? "none" : "no text";
}

function object(value: StrictJson | undefined, place: string): Json {
  if (!(value instanceof Map)) throw new UserError(`${place} must be a JSON object.`);
  return value;
}

function wholeNumber(value: StrictJson | undefined, place: string): number {
  if (typeof value !== "bigint" || value < 0n || value >= BigInt(MAX_TOKENS))
    throw new UserError(`${place} must be a whole number from 0 to ${MAX_TOKENS - 1}.`);
  return Number(value);
}
