import { UserError } from "../errors.js";
import { checkpointModel } from "./activations/model.js";
import { behaviourStages } from "./behaviour.js";
import type { AuditPart } from "./part.js";

/** What both models answer to the prompts, and whether they refuse. */
export const behaviourPart: AuditPart = {
  name: "behaviour",
  stages: ({ pair, prompts, behaviour, engine }) => {
    if (prompts === undefined || behaviour === undefined)
      throw new UserError("Behaviour is measured on prompts; give a file with --prompts.");
    const { base, tuned } = pair;
    const baseName = base.name === tuned.name ? `${base.name}-base` : base.name;
    return behaviourStages({
      ...behaviour,
      models: [
        checkpointModel(base.checkpoint, baseName, base.fingerprint),
        checkpointModel(tuned.checkpoint, tuned.name, tuned.fingerprint),
      ],
      prompts: prompts.tokenized,
      tokenizer: prompts.tokenizer,
      engine,
    });
  },
  describe: ({ prompts, behaviour }) =>
    `behaviour: ${prompts?.tokenized.length ?? 0} prompts${prompts?.chat ? " in the chat template" : ""}, up to ${behaviour?.tokens ?? 0} tokens each by both models, judged by ${behaviour?.judges.map(({ name }) => name).join(", ")}`,
};
