/**
 * A mistake in what the user gave us: a file, a setting, a command. Its message is one clear sentence that says what is
 * wrong, where, and what to do. The command line prints it without a stack trace and exits with 2. Foreign text in it is made
 * printable here, once, and a page of it is cut: it may go to a terminal, a log, a web page.
 */
export class UserError extends Error {
  override readonly name: string = "UserError";
  readonly exitCode = 2;
  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options);
  }
}

const MOST_CHARACTERS = 1_200;
const LAST_CHARACTERS = 300;

/** On one line; control characters, marks of writing direction and lone surrogates as \u{...}; the middle of a long text left out. */
function printable(text: string): string {
  const line = text.replace(/[\r\n\t]+/g, " ");
  const cut =
    line.length <= MOST_CHARACTERS
      ? line
      : `${line.slice(0, MOST_CHARACTERS - LAST_CHARACTERS)} ... ${line.slice(-LAST_CHARACTERS)}`;
  return cut.replace(
    /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** Training that went wrong in numbers: a loss that is NaN, infinite or diverging. It ends its stage, not the study. */
export class DivergedError extends Error {
  override readonly name: string = "DivergedError";
  constructor(
    message: string,
    /** The training step (1-based) whose loss was bad. */
    readonly step: number,
    /** What identifies the batch, so that it can be made again: "pretrain, seed 0, step 812". */
    readonly batch: string,
    /** The bad loss, in nats per scored token; NaN and infinities as they were. */
    readonly loss: number,
    /** Steps after which good weights were last kept; 0: those that training began with. Absent where nothing is known of it. */
    readonly lastGoodStep?: number,
  ) {
    super(message);
  }
}
