/** Nullscope as a library: everything the command line does, in a few lines. */
export * from "./analysis/index.js";
export * from "./attack/index.js";
export { type AuditModel, checkpointModel, pathModel } from "./audit/activations/model.js";
export { type GenerateOptions, generate } from "./audit/generate.js";
export { chooseJudges } from "./audit/judges/choose.js";
export type { Answer, Judge, Judgement } from "./audit/judges/judge.js";
export { crossedDesign } from "./audit/prompts/crossedDesign.js";
export { jailbreakVariant } from "./audit/prompts/jailbreaks.js";
export { formatPrompts, type Prompt, type PromptSet, readPromptSet } from "./audit/prompts/promptSet.js";
export { type TokenizedPrompt, tokenizePrompts } from "./audit/prompts/tokenizePrompts.js";
export { type ChatTemplate, openChatTemplate } from "./checkpoint/chatTemplate.js";
export { type HuggingFaceCheckpoint, openHuggingFace } from "./checkpoint/huggingFace.js";
export { openTokenizer, type Tokenizer } from "./checkpoint/tokenizer.js";
export * from "./model/index.js";
export * from "./random/index.js";
export {
  type ClaimRow,
  type ClaimSummary,
  type ClaimsResults,
  decideAll,
  evaluateClaims,
  loadClaims,
  parseClaims,
  type Verdict,
} from "./study/claims/index.js";
export { openRun } from "./study/openRun.js";
export { overSeeds } from "./study/overSeeds.js";
export type { ResultRow, ResultsFile } from "./study/results.js";
export { loadRunCheckpoint } from "./study/runCheckpoint.js";
export * from "./tensor/index.js";
export * from "./train/index.js";
export * from "./world/index.js";
