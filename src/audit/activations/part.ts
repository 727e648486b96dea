import { UserError } from "../../errors.js";
import type { AuditPart, AuditPlan } from "../part.js";
import { weightsLayerStage } from "../weights.js";
import { activationStages } from "./activationStages.js";
import { auditMemory } from "./memory.js";
import { type AuditModel, checkpointModel } from "./model.js";
import { type PromptChunks, promptChunks } from "./promptChunks.js";

/** Tokens that pass through a block together: enough for matrix products to run at their rate, few enough for a chunk to be a tenth of the weights. */
const TOKENS_AT_A_TIME = 512;

/** Measures of what the models do with the prompts, streamed block by block. Method §3.1, §3.3 to §3.5, §3.7, §6. */
export const activationsPart: AuditPart = {
  name: "activations",
  stages: (plan) => {
    const prompts = chunksOf(plan);
    if (prompts === undefined || plan.activations === undefined)
      throw new UserError("Activations are measured on prompts; give a file with --prompts.");
    const { blocks, matrices, engine, parts } = plan;
    return activationStages({
      ...modelsOf(plan),
      ...{ prompts, blocks, matrices, engine, ...plan.activations },
      ...(parts.includes("weights") && { directions: (layer: number) => weightsLayerStage(plan, layer) }),
    });
  },
  describe: (plan) => {
    const prompts = chunksOf(plan);
    if (prompts === undefined || plan.activations === undefined) return "activations: no prompts were given";
    const { alphas, sensitivity, firstGenerated } = plan.activations;
    const between = alphas.filter((alpha) => alpha !== 0 && alpha !== 1).length;
    const { config } = plan.pair.tuned.checkpoint;
    const { peak, disk } = auditMemory(config, prompts, { dtype: "float32", models: 2 + between, sensitivity });
    const ways = [
      "forward",
      ...(firstGenerated ? ["the first generated token"] : []),
      ...(sensitivity ? ["and back for sensitivity"] : []),
    ];
    const points = between === 0 ? "" : ` and ${between} points of W + alpha dW`;
    return `activations: ${prompts.prompts.length} prompts, ${prompts.tokens} tokens in all, through two models${points}, block by block (${ways.join(", ")}); peak memory at most ${gib(peak)}, ${gib(disk)} on disk`;
  },
};

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** Both models, under names that tell them apart. */
function modelsOf({ pair: { base, tuned } }: AuditPlan): { readonly base: AuditModel; readonly tuned: AuditModel } {
  const name = base.name === tuned.name ? `${base.name}-base` : base.name;
  return {
    base: checkpointModel(base.checkpoint, name, base.fingerprint),
    tuned: checkpointModel(tuned.checkpoint, tuned.name, tuned.fingerprint),
  };
}

function chunksOf({ pair, prompts }: AuditPlan): PromptChunks | undefined {
  if (prompts === undefined) return undefined;
  const [a, b] = [pair.base.checkpoint.config, pair.tuned.checkpoint.config];
  const limits = {
    vocabulary: Math.min(a.vocabulary, b.vocabulary),
    context: Math.min(a.context, b.context),
  };
  const asked = prompts.tokenized.map(({ prompt, ids }) => ({ set: prompt.set, tokens: ids }));
  return promptChunks(asked, limits, TOKENS_AT_A_TIME);
}
