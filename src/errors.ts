/**
 * A mistake in what the user gave us: a file, a setting, a command. Its message is one clear sentence that says what is
 * wrong, where, and what to do. The command line prints it without a stack trace and exits with 2.
 */
export class UserError extends Error {
  override readonly name: string = "UserError";
  readonly exitCode = 2;
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
  ) {
    super(message);
  }
}
