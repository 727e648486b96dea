import type { ChatMessage, ChatTemplate } from "../../checkpoint/chatTemplate.js";
import type { Tokenizer } from "../../checkpoint/tokenizer.js";
import { UserError } from "../../errors.js";
import type { Prompt } from "./promptSet.js";

/** A prompt as the model reads it; its last token is the position that predicts the first token of the answer. */
export interface TokenizedPrompt {
  readonly prompt: Prompt;
  /** [length] */
  readonly ids: Int32Array;
}

export interface TokenizeOptions {
  readonly tokenizer: Tokenizer;
  /** The chat template of the tuned model; absent: the text itself, after the model's own first token. */
  readonly chat?: ChatTemplate | undefined;
  /** A system turn before each prompt. */
  readonly system?: string | undefined;
  /** Rows of the model's embedding: ids must be below it. */
  readonly vocabularySize?: number | undefined;
  /** Longest prompt in tokens. */
  readonly maxTokens?: number | undefined;
}

/**
 * Token ids of each prompt: chat template (or text), then the forced beginning of the answer where there is one. Both the text alone and the whole
 * are encoded and decoded again.
 * @throws UserError naming the prompt: token drift, a special token inside a prompt, a template that changes it, too many tokens, ids the model does not have.
 */
export async function tokenizePrompts(
  prompts: readonly Prompt[],
  { tokenizer, chat, system, vocabularySize, maxTokens = 4096 }: TokenizeOptions,
): Promise<TokenizedPrompt[]> {
  if (system !== undefined && chat === undefined)
    throw new UserError("A system turn needs a chat template, and this model's folder has none; leave it out.");
  const tokenized: TokenizedPrompt[] = [];
  for (const prompt of prompts) {
    const { text, prefix, place } = prompt;
    await tokenizer.encodeChecked(prefix === undefined ? text : `${text} ${prefix}`, place, { plain: true });
    let ids: Int32Array;
    if (chat === undefined) {
      const whole = prefix === undefined ? text : `${text} ${prefix}`;
      ids = await tokenizer.encodeChecked(whole, place, { addSpecialTokens: true });
    } else {
      const messages: ChatMessage[] = [{ role: "user", content: text }];
      if (system !== undefined) messages.unshift({ role: "system", content: system });
      if (prefix !== undefined) messages.push({ role: "assistant", content: prefix });
      const rendered = await chat.render(messages);
      // Templates may trim the text, and no more: what is measured must be what was asked.
      if (!rendered.includes(text.trim()))
        throw new UserError(`${place}: the chat template does not repeat the prompt as it is; use another template.`);
      ids = await tokenizer.encodeChecked(rendered, place);
    }
    if (ids.length === 0) throw new UserError(`${place} has no tokens.`);
    if (ids.length > maxTokens)
      throw new UserError(`${place} has ${ids.length} tokens, more than ${maxTokens}; shorten the prompt.`);
    const beyond = vocabularySize === undefined ? -1 : ids.findIndex((id) => id >= vocabularySize);
    if (beyond >= 0)
      throw new UserError(
        `${place} has the token id ${ids[beyond]}, and the model has only ${vocabularySize} tokens; the tokenizer belongs to another model.`,
      );
    tokenized.push({ prompt, ids });
  }
  return tokenized;
}
