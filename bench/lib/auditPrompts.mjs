// Prompts of an exact number of tokens for a checkpoint without a tokenizer of its own.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** A byte-level tokenizer whose tokens are the small letters and the space, into a checkpoint's folder. */
function writeLetterTokenizer(dir) {
  const bytes = { add_prefix_space: false, trim_offsets: false, use_regex: true };
  const tokenizer = {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", ...bytes },
    post_processor: { type: "ByteLevel", ...bytes },
    decoder: { type: "ByteLevel", ...bytes },
    model: {
      type: "BPE",
      unk_token: null,
      vocab: Object.fromEntries([...LETTERS, "\u0120"].map((letter, id) => [letter, id])),
      merges: [],
    },
  };
  writeFileSync(join(dir, "tokenizer.json"), JSON.stringify(tokenizer));
}

/** `prompts.jsonl` in a folder: half safe, half unsafe, each of so many tokens, and the tokenizer beside the tuned model. Returns the file's path. */
export function writePrompts(folder, tuned, { prompts, tokens }) {
  writeLetterTokenizer(tuned);
  let state = 1;
  const letter = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return LETTERS[state >>> 27] ?? "e"; // 0..31
  };
  const word = (length) => Array.from({ length }, letter).join("");
  const lines = Array.from({ length: prompts }, (_, i) =>
    JSON.stringify({ operator: word(10), operand: word(tokens - 11), label: i % 2 === 0 ? "safe" : "unsafe" }),
  );
  const file = join(folder, "prompts.jsonl");
  writeFileSync(file, `${lines.join("\n")}\n`);
  return file;
}
