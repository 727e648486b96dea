/** A mistake of whoever called: one sentence, exit 2, no stack. */
export function refusal(message) {
  return Object.assign(new Error(message), { exitCode: 2 });
}
