/** A grammar as flat tables: symbols are integers, terminals 0 .. terminals - 1, then the non-terminals. */
export interface CompiledGrammar {
  readonly name: string;
  /** By symbol. */
  readonly symbolNames: readonly string[];
  readonly terminalCount: number;
  readonly root: number;
  /** Dominant nodes, as symbols. */
  readonly safeDominant: readonly number[];
  readonly unsafeDominant: readonly number[];
  /** [symbols + 1], first rule of each symbol (terminals have none). */
  readonly ruleStart: Int32Array;
  /** [rules + 1], where each rule's right side begins in `ruleSymbols`. */
  readonly rightStart: Int32Array;
  readonly ruleSymbols: Int32Array;
  /** [symbols], the one length of everything a symbol expands to, or -1 where lengths differ. */
  readonly fixedLength: Int32Array;
}
