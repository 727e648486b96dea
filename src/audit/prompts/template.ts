import { UserError } from "../../errors.js";

/** Where a prompt has no text of its own. */
export const PLAIN_TEMPLATE = "{operator} {operand}";

/** Checks a plain template: both `{operator}` and `{operand}`, each once. @throws UserError */
export function checkTemplate(template: string): string {
  for (const part of ["{operator}", "{operand}"])
    if (template.split(part).length !== 2)
      throw new UserError(
        `The template ${JSON.stringify(template.slice(0, 200))} must hold ${part} once; for example "${PLAIN_TEMPLATE}."`,
      );
  if (template.length > 2000) throw new UserError(`The template has ${template.length} characters; 2000 are allowed.`);
  return template;
}

/** The template with operator and operand in their places; what they hold is not looked at again. */
export function fillTemplate(template: string, operator: string, operand: string): string {
  return template.replace(/\{operator\}|\{operand\}/g, (part) => (part === "{operator}" ? operator : operand));
}
