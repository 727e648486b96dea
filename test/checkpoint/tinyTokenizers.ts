/*
 * Tokenizers small enough to work out ids by hand, in the forms of the real ones.
 */

/** GPT-2's order of bytes: printable ones first, as themselves; the others after them, as characters from U+0100 on. */
function byteCharacters(): string[] {
  const printable = [...range(33, 127), ...range(161, 173), ...range(174, 256)];
  const rest = range(0, 256).filter((byte) => !printable.includes(byte));
  return [...printable.map((byte) => String.fromCharCode(byte)), ...rest.map((_, i) => String.fromCharCode(256 + i))];
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

const vocabularyOf = (tokens: readonly string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));

const added = (id: number, content: string, more: object = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
});

/**
 * Byte-level BPE as GPT-2 has it. Ids 0 to 255 are the bytes ("!" is 0, "a" is 64, a space 220), 256 "he", 257 "ll", 258 "hell", 259 "hello",
 * 260 " w", 261 "or", 262 "<|endoftext|>".
 */
export function gpt2Tokenizer() {
  const merges = [
    ["h", "e"],
    ["l", "l"],
    ["he", "ll"],
    ["hell", "o"],
    ["\u0120", "w"],
    ["o", "r"],
  ];
  return {
    version: "1.0",
    added_tokens: [added(262, "<|endoftext|>")],
    normalizer: null as object | null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true } as object | null,
    post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false } as object | null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true } as object | null,
    model: {
      type: "BPE",
      unk_token: null as string | null,
      vocab: vocabularyOf([...byteCharacters(), ...merges.map((pair) => pair.join(""))]) as Record<string, number>,
      merges: merges.map((pair) => pair.join(" ")) as (string | string[])[],
    },
  };
}

/** Llama 3: the same alphabet behind its splitting pattern, merges skipped for whole tokens, "<|begin_of_text|>" (300) before a text. */
export function llama3Tokenizer() {
  const tokenizer = gpt2Tokenizer();
  const names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
  tokenizer.added_tokens = names.map((name, i) => added(300 + i, name));
  tokenizer.pre_tokenizer = {
    type: "Sequence",
    pretokenizers: [
      {
        type: "Split",
        pattern: {
          Regex:
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        },
        behavior: "Isolated",
        invert: false,
      },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  };
  tokenizer.post_processor = {
    type: "Sequence",
    processors: [
      { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
      {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: names[0], type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        pair: [],
        special_tokens: { [names[0]!]: { id: names[0], ids: [300], tokens: [names[0]] } },
      },
    ],
  };
  Object.assign(tokenizer.model, { ignore_merges: true });
  tokenizer.model.vocab["123"] = 262;
  return tokenizer;
}

/**
 * BPE of SentencePiece as Llama 2 and Mistral have it: 0 "<unk>", 1 "<s>", 2 "</s>", 3 to 258 the bytes, then "▁" 259, "h" 260, "e" 261, "l" 262, "o" 263,
 * "w" 264, "r" 265, "d" 266, "he" 267, "ll" 268, "hell" 269, "hello" 270, "▁hello" 271, "▁w" 272, "[" 273, "I" 274, "]" 275.
 */
export function llama2Tokenizer() {
  const bytes = range(0, 256).map((byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const merges = ["h e", "l l", "he ll", "hell o", "▁ hello", "▁ w"];
  const letters = [..."▁helowrd"];
  return {
    version: "1.0",
    added_tokens: ["<unk>", "<s>", "</s>"].map((token, id) => added(id, token)),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: vocabularyOf([
        "<unk>",
        "<s>",
        "</s>",
        ...bytes,
        ...letters,
        ...merges.map((merge) => merge.replace(" ", "")),
        ..."[I]",
      ]),
      merges,
    },
  };
}

/** The shape of Llama 2's chat template: the system turn inside the first user turn, BOS and EOS around each exchange. */
export const llama2ChatTemplate =
  "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}" +
  "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}" +
  "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}" +
  "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}" +
  "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}" +
  "{% else %}{% set content = message['content'] %}{% endif %}" +
  "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}" +
  "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

/** The shape of Llama 3's. */
export const llama3ChatTemplate =
  "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}" +
  "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

/** Bytes of printable ASCII only, for models of 128 tokens: 0 "<unk>", 1 "<s>", 2 "</s>", "!" is 3, "a" 67, a space 97, a line feed 98. */
export function asciiTokenizer() {
  const tokenizer = gpt2Tokenizer();
  const printable = range(33, 127).map((byte) => String.fromCharCode(byte));
  tokenizer.added_tokens = ["<unk>", "<s>", "</s>"].map((token, id) => added(id, token));
  tokenizer.model.vocab = vocabularyOf(["<unk>", "<s>", "</s>", ...printable, "\u0120", "\u010a"]);
  tokenizer.model.merges = [];
  return tokenizer;
}
