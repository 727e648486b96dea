/** Counter-based random numbers: every draw is a pure function of (seed, purpose, step, index). */
export { categorical, fillNormal, fillUniform, integer, normal, uint32, uniform } from "./draws.js";
export { type RandomKey, randomKey } from "./key.js";
export { multiplyHigh, philox } from "./philox.js";
export { createStream, permutation, type RandomStream } from "./stream.js";
