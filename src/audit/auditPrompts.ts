import { openChatTemplate } from "../checkpoint/chatTemplate.js";
import { openTokenizer, type Tokenizer } from "../checkpoint/tokenizer.js";
import type { AuditPair } from "./pair.js";
import { type PromptSet, readPromptSet } from "./prompts/promptSet.js";
import { type TokenizedPrompt, tokenizePrompts } from "./prompts/tokenizePrompts.js";

/** The prompts of an audit, as the tuned model reads them; both models are given the same tokens. */
export interface AuditPrompts {
  readonly file: string;
  readonly set: PromptSet;
  readonly tokenized: readonly TokenizedPrompt[];
  readonly tokenizer: Tokenizer;
  /** Whether the tuned model's chat template stands around each prompt. */
  readonly chat: boolean;
  /** Ends the tokenizer's thread. */
  close(): Promise<void>;
}

/**
 * Reads a prompt file and turns it into tokens by the tuned model's tokenizer and, where it has one and it is wanted, its chat template.
 * @throws UserError naming the line or the prompt that is wrong.
 */
export async function openPrompts(
  { base, tuned }: AuditPair,
  file: string,
  {
    chat: wanted,
    system,
    tokenizer: folder = tuned.checkpoint.dir,
  }: { readonly chat: boolean; readonly system?: string | undefined; readonly tokenizer?: string | undefined },
): Promise<AuditPrompts> {
  const set = await readPromptSet(file);
  const tokenizer = await openTokenizer(folder);
  try {
    const template = wanted ? await openChatTemplate(folder) : undefined;
    const [a, b] = [base.checkpoint.config, tuned.checkpoint.config];
    try {
      const tokenized = await tokenizePrompts(set.prompts, {
        ...{ tokenizer, chat: template, system },
        vocabularySize: Math.min(a.vocabulary, b.vocabulary),
        // One more for the first generated token.
        maxTokens: Math.min(4096, a.context - 1, b.context - 1),
      });
      return { file, set, tokenized, tokenizer, chat: template !== undefined, close: tokenizer.close };
    } finally {
      await template?.close();
    }
  } catch (error) {
    await tokenizer.close();
    throw error;
  }
}
