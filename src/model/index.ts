/** Transformers as pure functions of (parameters, tokens). */
export * from "./config.js";
export * from "./decode.js";
export * from "./decoder.js";
export * from "./decoderConfig.js";
export * from "./decoderParts.js";
export * from "./gpt.js";
export * from "./gpt2.js";
export * from "./initialize.js";
export * from "./inserted.js";
export * from "./llama.js";
export * from "./mistral.js";
export * from "./qwen2.js";
export * from "./rope.js";
export * from "./sharedPrefix.js";
