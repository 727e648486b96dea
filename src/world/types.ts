import type { CompiledGrammar } from "./compile.js";
import type { MixedRules } from "./mixedRules.js";
import type { WorldFile } from "./schema.js";

/** Token ids. Order: specials, task tokens, terminals. */
export interface Vocabulary {
  readonly size: number;
  /** What each token is called, by id. */
  readonly names: readonly string[];
  readonly pad: number;
  readonly bos: number;
  readonly eos: number;
  readonly sot: number;
  readonly eot: number;
  /** The refusal's token: its own, or the last terminal where the world says `"null": "letter"`. */
  readonly nullToken: number;
  /** Ids of the task tokens, twins among them, in the order of the file. */
  readonly operators: readonly number[];
  /** Ids of the terminals, in the order of the file. */
  readonly terminals: readonly number[];
}

/** The safety rule of one branch, as indices of operators (never twins). */
export interface BranchRule {
  readonly safe: readonly number[];
  readonly unsafe: readonly number[];
}

/** A checked world, compiled for generation. Everything in it is constant. */
export interface World {
  readonly file: WorldFile;
  /** sha256 of the file's canonical JSON, in hex: the world's identity. */
  readonly hash: string;
  readonly vocabulary: Vocabulary;
  /** Tokens per row: BOS t_i t_j SOT text EOT output EOS. */
  readonly time: number;
  readonly minText: number;
  readonly maxText: number;
  /** `aligned`: the text is padded so that EOT stands at index 4 + maxText. `packed`: padding only at the end. */
  readonly layout: "packed" | "aligned";
  readonly grammars: readonly CompiledGrammar[];
  /** The first grammar without its held-out rules: what safety tuning's text is expanded from. */
  readonly tuningGrammar: CompiledGrammar;
  /** The pairs of branches that can share a text of the tuning grammar, and the rules such text begins with. */
  readonly mixed: readonly MixedRules[];
  /** Rules of the first grammar, as [symbol, rule number], that tuning's text never uses. */
  readonly heldOut: readonly { readonly symbol: number; readonly rule: number }[];
  /** Names of all task tokens. */
  readonly operatorNames: readonly string[];
  /** By task token: the operator it stands for (itself, or the one whose twin it is). */
  readonly functionOf: readonly number[];
  /** Task tokens that are another's name. */
  readonly twins: readonly number[];
  /** The operator that is the identity in every grammar, or -1. */
  readonly identity: number;
  /** The branches by name, sorted: the order of a file's keys is no part of its identity. */
  readonly branches: readonly string[];
  /** The branches, then `mixed` and `root`: what `Samples.branch` indexes. */
  readonly branchNames: readonly string[];
  /** By branch. */
  readonly rule: readonly BranchRule[];
  /** Operators that safety tuning never shows, under any name. */
  readonly leftOut: readonly number[];
  /** [grammars, task tokens, terminals], index of the image of a terminal. Twins have their original's rows. */
  readonly maps: Int32Array;
}

/** The address of a batch of samples. Row i depends on (seed, step, i) and the kind of sample alone. */
export interface SampleAddress {
  readonly seed: number;
  /** Which batch of the stream, 0 .. 2^32 - 1; default 0. */
  readonly step?: number;
  readonly count: number;
}
