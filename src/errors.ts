/**
 * A mistake in what the user gave us: a file, a setting, a command. Its message is one clear sentence that says what is
 * wrong, where, and what to do. The command line prints it without a stack trace and exits with 2.
 */
export class UserError extends Error {
  override readonly name: string = "UserError";
  readonly exitCode = 2;
}
