import { UserError } from "../errors.js";
import { checkpointModel } from "./activations/model.js";
import { behaviourStages } from "./behaviour.js";
import { generationCost } from "./generate.js";
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
  describe: ({ pair, prompts, behaviour }) => {
    if (prompts === undefined || behaviour === undefined) return "behaviour: no prompts were given";
    const ids = prompts.tokenized.map((prompt) => prompt.ids);
    const { tokens, judges } = behaviour;
    const { disk } = generationCost(pair.tuned.checkpoint.config, ids, { tokens, dtype: "float32" });
    return `behaviour: ${ids.length} prompts${prompts.chat ? " in the chat template" : ""}, up to ${tokens} tokens each by both models, judged by ${judges.map(({ name }) => name).join(", ")}; ${(disk / 2 ** 30).toFixed(1)} GiB on disk`;
  },
};
