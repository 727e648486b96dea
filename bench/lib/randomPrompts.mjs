// Prompts of a chosen number of tokens for a random checkpoint, with a tokenizer of one letter a token: what the tokens mean does not matter for time.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const LETTERS = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));

/** Writes tokenizer.json and prompts.jsonl, half of them "unsafe"; the path of the prompts. */
export function writeRandomPrompts(folder, prompts, tokens) {
  const vocab = Object.fromEntries(["<unk>", ...LETTERS].map((piece, id) => [piece, id]));
  const tokenizer = {
    ...{ version: "1.0", truncation: null, padding: null, normalizer: null, pre_tokenizer: null, post_processor: null },
    added_tokens: [
      { id: 0, content: "<unk>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    ],
    decoder: { type: "Fuse" },
    model: { type: "BPE", unk_token: "<unk>", fuse_unk: false, byte_fallback: false, vocab, merges: [] },
  };
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  writeFileSync(join(folder, "tokenizer_config.json"), "{}");
  let state = 1;
  const letter = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return LETTERS[Math.floor((state / 2 ** 32) * LETTERS.length)];
  };
  const lines = Array.from({ length: prompts }, (_, i) =>
    JSON.stringify({
      ...{ operator: `operator ${i % 10}`, operand: `operand ${Math.floor(i / 10)}` },
      label: (i + Math.floor(i / 10)) % 2 === 0 ? "safe" : "unsafe",
      text: Array.from({ length: tokens }, letter).join(""),
    }),
  );
  const path = join(folder, "prompts.jsonl");
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}
