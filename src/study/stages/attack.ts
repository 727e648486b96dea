import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  behaviour,
  decodeGreedily,
  judge,
  type MeanActivations,
  type Outcomes,
  softPromptActivations,
  withOutputs,
} from "../../analysis/index.js";
import { forcedPrefix, softPromptAttack, textAttack } from "../../attack/index.js";
import { encodeSafetensors } from "../../checkpoint/encodeSafetensors.js";
import type { TensorValue } from "../../checkpoint/safetensors.js";
import type { Checkpoint } from "../../model/index.js";
import { createStream, randomKey } from "../../random/index.js";
import { bootstrapMeanInterval } from "../../stats/intervals.js";
import { mean } from "../../stats/moments.js";
import type { Engine } from "../../tensor/index.js";
import type { Samples, World } from "../../world/index.js";
import { writeRows } from "../assembleResults.js";
import type { AttackName, StudyConfig } from "../config.js";
import type { EngineSource } from "../engines.js";
import { estimateEvaluation } from "../estimate.js";
import type { ResultRow } from "../results.js";
import type { Stage, StageContext } from "../stage.js";
import { type TrainedModel, testSamples } from "./behaviour.js";
import { gptOf, loadCheckpoint } from "./checkpoints.js";
import { POSITIONS } from "./clusters.js";

/** Activations under soft prompts, `STRENGTH/qQ/blockB` [samples, mlp], and `STRENGTH/success` [samples], 1 where the attack succeeded. */
export const ATTACK_ACTIVATIONS = "activations.safetensors";

/** An attack's settings, of whichever attack. */
export type AttackSettings<A extends AttackName = AttackName> = StudyConfig["attacks"][A];

/** One attack on one checkpoint. */
export interface AttackOn<A extends AttackName = AttackName> {
  readonly attack: A;
  readonly settings: AttackSettings<A>;
}

/** The most that each attack can do in a world: a text has so many letters to change, an output so many tokens to force. */
export function largestStrength(attack: AttackName, world: World): number {
  if (attack === "gcg") return world.minText;
  if (attack === "prefix") return world.maxText - 1;
  return Number.POSITIVE_INFINITY;
}

/** One attack on one checkpoint at all its strengths, on unsafe test samples. Strengths that the world has no room for are passed over. */
export function attackStage(
  config: StudyConfig,
  world: World,
  { stage, checkpoint, seed }: TrainedModel,
  on: AttackOn,
  engine: EngineSource,
  /** Distinguishes what was asked for later, with settings of its own, from what the study does by itself. */
  suffix = "",
): Stage {
  const { batch: most } = config.evaluate;
  const { attack } = on;
  const strengths = on.settings.strengths.filter((strength) => strength <= largestStrength(attack, world));
  const settings = { ...on.settings, strengths };
  const batch = Math.min(most, settings.samples);
  const passes = passesOf({ attack, settings } as AttackOn);
  return {
    kind: "attack",
    name: `attack ${attack} ${checkpoint} seed ${seed}${suffix}`,
    version: 1,
    config: { attack, settings: JSON.parse(JSON.stringify(settings)), batch, checkpoint, seed },
    inputs: [stage],
    steps: strengths.length + 1,
    ...estimateEvaluation(gptOf(config.model, world), { samples: settings.samples * passes, batch, time: world.time }),
    run: async (context) => {
      const model = await loadCheckpoint(context.input(stage));
      const samples = testSamples(world, "unsafe", seed, settings.samples);
      const run: AttackRun = {
        context,
        engine: await engine(),
        model,
        world,
        samples,
        batch,
        seed,
        checkpoint,
        attack,
      };
      const rows = await runAttack(run, { attack, settings } as AttackOn);
      await writeRows(context, rows);
    },
  };
}

/** Forward passes per sample, for the plan; a backward pass counts as one more. */
function passesOf({ attack, settings }: AttackOn): number {
  const each =
    "steps" in settings ? 2 * settings.steps : attack === "gcg" && "budget" in settings ? settings.budget : 1;
  return 1 + settings.strengths.length * (each + 1);
}

interface AttackRun {
  readonly context: StageContext;
  readonly engine: Engine;
  readonly model: Checkpoint;
  readonly world: World;
  readonly samples: Samples;
  readonly batch: number;
  readonly seed: number;
  readonly checkpoint: string;
  readonly attack: AttackName;
}

async function runAttack(run: AttackRun, on: AttackOn): Promise<ResultRow[]> {
  switch (on.attack) {
    case "soft-prompt":
    case "soft-prompt-kept":
      return softPrompts(run, on.settings as AttackSettings<"soft-prompt">);
    case "gcg":
      return discrete(run, on.settings as AttackSettings<"gcg">);
    case "prefix":
      return prefixes(run, on.settings as AttackSettings<"prefix">);
  }
}

/** More at once do not go faster: their activations no longer stay near the core (docs/benchmarks.md). */
const SOFT_PROMPT_BATCH = 40;

async function softPrompts(
  run: AttackRun,
  { strengths, steps, learningRate, initialNorm, activations }: AttackSettings<"soft-prompt">,
): Promise<ResultRow[]> {
  const { context, engine, model, world, samples, batch, seed, attack } = run;
  const rows: ResultRow[] = [];
  const kept: [string, TensorValue][] = [];
  const options = { world, batch, seed, steps, learningRate, initialNorm };
  const positions = attack === "soft-prompt" ? "shifted" : "kept";
  const random = createStream(randomKey(seed, `bootstrap ${attack} ${run.checkpoint}`), 0).uniform;
  // All strengths have room for the largest, so that one program serves them all.
  const slots = Math.max(1, ...strengths);
  for (const [index, strength] of [0, ...strengths].entries()) {
    context.signal.throwIfAborted();
    const found = await softPromptAttack(engine, model, samples, {
      ...options,
      batch: Math.min(batch, SOFT_PROMPT_BATCH),
      positions,
      strength,
      slots,
    });
    const outputs = await decodeGreedily(engine, model, samples, { world, batch, softPrompts: found });
    const outcomes = judge(samples, outputs, world.vocabulary.nullToken);
    rows.push(...shareRows(run, samples, outcomes, strength));
    const last = Float64Array.from(samples.textLength, (_, row) => found.losses[row * (steps + 1) + steps]!);
    rows.push({
      ...rowOf(run, strength),
      metric: "loss",
      value: mean(last),
      n: last.length,
      ...bootstrapMeanInterval(last, { random }),
    });
    if (strength > 0 && activations.includes(strength)) {
      const written = withOutputs(samples, outputs);
      const read = { world, batch, softPrompts: found, positions: POSITIONS };
      kept.push(...activationTensors(strength, await softPromptActivations(engine, model, written, read), outcomes));
    }
    report(run, index, strengths.length + 1, rows);
  }
  await writeFile(join(context.folder, ATTACK_ACTIVATIONS), encodeSafetensors(kept));
  return rows;
}

function activationTensors(
  strength: number,
  means: readonly MeanActivations[],
  { outcome }: Outcomes,
): [string, TensorValue][] {
  const success = Int32Array.from(outcome, (one) => Number(one === 0));
  return [
    [`${strength}/success`, { dtype: "I32", shape: [success.length], data: success }],
    ...means.flatMap(({ count, width, blocks }, which) =>
      blocks.map((data, block): [string, TensorValue] => [
        `${strength}/q${POSITIONS[which]}/block${block}`,
        { dtype: "F32", shape: [count, width], data },
      ]),
    ),
  ];
}

async function discrete(run: AttackRun, settings: AttackSettings<"gcg">): Promise<ResultRow[]> {
  const { context, engine, model, world, samples, batch, seed } = run;
  const { strengths, topK, candidates, budget } = settings;
  const rows: ResultRow[] = [];
  for (const [index, strength] of [0, ...strengths].entries()) {
    context.signal.throwIfAborted();
    const attacked =
      strength === 0
        ? samples
        : (await textAttack(engine, model, samples, { world, batch, seed, strength, topK, candidates, budget }))
            .samples;
    const outputs = await decodeGreedily(engine, model, attacked, { world, batch });
    rows.push(...shareRows(run, attacked, judge(attacked, outputs, world.vocabulary.nullToken), strength));
    report(run, index, strengths.length + 1, rows);
  }
  return rows;
}

async function prefixes(run: AttackRun, { strengths }: AttackSettings<"prefix">): Promise<ResultRow[]> {
  const { context, engine, model, world, samples, batch } = run;
  const rows: ResultRow[] = [];
  for (const [index, strength] of [0, ...strengths].entries()) {
    context.signal.throwIfAborted();
    const forced = forcedPrefix(samples, strength);
    if (forced.count > 0) {
      const steps = world.maxText - strength;
      const outputs = await decodeGreedily(engine, model, forced, { world, batch, steps });
      rows.push(...shareRows(run, forced, judge(forced, outputs, world.vocabulary.nullToken), strength));
    }
    report(run, index, strengths.length + 1, rows);
  }
  return rows;
}

function rowOf({ attack, checkpoint, seed }: AttackRun, strength: number) {
  return { measure: "attacks", set: attack, checkpoint, seed, index: strength };
}

/** Shares of success and refusal, all branches together and each apart. */
function shareRows(run: AttackRun, samples: Samples, outcomes: Outcomes, strength: number): ResultRow[] {
  return behaviour(samples, outcomes, { choices: run.world.vocabulary.size }).flatMap(({ metric, ...share }) =>
    metric === "instruct" || metric === "null"
      ? [{ ...rowOf(run, strength), metric: metric === "instruct" ? "success" : "null", ...share }]
      : [],
  );
}

function report({ context }: AttackRun, index: number, total: number, rows: readonly ResultRow[]): void {
  const last = rows.findLast(({ metric, branch }) => metric === "success" && branch === undefined);
  context.progress(
    index + 1,
    total,
    last === undefined ? undefined : `strength ${last.index}: success ${last.value.toFixed(3)}`,
  );
}
