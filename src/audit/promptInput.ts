import { type ChatTemplate, openChatTemplate } from "../checkpoint/chatTemplate.js";
import { openTokenizer, type Tokenizer } from "../checkpoint/tokenizer.js";
import { type PromptSet, readPromptSet } from "./prompts/promptSet.js";
import { type TokenizedPrompt, tokenizePrompts } from "./prompts/tokenizePrompts.js";

export interface PromptOptions {
  /** JSONL. */
  readonly file: string;
  /** A Hugging Face folder with the tokenizer of both models; its chat template is used where it has one. */
  readonly tokenizer: string;
  /** False: the text itself. */
  readonly chat: boolean;
  readonly system?: string | undefined;
  /** Tokens that both models have. */
  readonly vocabulary: number;
}

/** A prompt file as both models read it, and what gives their answers back as text; close it. */
export interface PromptInput {
  readonly set: PromptSet;
  readonly tokenized: readonly TokenizedPrompt[];
  readonly tokenizer: Tokenizer;
  /** Whether the prompts stand in a chat template. */
  readonly chat: boolean;
  close(): Promise<void>;
}

/** Reads, renders and encodes the prompts of an audit. @throws UserError naming the line that cannot be used. */
export async function openPrompts({
  file,
  tokenizer: folder,
  chat,
  system,
  vocabulary,
}: PromptOptions): Promise<PromptInput> {
  const set = await readPromptSet(file);
  const tokenizer = await openTokenizer(folder);
  let template: ChatTemplate | undefined;
  try {
    template = chat ? await openChatTemplate(folder) : undefined;
    const tokenized = await tokenizePrompts(set.prompts, {
      tokenizer,
      chat: template,
      system,
      vocabularySize: vocabulary,
    });
    return { set, tokenized, tokenizer, chat: template !== undefined, close: () => tokenizer.close() };
  } catch (error) {
    await tokenizer.close();
    throw error;
  } finally {
    await template?.close();
  }
}
