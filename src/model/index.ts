/** Transformers as pure functions of (parameters, tokens). */
export * from "./config.js";
export * from "./decode.js";
export * from "./decoderConfig.js";
export * from "./gpt.js";
export * from "./initialize.js";
export * from "./inserted.js";
export * from "./sharedPrefix.js";
